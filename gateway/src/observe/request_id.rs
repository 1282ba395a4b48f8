//! Names for requests, so that the logs of two services can be laid side by side.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Makes names that are unique within the process and, by a random part, among processes.
///
/// The names are no secrets and must not be used as such.
#[derive(Debug)]
pub struct RequestIds {
    random: u64,
    next: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        // The only randomness of the standard library: the keys of its hash maps.
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        Self { random: hasher.finish(), next: AtomicU64::new(1) }
    }
}

impl RequestIds {
    /// The next name: 32 hexadecimal digits.
    pub fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{number:016x}", self.random)
    }
}

#[cfg(test)]
mod tests {
    use super::RequestIds;

    #[test]
    fn names_differ() {
        let (one, other) = (RequestIds::default(), RequestIds::default());
        let names = [one.next(), one.next(), other.next()];
        assert!(names.iter().all(|name| name.len() == 32));
        assert_ne!(names[0], names[1]);
        assert_ne!(names[0], names[2]);
    }
}
