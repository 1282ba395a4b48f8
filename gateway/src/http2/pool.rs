//! Buffers that the connections of a thread share: a connection at rest holds none.

use std::cell::RefCell;

use bytes::BytesMut;

/// The bytes read at once.
pub(super) const READ: usize = 32 * 1024;

/// The most buffers of a kind that wait for their next use.
const KEPT: usize = 8;

/// Output buffers above this size are released.
const LARGEST: usize = 128 * 1024;

const FIRST_OUTPUT: usize = 4096;

thread_local! {
    static INPUT: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
    static OUTPUT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
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
