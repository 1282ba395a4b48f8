//! Request ids, which correlate the logs of several services.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A request id: 32 hexadecimal digits.
pub type RequestId = [u8; 32];

/// Generates the ids of one worker, unique within the process and, by a random part, among processes.
///
/// The ids are not secrets.
#[derive(Debug)]
pub struct RequestIds {
    /// The first half of each id, in digits.
    random: [u8; 16],
    next: Cell<u64>,
}

impl RequestIds {
    /// The generator of a worker.
    pub fn new(worker: usize) -> Self {
        // The only source of randomness in the standard library: the keys of its hash maps.
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        hasher.write_usize(worker);
        Self { random: digits(hasher.finish()), next: Cell::new(1) }
    }

    /// The next id.
    pub fn next(&self) -> RequestId {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let mut name = [0; 32];
        name[..16].copy_from_slice(&self.random);
        name[16..].copy_from_slice(&digits(number));
        name
    }
}

fn digits(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    for (place, byte) in number.to_be_bytes().into_iter().enumerate() {
        text[2 * place] = DIGITS[usize::from(byte >> 4)];
        text[2 * place + 1] = DIGITS[usize::from(byte & 0x0f)];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::RequestIds;

    #[test]
    fn ids_are_unique() {
        let (one, other) = (RequestIds::new(0), RequestIds::new(1));
        let names = [one.next(), one.next(), other.next()];
        assert!(names.iter().flatten().all(u8::is_ascii_hexdigit));
        assert_ne!(names[0], names[1]);
        assert_ne!(names[0], names[2]);
    }
}
