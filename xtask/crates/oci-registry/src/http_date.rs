//! Dates in HTTP headers (RFC 9110, section 5.6.7), all three forms.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cli_support::time::Date;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The time that `text` says; none where it is no date or one before 1970. Years of two digits are
/// taken for the nearest past or future one, as seen from `now`.
pub(super) fn parse(text: &str, now: SystemTime) -> Option<SystemTime> {
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    let (day, month, year, time) = match words[..] {
        // Sun, 06 Nov 1994 08:49:37 GMT, or Sun Nov  6 08:49:37 1994
        [_, day, month, year, time, "GMT"] | [_, month, day, time, year] => {
            (day, month, year.parse().ok()?, time)
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        [_, date, time, "GMT"] => {
            let mut parts = date.splitn(3, '-');
            let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
            (day, month, full_year(year.parse().ok().filter(|year| *year < 100)?, now), time)
        }
        _ => return None,
    };
    let month = MONTHS.into_iter().zip(1..).find(|(name, _)| *name == month)?.1;
    let mut clock = time.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let date = Date::new(i64::try_from(year).ok()?, month, day.parse().ok()?)?;
    let seconds = date.at(hour, minute, second)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// A year of two digits: one that seems more than 50 years ahead was in the past.
fn full_year(short: u64, now: SystemTime) -> u64 {
    let elapsed = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let this_year = 1970 + elapsed / 31_556_952;
    let year = this_year / 100 * 100 + short;
    if year > this_year + 50 { year - 100 } else { year }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_say_the_same_time() {
        let now = UNIX_EPOCH + Duration::from_secs(1_785_000_007);
        let cases = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 29 Feb 2024 23:59:60 GMT", Some(1_709_251_199)),
            ("Fri, 01 Mar 2024 00:00:00 GMT", Some(1_709_251_200)),
            ("Wed, 31 Dec 2036 23:59:59 GMT", Some(2_114_380_799)),
            ("Friday, 31-Dec-99 23:59:59 GMT", Some(946_684_799)),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 06 Nov 1969 08:49:37 GMT", None),
            ("Sun, 06 Nov 99999999999 08:49:37 GMT", None),
            ("Sun, 32 Nov 1994 08:49:37 GMT", None),
            ("Thu, 30 Feb 2024 08:49:37 GMT", None),
            ("Sun, 99999999999999999999 Nov 1994 08:49:37 GMT", None),
            ("Sun, 9223372036854775807 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nix 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 24:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49 GMT", None),
            ("17", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(parse(text, now), expected, "{text}");
        }
    }
}
