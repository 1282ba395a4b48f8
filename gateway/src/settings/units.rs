//! Durations and sizes as written in settings.

use std::time::Duration;

/// Maximum duration: far beyond any use, and safe to add to any instant.
const MAX: Duration = Duration::from_hours(24 * 365);

/// Parses a duration such as `30s`, `500ms`, `5m` or `2h`; `0s` is allowed.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return None,
    };
    let duration = Duration::from_millis(number.checked_mul(millis)?);
    (duration <= MAX).then_some(duration)
}

/// Parses a size such as `64KiB`, `10MiB`, `1GiB` or `512B`.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(bytes)
}

/// A duration in the format of [`duration`].
pub fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1000, "s")];
    match units.iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", millis / unit),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

/// A size in the format of [`size`].
pub fn size_text(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

/// The candidate nearest to a mistyped word, if one is near enough.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(distance, _)| distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The number of insertions, deletions, replacements and swaps of neighbouring characters.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().map(|c| c.to_ascii_lowercase()).collect();
    let to: Vec<char> = to.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut before_last = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut row = vec![i; to.len() + 1];
        for j in 1..=to.len() {
            let same = from[i - 1] == to[j - 1];
            row[j] = (last[j - 1] + usize::from(!same)).min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{duration, duration_text, nearest, size, size_text};

    #[test]
    fn durations() {
        let table = [
            ("30s", Some(Duration::from_secs(30))),
            ("500ms", Some(Duration::from_millis(500))),
            ("5m", Some(Duration::from_mins(5))),
            ("2h", Some(Duration::from_hours(2))),
            ("0s", Some(Duration::ZERO)),
            ("30", None),
            ("s", None),
            ("", None),
            ("-1s", None),
            ("1.5s", None),
            ("1 s", None),
            ("1d", None),
            ("99999999999999999999s", None),
            ("9999999999999999h", None),
            ("1000000h", None),
        ];
        for (text, expected) in table {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        let table = [
            ("512B", Some(512)),
            ("64KiB", Some(65536)),
            ("10MiB", Some(10 << 20)),
            ("1GiB", Some(1 << 30)),
            ("1MB", None),
            ("1", None),
            ("99999999999999GiB", None),
        ];
        for (text, expected) in table {
            assert_eq!(size(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for millis in [0, 1, 999, 1000, 1500, 60_000, 61_000, 75_000, 3_600_000, 5_400_000, 86_400_000] {
            let expected = Duration::from_millis(millis);
            assert_eq!(duration(&duration_text(expected)), Some(expected), "{millis}");
        }
        for bytes in [0, 1, 1023, 1024, 1025, 10 << 20, 3 << 30, (1 << 31) - 1] {
            assert_eq!(size(&size_text(bytes)), Some(bytes), "{bytes}");
        }
        assert_eq!(duration_text(Duration::from_secs(75)), "75s");
        assert_eq!(size_text(16 << 10), "16KiB");
    }

    #[test]
    fn mistyped_words_find_their_neighbour() {
        let keys = ["address", "tls", "header_timeout", "max_headers"];
        let table = [
            ("adress", Some("address")),
            ("Address", Some("address")),
            ("tsl", Some("tls")),
            ("header-timeout", Some("header_timeout")),
            ("max_header", Some("max_headers")),
            ("colour", None),
            ("", None),
        ];
        for (word, expected) in table {
            assert_eq!(nearest(word, keys), expected, "{word}");
        }
    }
}
