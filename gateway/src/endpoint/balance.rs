//! Load balancing: the choice among usable endpoints.

use std::ops::Range;

use super::local::{Local, mix};

/// Load balancing algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balance {
    /// Weighted round robin, without bursts at heavy endpoints.
    #[default]
    RoundRobin,
    /// The less loaded of two random endpoints, relative to their weights. Each worker counts its own
    /// requests.
    LeastRequests,
    /// Equal keys go to the same endpoint (rendezvous hashing), unless it exceeds its share of this worker's
    /// requests in flight. Requests without a key use round robin.
    ConsistentHash {
        /// Maximum load of an endpoint in percent of its share; 125 is a quarter more.
        max_load_percent: u32,
    },
}

/// The endpoints to choose from.
#[derive(Debug)]
pub(super) struct Candidates<'a, W: Fn(usize) -> u64> {
    /// The endpoints of one zone, or all endpoints.
    pub range: Range<usize>,
    /// The weight of each; 0 for an unusable one.
    pub weight: W,
    /// All are usable and have the same weight, so that they need not be checked one by one.
    pub uniform: bool,
    pub local: &'a Local,
}

impl<W: Fn(usize) -> u64> Candidates<'_, W> {
    /// `hash` is the position of an endpoint for the consistent hash.
    pub fn pick(&self, balance: Balance, key: Option<u64>, hash: impl Fn(usize) -> u64) -> Option<usize> {
        match (balance, key) {
            (Balance::LeastRequests, _) => self.least_requests(),
            (Balance::ConsistentHash { max_load_percent }, Some(key)) => {
                self.consistent_hash(key, max_load_percent, hash)
            }
            (Balance::RoundRobin | Balance::ConsistentHash { .. }, _) => self.round_robin(),
        }
    }

    fn total(&self) -> u64 {
        self.range.clone().map(&self.weight).sum()
    }

    /// Smooth weighted round robin: each endpoint gains its weight, and the chosen one loses the sum.
    fn round_robin(&self) -> Option<usize> {
        if self.uniform {
            let turn = self.local.cursor.get();
            self.local.cursor.set(turn.wrapping_add(1));
            return (!self.range.is_empty()).then(|| self.range.start + turn % self.range.len());
        }
        let mut total = 0;
        let mut richest = None;
        for index in self.range.clone() {
            let weight = signed((self.weight)(index));
            if weight == 0 {
                continue;
            }
            let credit = self.local.credit[index].get().saturating_add(weight);
            self.local.credit[index].set(credit);
            total += weight;
            if richest.is_none_or(|(_, most)| credit > most) {
                richest = Some((index, credit));
            }
        }
        let (index, credit) = richest?;
        self.local.credit[index].set(credit - total);
        Some(index)
    }

    /// The power of two choices.
    fn least_requests(&self) -> Option<usize> {
        let total = if self.uniform { self.range.len() as u64 } else { self.total() };
        let first = self.random(total, None)?;
        let rest = total - self.unit(first);
        let Some(second) = self.random(rest, Some(first)) else { return Some(first) };
        // Requests in flight relative to the weight, compared as fractions.
        let load = |index, other| u64::from(self.local.in_flight(index)).saturating_mul(self.unit(other));
        Some(if load(second, first) < load(first, second) { second } else { first })
    }

    fn unit(&self, index: usize) -> u64 {
        if self.uniform { 1 } else { (self.weight)(index) }
    }

    /// A random endpoint by weight; `total` is the sum of the weights without that of `except`.
    fn random(&self, total: u64, except: Option<usize>) -> Option<usize> {
        if total == 0 {
            return None;
        }
        let mut at = self.local.random(total);
        if self.uniform {
            let index = self.range.start + usize::try_from(at).ok()?;
            return Some(index + usize::from(except.is_some_and(|except| index >= except)));
        }
        self.range.clone().filter(|&index| Some(index) != except).find(|&index| {
            let weight = (self.weight)(index);
            let found = at < weight;
            at = at.saturating_sub(weight);
            found
        })
    }

    /// Weighted rendezvous hashing with bounded load: the endpoint with the best score, or if it is full, the
    /// best of those that are not.
    fn consistent_hash(&self, key: u64, max_load_percent: u32, hash: impl Fn(usize) -> u64) -> Option<usize> {
        let key = mix(key);
        let score = |index| {
            let hash = mix(hash(index) ^ key);
            // With equal weights the logarithm does not change the order.
            if self.uniform { uniform(hash) } else { score(hash, (self.weight)(index)) }
        };
        let best = |may: &dyn Fn(usize) -> bool| {
            let usable = self.range.clone().filter(|&index| self.unit(index) != 0 && may(index));
            usable.map(|index| (index, score(index))).max_by(|one, other| one.1.total_cmp(&other.1))
        };
        let (first, _) = best(&|_| true)?;
        let in_flight: u64 = self.range.clone().map(|index| u64::from(self.local.in_flight(index))).sum();
        // The bound is at least the exact share of each, so at least one endpoint accepts one more request.
        let load = (in_flight + 1).saturating_mul(u64::from(max_load_percent.max(100)));
        let total = self.range.clone().map(|index| self.unit(index)).sum::<u64>().saturating_mul(100).max(1);
        let has_room = |index| {
            let bound = load.saturating_mul(self.unit(index)).div_ceil(total);
            u64::from(self.local.in_flight(index)) < bound
        };
        if has_room(first) { Some(first) } else { best(&has_room).map(|(index, _)| index) }
    }
}

