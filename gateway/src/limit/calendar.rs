//! The hour, day or month of a moment in UTC.

use crate::settings::Calendar;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// A window of the calendar: when it began and ends, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first second.
    pub begin: u64,
    /// The first second after it.
    pub end: u64,
}

impl Window {
    /// The window that holds a moment in seconds since 1970.
    pub fn of(calendar: Calendar, now: u64) -> Self {
        let whole = |length: u64| {
            let begin = now - now % length;
            Self { begin, end: begin + length }
        };
        match calendar {
            Calendar::Hour => whole(HOUR),
            Calendar::Day => whole(DAY),
            Calendar::Month => {
                let (year, month) = month_of(now / DAY);
                let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                Self { begin: first_day(year, month) * DAY, end: first_day(next.0, next.1) * DAY }
            }
        }
    }
}

/// Days since 1970 at the first of a month. Years begin in March here, so that the leap day is the last
/// of a year and months have lengths by one formula.
fn first_day(year: u64, month: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_before_month = (153 * month + 2) / 5;
    365 * year + year / 4 - year / 100 + year / 400 + days_before_month - 719_468
}

/// Year and month of a day since 1970.
fn month_of(day: u64) -> (u64, u64) {
    // The mean year is off by less than a month for thousands of years.
    let mut year = 1970 + day * 400 / 146_097;
    if first_day(year, 1) > day {
        year -= 1;
    } else if first_day(year + 1, 1) <= day {
        year += 1;
    }
    let month = (1..=12).rev().find(|&month| first_day(year, month) <= day).unwrap_or(1);
    (year, month)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{Calendar, Window};

    fn seconds(date: &str) -> u64 {
        let time = httpdate::parse_http_date(date).expect(date);
        time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
    }

    #[test]
    fn windows_of_the_calendar() {
        let table = [
            (
                Calendar::Hour,
                "Mon, 30 Nov 2026 05:59:59 GMT",
                "Mon, 30 Nov 2026 05:00:00 GMT",
                "Mon, 30 Nov 2026 06:00:00 GMT",
            ),
            (
                Calendar::Day,
                "Mon, 30 Nov 2026 00:00:00 GMT",
                "Mon, 30 Nov 2026 00:00:00 GMT",
                "Tue, 01 Dec 2026 00:00:00 GMT",
            ),
            (
                Calendar::Month,
                "Mon, 30 Nov 2026 23:59:59 GMT",
                "Sun, 01 Nov 2026 00:00:00 GMT",
                "Tue, 01 Dec 2026 00:00:00 GMT",
            ),
            (
                Calendar::Month,
                "Thu, 31 Dec 2026 23:59:59 GMT",
                "Tue, 01 Dec 2026 00:00:00 GMT",
                "Fri, 01 Jan 2027 00:00:00 GMT",
            ),
            (
                Calendar::Month,
                "Tue, 29 Feb 2028 12:00:00 GMT",
                "Tue, 01 Feb 2028 00:00:00 GMT",
                "Wed, 01 Mar 2028 00:00:00 GMT",
            ),
            (
                Calendar::Month,
                "Sun, 28 Feb 2100 12:00:00 GMT",
                "Mon, 01 Feb 2100 00:00:00 GMT",
                "Mon, 01 Mar 2100 00:00:00 GMT",
            ),
            (
                Calendar::Month,
                "Thu, 01 Jan 1970 00:00:00 GMT",
                "Thu, 01 Jan 1970 00:00:00 GMT",
                "Sun, 01 Feb 1970 00:00:00 GMT",
            ),
        ];
        for (calendar, now, begin, end) in table {
            let expected = Window { begin: seconds(begin), end: seconds(end) };
            assert_eq!(Window::of(calendar, seconds(now)), expected, "{calendar:?} {now}");
        }
    }

    /// Another implementation of the calendar agrees on every day of 400 years.
    #[test]
    fn months_are_those_of_httpdate() {
        for day in 0..146_097 {
            let now = day * 24 * 3600;
            let month = |seconds| {
                httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))[8..16].to_owned()
            };
            let Window { begin, end } = Window::of(Calendar::Month, now);
            assert!(begin <= now && now < end, "{day}");
            assert_eq!((month(begin), month(end - 1)), (month(now), month(now)), "{day}");
            assert!(month(end) != month(now) && (begin == 0 || month(begin - 1) != month(now)), "{day}");
        }
    }
}
