//! Histograms of durations: classic buckets in every format, and native buckets for clients that ask for
//! them.
//!
//! The native buckets have schema 2 of Prometheus: each is wider than the one before it by the factor
//! 2^(1/4), so that the error of a quantile is at most 19 %.

use std::sync::OnceLock;
use std::time::Duration;

use super::counter::{Counter, PerWorker};

/// Upper bounds of the classic buckets in seconds.
pub const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// The same in microseconds.
const BUCKET_MICROS: [u64; BUCKETS.len()] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 30_000_000,
];

/// The schema of the native buckets: 2^schema buckets for each power of two.
pub const SCHEMA: i32 = 2;
/// Durations up to this many seconds, 2^-13, are in the zero bucket.
pub const ZERO_THRESHOLD: f64 = 1.0 / 8192.0;
/// The index of the first native bucket, which begins at the zero threshold.
pub const FIRST_INDEX: i32 = 4 * -13 + 1;
/// Up to 2^12 seconds, a little more than an hour; longer durations are in the last bucket.
const NATIVE: usize = 4 * (13 + 12);
/// The fractions of 2^(1/4), 2^(2/4) and 2^(3/4) as the 52 bits of a double.
const QUARTERS: [u64; 3] = [0x3_06FE_0A31_B715, 0x6_A09E_667F_3BCD, 0xA_E89F_995A_D3AD];

/// The zero bucket and the native buckets, allocated on first use: most of 10,000 routes may be idle.
#[derive(Debug)]
struct Native([Counter; NATIVE + 1]);

/// Durations counted by one worker. Short ones share a cache line.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Durations {
    native: OnceLock<Box<Native>>,
    /// Their sum in microseconds.
    pub micros: Counter,
    /// Their number.
    pub count: Counter,
    /// Each bucket without the lower ones.
    classic: [Counter; BUCKETS.len()],
}

/// Durations of all workers.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Their number.
    pub count: u64,
    /// Their sum in seconds.
    pub sum: f64,
    /// For each bound of [`BUCKETS`], the number of durations up to it.
    pub classic: [u64; BUCKETS.len()],
    /// The zero bucket, followed by the native buckets from [`FIRST_INDEX`] on.
    pub native: Vec<u64>,
}

impl Durations {
    /// Counts a duration.
    pub fn add(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = BUCKET_MICROS.iter().position(|&bound| micros <= bound) {
            self.classic[bucket].add(1);
        }
        let native = self.native.get_or_init(|| Box::new(Native([const { Counter::zero() }; NATIVE + 1])));
        native.0[place(duration)].add(1);
        self.count.add(1);
        self.micros.add(micros);
    }
}

impl Histogram {
    /// The sum over all workers of the durations that `durations` selects.
    pub fn of<T: Default>(counters: &PerWorker<T>, durations: impl Fn(&T) -> &Durations) -> Self {
        let mut native = vec![0; NATIVE + 1];
        for (place, sum) in native.iter_mut().enumerate() {
            let bucket = |one: &T| durations(one).native.get().map_or(0, |native| native.0[place].get());
            *sum = counters.sum(bucket);
        }
        // A request may end between two loads, so the count is computed from the buckets.
        let count = native.iter().sum();
        let mut below = 0;
        let classic = std::array::from_fn(|bucket| {
            below += counters.sum(|one| durations(one).classic[bucket].get());
            below.min(count)
        });
        let sum = Duration::from_micros(counters.sum(|one| durations(one).micros.get())).as_secs_f64();
        Self { count, sum, classic, native }
    }
}

/// The index of a duration in [`Native`].
fn place(duration: Duration) -> usize {
    // A positive double has 11 bits of exponent above 52 bits of fraction.
    let bits = duration.as_secs_f64().to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = (bits >> 52).cast_signed() - 1023;
    // An upper bound belongs to its bucket.
    let quarter =
        if fraction == 0 { 0 } else { 1 + QUARTERS.iter().filter(|&&bound| fraction > bound).count() };
    let index = exponent * 4 + i64::try_from(quarter).unwrap_or_default();
    usize::try_from(index - i64::from(FIRST_INDEX) + 1).unwrap_or(0).min(NATIVE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BUCKET_MICROS, BUCKETS, Durations, FIRST_INDEX, Histogram, NATIVE, QUARTERS, place};
    use crate::observe::counter::PerWorker;

    #[test]
    fn buckets_are_the_same_in_both_units() {
        for (seconds, micros) in BUCKETS.iter().zip(BUCKET_MICROS) {
            assert_eq!(Duration::from_secs_f64(*seconds), Duration::from_micros(micros));
        }
    }

    #[test]
    fn quarters_are_the_roots_of_two() {
        for (number, bits) in QUARTERS.into_iter().enumerate() {
            let root = f64::exp2([0.25, 0.5, 0.75][number]);
            assert_eq!(root.to_bits() & ((1 << 52) - 1), bits);
        }
    }

    #[test]
    fn durations_are_counted_in_native_buckets() {
        // A duration in seconds, and the upper bound of its bucket as a power of two.
        let table = [
            (0.0, None),
            (0.000_1, None),
            (1.0 / 8192.0, None),
            (1.1 / 8192.0, Some(-12.75)),
            (0.125, Some(-3.0)),
            (0.125_000_001, Some(-2.75)),
            (0.148, Some(-2.75)),
            (0.149, Some(-2.5)),
            (0.25, Some(-2.0)),
            (1.0, Some(0.0)),
            (1.5, Some(0.75)),
            (1.9, Some(1.0)),
            (4096.0, Some(12.0)),
            (1e9, Some(12.0)),
        ];
        for (seconds, bound) in table {
            let place = place(Duration::from_secs_f64(seconds));
            assert!(place <= NATIVE);
            let number = i32::try_from(place).expect("few buckets");
            let found = (place > 0).then(|| f64::from(FIRST_INDEX + number - 1) / 4.0);
            assert_eq!(found, bound, "{seconds}");
        }
    }

    #[test]
    fn workers_are_summed() {
        let counters = PerWorker::<Durations>::new(2);
        for (worker, millis) in [(0, 3), (1, 60_000), (1, 0)] {
            counters.of(worker).add(Duration::from_millis(millis));
        }
        let histogram = Histogram::of(&counters, |one| one);
        assert_eq!((histogram.count, histogram.sum), (3, 60.003));
        assert_eq!((histogram.classic[1], histogram.classic[2], histogram.classic[11]), (1, 2, 2));
        assert_eq!((histogram.native[0], histogram.native.iter().sum::<u64>()), (1, 3));
    }
}