/// A hash as a number between 0 and 1, both excluded.
#[expect(clippy::cast_precision_loss, reason = "the low bits do not matter")]
fn uniform(hash: u64) -> f64 {
    ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

/// A score with which each endpoint wins a share of the keys equal to its share of the weights.
#[expect(clippy::cast_precision_loss, reason = "the low bits do not matter")]
fn score(hash: u64, weight: u64) -> f64 {
    weight as f64 / -uniform(hash).ln()
}

fn signed(weight: u64) -> i64 {
    i64::try_from(weight).unwrap_or(i64::MAX)
}

/// Hash of a header, cookie or client address for [`Balance::ConsistentHash`]: FNV-1a, equal in every
/// process.
pub fn hash_key(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::{Balance, Candidates, hash_key};
    use crate::endpoint::budget::BudgetSettings;
    use crate::endpoint::local::Local;

    fn local(endpoints: usize) -> Rc<Local> {
        Rc::new(Local::new(endpoints, &BudgetSettings::default(), 0, 1))
    }

    fn candidates<'a>(weights: &'a [u64], local: &'a Local) -> Candidates<'a, impl Fn(usize) -> u64 + 'a> {
        let uniform = weights.iter().all(|&weight| weight != 0 && weight == weights[0]);
        Candidates { range: 0..weights.len(), weight: |index| weights[index], uniform, local }
    }

    fn place(index: usize) -> u64 {
        hash_key(format!("10.0.0.{index}:80").as_bytes())
    }

    fn pick(balance: Balance, weights: &[u64], local: &Local, key: Option<u64>) -> Option<usize> {
        candidates(weights, local).pick(balance, key, place)
    }

    const HASH: Balance = Balance::ConsistentHash { max_load_percent: 125 };

    #[test]
    fn round_robin_follows_weights_without_bursts() {
        let table: [(&[u64], &[usize]); 5] = [
            (&[1, 1, 1], &[0, 1, 2, 0, 1, 2]),
            (&[5, 1, 1], &[0, 0, 1, 0, 2, 0, 0]),
            (&[0, 1, 1], &[1, 2, 1, 2]),
            (&[2, 0, 1], &[0, 2, 0, 0, 2, 0]),
            (&[7], &[0, 0]),
        ];
        for (weights, expected) in table {
            let local = local(weights.len());
            let picks: Vec<_> =
                expected.iter().filter_map(|_| pick(Balance::RoundRobin, weights, &local, None)).collect();
            assert_eq!(picks, expected, "{weights:?}");
        }
    }

    #[test]
    fn no_usable_endpoint_gives_none() {
        for balance in [Balance::RoundRobin, Balance::LeastRequests, HASH] {
            for weights in [&[][..], &[0], &[0, 0]] {
                assert_eq!(pick(balance, weights, &local(2), Some(1)), None, "{balance:?} {weights:?}");
            }
        }
    }

    #[test]
    fn every_algorithm_follows_the_weights() {
        for (balance, weights) in [
            (Balance::RoundRobin, [1, 2, 5, 0]),
            (Balance::LeastRequests, [1, 2, 5, 0]),
            (Balance::LeastRequests, [1, 1, 1, 1]),
            (HASH, [1, 2, 5, 0]),
            (HASH, [3, 3, 3, 3]),
        ] {
            let local = local(4);
            let total: u64 = weights.iter().sum();
            let mut counts = [0u64; 4];
            for key in 0..20_000 {
                counts[pick(balance, &weights, &local, Some(key)).expect("one")] += 1;
            }
            for (count, weight) in counts.into_iter().zip(weights) {
                let exact = 20_000 * weight / total;
                assert!(count.abs_diff(exact) <= exact / 10, "{balance:?} {weights:?} {counts:?}");
            }
        }
    }

    #[test]
    fn less_loaded_of_two_is_picked() {
        for (weights, busy, expected) in [
            (&[1, 1][..], &[1, 0][..], 1),
            (&[1, 1], &[3, 4], 0),
            (&[4, 1], &[3, 1], 0),
            (&[4, 1], &[5, 1], 1),
            (&[1, 0], &[9, 0], 0),
        ] {
            let local = local(2);
            for (count, &busy) in local.in_flight.iter().zip(busy) {
                count.set(busy);
            }
            for _ in 0..50 {
                let picked = pick(Balance::LeastRequests, weights, &local, None);
                assert_eq!(picked, Some(expected), "{weights:?} {busy:?}");
            }
        }
    }

    #[test]
    fn loaded_endpoint_gets_few_requests() {
        let local = local(10);
        local.in_flight[3].set(1000);
        for _ in 0..1000 {
            // The two are always different, so that a less loaded one is always found.
            assert_ne!(pick(Balance::LeastRequests, &[1; 10], &local, None), Some(3));
        }
    }

    #[test]
    fn removed_endpoint_moves_only_its_own_keys() {
        let local = local(5);
        let mut moved = 0;
        for key in 0..2000 {
            let before = pick(HASH, &[1; 5], &local, Some(key));
            let after = pick(HASH, &[1, 1, 0, 1, 1], &local, Some(key));
            assert_eq!(before, pick(HASH, &[1; 5], &local, Some(key)));
            assert!(before == after || before == Some(2), "{key}");
            moved += u32::from(before != after);
        }
        assert!((300..500).contains(&moved), "{moved}");
    }

    #[test]
    fn load_is_bounded_for_one_key() {
        let local = local(4);
        let flights: Vec<_> = (0..100)
            .map(|_| local.enter(pick(HASH, &[1; 4], &local, Some(7)).expect("always room for one more")))
            .collect();
        let most = (0..4).map(|index| local.in_flight(index)).max();
        assert!(most <= Some(32), "a quarter more than 25, rounded up: {most:?}");
        drop(flights);
        assert_eq!((0..4).map(|index| local.in_flight(index)).sum::<u32>(), 0);
    }

    #[test]
    fn hashes_are_the_same_in_every_process() {
        assert_eq!(hash_key(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash_key(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
