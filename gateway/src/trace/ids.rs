//! Trace and span ids.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// Generates the ids of one worker: random, not cryptographic (SplitMix64).
#[derive(Debug)]
pub struct Ids(Cell<u64>);

impl Default for Ids {
    fn default() -> Self {
        // The only source of randomness in the standard library: the keys of its hash maps.
        Self(Cell::new(RandomState::new().hash_one(std::process::id())))
    }
}

impl Ids {
    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut mixed = state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A span id, which is not zero.
    pub fn span(&self) -> [u8; 8] {
        self.next().max(1).to_be_bytes()
    }

    /// A trace id, which is not zero.
    pub fn trace(&self) -> [u8; 16] {
        let number = u128::from(self.next()) << 64 | u128::from(self.next());
        number.max(1).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Ids;

    #[test]
    fn ids_are_unique() {
        let (one, other) = (Ids::default(), Ids::default());
        let names: HashSet<[u8; 16]> = (0..1000).flat_map(|_| [one.trace(), other.trace()]).collect();
        assert_eq!(names.len(), 2000);
        assert!((0..1000).all(|_| one.below(7) < 7));
    }
}
