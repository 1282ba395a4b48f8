//! Days, as advisories and settings write them: `2026-08-21`.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A day of the Gregorian calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Days since 1970-01-01.
    days: i64,
}

impl Date {
    /// This day.
    pub fn today() -> Self {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self::of_seconds(seconds)
    }

    /// The day of this moment, in seconds since 1970.
    pub fn of_seconds(seconds: u64) -> Self {
        Self { days: i64::try_from(seconds / 86_400).unwrap_or(i64::MAX) }
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
            // 31 February becomes another day and so does not come back the same.
            && Self::of_parts(year, month, day).parts() == (year, month, day)
        {
            return Ok(Self::of_parts(year, month, day));
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

/// The end of the year 9999, the last that RFC 3339 can write.
const LAST: u64 = 253_402_300_799;

/// An RFC 3339 time in seconds since 1970, fractions cut off; none where it is none, or lies outside of the
/// years 1970 to 9999.
pub fn seconds_of(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<u64>().ok()
    };
    let at = |place: usize| text.as_bytes().get(place).map(u8::to_ascii_uppercase);
    if at(10) != Some(b'T') || at(13) != Some(b':') || at(16) != Some(b':') {
        return None;
    }
    let days = text.get(..10)?.parse::<Date>().ok()?.since(Date::of_seconds(0));
    let days = u64::try_from(days).ok()?;
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let fraction = text.get(19..)?;
    let digits =
        fraction.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let zone = if digits > 0 { fraction.get(digits + 1..)? } else { fraction };
    let shift = |text: &str| {
        let (hours, minutes) = text.split_once(':')?;
        let part = |text: &str, most: u64| {
            let two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u64>().ok().filter(|number| two && *number <= most)
        };
        Some(part(hours, 23)? * 3_600 + part(minutes, 59)? * 60)
    };
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let time = days * 86_400 + hour * 3_600 + minute * 60 + second.min(59);
    let time = match (zone, zone.strip_prefix('+'), zone.strip_prefix('-')) {
        ("Z" | "z", _, _) => time,
        (_, Some(east), _) => time.checked_sub(shift(east)?)?,
        (_, _, Some(west)) => time + shift(west)?,
        _ => return None,
    };
    (time <= LAST).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_and_written() {
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
    fn times_of_others() {
        for (text, expected) in [
            ("2024-02-29T12:34:56Z", Some("2024-02-29T12:34:56Z")),
            ("2024-02-29T12:34:56.789123456Z", Some("2024-02-29T12:34:56Z")),
            ("2024-02-29t23:34:56z", Some("2024-02-29T23:34:56Z")),
            ("2024-02-29T23:34:56-02:30", Some("2024-03-01T02:04:56Z")),
            ("2024-02-29T00:34:56.5+01:00", Some("2024-02-28T23:34:56Z")),
            ("2024-12-31T23:59:60Z", Some("2024-12-31T23:59:59Z")),
            ("1970-01-01T00:00:00+01:00", None),
            ("0001-01-01T00:00:00Z", None),
            ("2023-02-29T00:00:00Z", None),
            ("2024-02-29T24:00:00Z", None),
            ("2024-02-29T12:34:56", None),
            ("2024-02-29T12:34:56.Z", None),
            ("2024-02-29T12:34:56+1:00", None),
            ("2024-02-29T12:34:56é", None),
            ("2024-02-29 12:34:56Z", None),
            ("2024-02-29", None),
            ("", None),
        ] {
            assert_eq!(seconds_of(text).map(crate::git::rfc3339).as_deref(), expected, "{text}");
        }
    }
}
