//! Buffers that the connections of a thread share: a connection at rest holds none.

use std::cell::RefCell;

use bytes::BytesMut;

use crate::http::fields::Fields;

/// The bytes read at once.
pub(super) const READ: usize = 32 * 1024;

/// The most buffers of a kind that wait for their next use.
const KEPT: usize = 8;

/// Output buffers above this size are released.
const LARGEST: usize = 128 * 1024;

const FIRST_OUTPUT: usize = 4096;

/// The most fields that wait for their next use, and the largest.
const KEPT_FIELDS: usize = 64;
const LARGEST_FIELDS: usize = 4096;

thread_local! {
    static FIELDS: RefCell<Vec<Fields>> = const { RefCell::new(Vec::new()) };
    static INPUT: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
    static OUTPUT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Fields without any, in memory that was given back by [`recycle`] where there is some.
pub fn fields() -> Fields {
    FIELDS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes back fields that are no longer needed, so that the next head needs no new memory.
pub fn recycle(mut fields: Fields) {
    fields.clear();
    fields.shrink(LARGEST_FIELDS);
    FIELDS.with_borrow_mut(|pool| {
        if pool.len() < KEPT_FIELDS {
            pool.push(fields);
        }
    });
}

/// An empty buffer of at least [`READ`] bytes.
pub(super) fn take_input() -> BytesMut {
    INPUT.with_borrow_mut(Vec::pop).unwrap_or_else(|| BytesMut::with_capacity(READ))
}

/// Takes back a buffer that nothing is in.
pub(super) fn give_input(mut buffer: BytesMut) {
    buffer.clear();
    // Without this, a buffer whose parts live on elsewhere would be kept as a small rest.
    if !buffer.try_reclaim(READ) {
        return;
    }
    INPUT.with_borrow_mut(|pool| {
        if pool.len() < KEPT {
            pool.push(buffer);
        }
    });
}

/// An empty buffer for frames.
pub(super) fn take_output() -> Vec<u8> {
    OUTPUT.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(FIRST_OUTPUT))
}

/// Takes back a buffer for frames.
pub(super) fn give_output(mut buffer: Vec<u8>) {
    buffer.clear();
    OUTPUT.with_borrow_mut(|pool| {
        if pool.len() < KEPT && buffer.capacity() <= LARGEST {
            pool.push(buffer);
        }
    });
}
