//! Dates and times of RFC 3339, in UTC.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The end of the year 9999, the last year of RFC 3339, in seconds since 1970.
pub const LAST: u64 = 253_402_300_799;

/// The current time in seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// Formats a time in seconds since 1970 as RFC 3339, in UTC.
pub fn rfc3339(time: u64) -> String {
    let second = time % 86_400;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", Date::of_seconds(time))
}

/// Parses a time of RFC 3339, section 5.6, to seconds since 1970, without fractions. None if it is malformed or not in the
/// years 1970 to 9999. A leap second counts as the second before it.
pub fn seconds_of(text: &str) -> Option<u64> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let date = date.parse::<Date>().ok()?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = (rest.get(..8)?, rest.get(8..)?);
    let mut parts = time.splitn(3, ':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let seconds = date.at(hour, minute, number(parts.next()?, 2)?)?;
    let zone = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            (zone.len() < fraction.len()).then_some(zone)?
        }
    };
    if zone.eq_ignore_ascii_case("z") {
        return Some(seconds);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset = hours * 3_600 + minutes * 60;
    match zone.as_bytes().first()? {
        b'+' => seconds.checked_sub(offset),
        b'-' => Some(seconds + offset).filter(|time| *time <= LAST),
        _ => None,
    }
}

fn number(text: &str, digits: usize) -> Option<u64> {
    let right = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if right { text.parse().ok() } else { None }
}

/// A day of the Gregorian calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Days since 1970-01-01.
    days: i64,
}

impl Date {
    /// The current day.
    pub fn today() -> Self {
        Self::of_seconds(now())
    }

    /// The day of a time in seconds since 1970.
    pub fn of_seconds(seconds: u64) -> Self {
        Self { days: i64::try_from(seconds / 86_400).unwrap_or(i64::MAX) }
    }

    /// The day with this year (0 to 9999), month and day, if it exists.
    pub fn new(year: i64, month: i64, day: i64) -> Option<Self> {
        let may_be = (0..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
        let date = may_be.then(|| Self::of_parts(year, month, day))?;
        // A day such as 31 February is converted to another date.
        (date.parts() == (year, month, day)).then_some(date)
    }

    /// The seconds since 1970 of a time on this day; none if the time does not exist or is before 1970. A leap second counts
    /// as the second before it.
    pub fn at(self, hour: u64, minute: u64, second: u64) -> Option<u64> {
        let days = u64::try_from(self.days).ok()?;
        let is_time = hour < 24 && minute < 60 && second <= 60;
        is_time.then(|| days * 86_400 + hour * 3_600 + minute * 60 + second.min(59))
    }

    /// Days from `earlier` to this one.
    pub fn since(self, earlier: Self) -> i64 {
        self.days.saturating_sub(earlier.days)
    }

    /// Year, month and day (Howard Hinnant, "chrono-compatible low-level date algorithms").
    fn parts(self) -> (i64, i64, i64) {
        let shifted = self.days.saturating_add(719_468);
        let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }

    fn of_parts(year: i64, month: i64, day: i64) -> Self {
        let year = if month <= 2 { year - 1 } else { year };
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        Self { days: era * 146_097 + of_era - 719_468 }
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split('-').collect();
        if let [year, month, day] = parts[..]
            && (year.len(), month.len(), day.len()) == (4, 2, 2)
            && parts.concat().bytes().all(|byte| byte.is_ascii_digit())
            && let (Ok(year), Ok(month), Ok(day)) = (year.parse(), month.parse(), day.parse())
            && let Some(date) = Self::new(year, month, day)
        {
            return Ok(date);
        }
        Err(format!("'{text}' is not a day such as 2026-08-21"))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.parts();
        f.pad(&format!("{year:04}-{month:02}-{day:02}"))
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_and_parsed() {
        for (time, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_210_096, "2024-02-29T12:34:56Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
            (LAST, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(time), text);
            assert_eq!(seconds_of(text), Some(time));
        }
    }

    #[test]
    fn days_are_counted_and_formatted() {
        for (text, days) in
            [("1970-01-01", 0), ("2000-02-29", 11_016), ("2026-08-21", 20_686), ("1969-12-31", -1)]
        {
            let date: Date = text.parse().unwrap();
            assert_eq!((date.days, date.to_string().as_str()), (days, text));
        }
        for bad in [
            "",
            "2026-8-21",
            "2026-02-30",
            "2026-13-01",
            "26-01-01",
            "2026-01-01T00",
            "2026-00-01",
            "+026-01-01",
        ] {
            assert!(bad.parse::<Date>().is_err(), "{bad}");
        }
        assert_eq!(Date::of_seconds(86_399), "1970-01-01".parse().unwrap());
    }

    #[test]
    fn malformed_times_are_none() {
        for (text, expected) in [
            ("2024-02-29T12:34:56.789z", Some(1_709_210_096)),
            ("2024-02-29T13:34:56+01:00", Some(1_709_210_096)),
            ("2024-02-29 11:04:56-01:30", Some(1_709_210_096)),
            ("2024-02-29T23:34:56-02:30", Some(1_709_258_696)),
            ("2024-12-31T23:59:60Z", Some(1_735_689_599)),
            ("9999-12-31T23:59:59-01:00", None),
            ("1970-01-01T00:00:00+01:00", None),
            ("2024-02-29T12:34:56+1:00", None),
            ("2024-02-30T00:00:00Z", None),
            ("2023-02-29T00:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-01-01T24:00:00Z", None),
            ("2024-01-01T00:00:00", None),
            ("2024-01-01T00:00:00.Z", None),
            ("2024-01-01T00:00:00Zx", None),
            ("2024-01-01T00:00:00x01:00", None),
            ("2024-01-01", None),
            ("+024-01-01T00:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("yesterday", None),
            ("2024-02-2éT00:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(seconds_of(text), expected, "{text}");
        }
    }
}
