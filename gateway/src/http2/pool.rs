//! Buffers shared by the connections of a thread: an idle connection has none.

use std::cell::RefCell;

use bytes::BytesMut;

use crate::http::fields::Fields;

/// Size of a read, in bytes.
pub(super) const READ: usize = 32 * 1024;

/// Maximum number of pooled buffers of a kind.
const KEPT: usize = 8;

/// Larger output buffers are released.
const LARGEST: usize = 128 * 1024;

const FIRST_OUTPUT: usize = 4096;

/// Maximum number and size of pooled field lists.
const KEPT_FIELDS: usize = 64;
const LARGEST_FIELDS: usize = 4096;

thread_local! {
    static FIELDS: RefCell<Vec<Fields>> = const { RefCell::new(Vec::new()) };
    static INPUT: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
    static OUTPUT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty field list, with memory from [`recycle`] if available.
pub fn fields() -> Fields {
    FIELDS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Returns a field list to the pool.
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

/// Returns an empty buffer to the pool.
pub(super) fn give_input(mut buffer: BytesMut) {
    buffer.clear();
    // Without this check, a buffer that is still shared elsewhere would be kept as a small rest.
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

/// Returns an output buffer to the pool.
pub(super) fn give_output(mut buffer: Vec<u8>) {
    buffer.clear();
    OUTPUT.with_borrow_mut(|pool| {
        if pool.len() < KEPT && buffer.capacity() <= LARGEST {
            pool.push(buffer);
        }
    });
}
