//! What a limit has counted for each key, for all workers together and in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

/// Parts of the table that are locked apart from each other, so that workers seldom meet.
const SHARDS: usize = 64;
/// Entries looked at to find one that may be dropped.
const SAMPLE: usize = 16;

/// Values by key.
///
/// A key is kept as its hash with a seed of this process, so that each entry has the same size and no
/// client can aim at the entry of another. Two of a million keys share a hash with a probability of one
/// in 37 million; they would share an entry.
#[derive(Debug)]
pub struct Table<V> {
    shards: Box<[Mutex<HashMap<u64, V, Seeded>>]>,
    hasher: RandomState,
    most_in_shard: usize,
}

/// The keys are hashes already.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seeded;

impl BuildHasher for Seeded {
    type Hasher = Hashed;

    fn build_hasher(&self) -> Hashed {
        Hashed(0)
    }
}

/// Gives the number back that it was given.
#[derive(Debug)]
pub struct Hashed(u64);

impl std::hash::Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl<V: Default> Table<V> {
    /// A table for about so many keys at the most.
    pub fn new(max_keys: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            most_in_shard: max_keys.div_ceil(SHARDS).max(1),
        }
    }

    /// Changes the value of a key. In a full table the entry with the lowest `rank` of a few makes room:
    /// 0 is the rank of a value that says no more than none.
    pub fn update<R>(&self, key: &[u8], rank: impl Fn(&V) -> u64, change: impl FnOnce(&mut V) -> R) -> R {
        let hash = self.hasher.hash_one(key);
        let shard = usize::try_from(hash >> 32).unwrap_or_default() % SHARDS;
        let mut entries = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.most_in_shard && !entries.contains_key(&hash) {
            let sample = entries.iter().take(SAMPLE).map(|(&hash, value)| (rank(value), hash));
            if let Some((_, lowest)) = sample.min() {
                entries.remove(&lowest);
            }
        }
        change(entries.entry(hash).or_default())
    }

    /// The number of keys.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn each_key_has_its_value() {
        // So many that each shard has room for all keys.
        let table = Table::<u64>::new(500 * 64);
        for round in 1..=3 {
            for key in 0..500_u32 {
                let value = table.update(
                    &key.to_be_bytes(),
                    |_| 1,
                    |value| {
                        *value += 1;
                        *value
                    },
                );
                assert_eq!(value, round, "{key}");
            }
        }
        assert_eq!(table.len(), 500);
    }

    #[test]
    fn memory_is_bounded_and_what_counts_most_stays() {
        let table = Table::<u64>::new(640);
        let count = |key: &[u8]| {
            table.update(
                key,
                |value| *value,
                |value| {
                    *value += 1;
                    *value
                },
            )
        };
        for _ in 0..50 {
            count(b"busy");
        }
        for key in 0..100_000_u32 {
            count(&key.to_be_bytes());
        }
        assert!(table.len() <= 640, "{}", table.len());
        assert_eq!(count(b"busy"), 51);
    }
}
