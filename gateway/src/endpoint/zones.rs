//! Choice of the zone while some endpoints are out of service.

/// A zone gets all requests while at least this percentage of its weight is in service; below it, the next
/// zone gets the missing part.
const ENOUGH_PERCENT: u64 = 70;

/// Parts into which the requests are divided.
pub(super) const PARTS: u64 = 10_000;

/// The zone of part number `part` of [`PARTS`]; `None` if no zone has an endpoint in service.
///
/// `zones` has for each zone, by priority: the weight in service and the total weight.
pub(super) fn choose(zones: impl Iterator<Item = (u64, u64)> + Clone, part: u64) -> Option<usize> {
    let capacity = |(in_service, whole): (u64, u64)| {
        (in_service.saturating_mul(PARTS * 100) / (whole.max(1) * ENOUGH_PERCENT)).min(PARTS)
    };
    let total: u64 = zones.clone().map(capacity).sum();
    // If all zones together have too little weight, each takes proportionally more.
    let mut at = part.min(PARTS - 1) * total.min(PARTS) / PARTS;
    zones.map(capacity).position(|capacity| {
        let here = at < capacity;
        at = at.saturating_sub(capacity);
        here
    })
}

#[cfg(test)]
mod tests {
    use super::{PARTS, choose};

    #[test]
    fn next_zone_takes_the_missing_share() {
        // For each zone: weight in service and total weight; the expected percentage of the requests.
        type Case = (&'static [(u64, u64)], &'static [u64]);
        let table: [Case; 9] = [
            (&[(10, 10), (10, 10)], &[100, 0]),
            (&[(7, 10), (10, 10)], &[100, 0]),
            (&[(35, 100), (10, 10)], &[50, 50]),
            (&[(0, 10), (10, 10)], &[0, 100]),
            (&[(0, 10), (35, 100), (1, 1)], &[0, 50, 50]),
            (&[(14, 100), (7, 100)], &[66, 33]),
            (&[(1, 100), (0, 10)], &[100, 0]),
            (&[(0, 10), (0, 10)], &[0, 0]),
            (&[], &[]),
        ];
        for (zones, expected) in table {
            let mut counts = vec![0u64; zones.len()];
            for part in 0..PARTS {
                if let Some(zone) = choose(zones.iter().copied(), part) {
                    counts[zone] += 1;
                }
            }
            let percents: Vec<_> = counts.iter().map(|count| count * 100 / PARTS).collect();
            assert_eq!(percents, expected, "{zones:?}");
        }
    }
}
