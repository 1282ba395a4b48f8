//! Formats times (RFC 3339, HTTP dates).

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

/// A time to the millisecond, such as `2026-01-31T12:00:00.000Z`.
pub type Text = [u8; 24];

/// Formats times for one worker. Each second is formatted once.
#[derive(Debug, Default)]
pub struct WallClock {
    last: Cell<Option<(u64, Text)>>,
    last_date: Cell<Option<(u64, Date)>>,
}

/// A time in the format of HTTP (RFC 9110 section 5.6.7), such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub type Date = [u8; 29];

impl WallClock {
    /// The given time in UTC. Times before 1970 or after 9999 give the start of 1970.
    pub fn text(&self, time: SystemTime) -> Text {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs();
        let mut text = match self.last.get() {
            Some((last, text)) if last == second => text,
            _ => {
                let text = rfc3339(time).as_bytes().try_into().unwrap_or(*b"1970-01-01T00:00:00.000Z");
                self.last.set(Some((second, text)));
                text
            }
        };
        let mut millis = since.subsec_millis();
        for place in [22, 21, 20] {
            // The last digit.
            text[place] = b'0' + u8::try_from(millis % 10).unwrap_or_default();
            millis /= 10;
        }
        text
    }

    /// The current time in the format of HTTP.
    pub fn http_date(&self) -> Date {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        match self.last_date.get() {
            Some((last, date)) if last == second => date,
            _ => {
                let date = httpdate::fmt_http_date(now).as_bytes().try_into().unwrap_or([b' '; 29]);
                self.last_date.set(Some((second, date)));
                date
            }
        }
    }
}

/// The given time in UTC to the millisecond, such as `2026-01-31T12:00:00.000Z`.
///
/// Times before 1970 give the start of 1970.
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let rest = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60,
        since.subsec_millis()
    )
}

/// Year, month and day of a number of days since 1970-01-01 in the Gregorian calendar. Years are counted from
/// March, so that the leap day is the last day.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{WallClock, rfc3339};

    #[test]
    fn times_are_formatted() {
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (millis, expected) in table {
            let time = UNIX_EPOCH + Duration::from_millis(millis);
            assert_eq!(rfc3339(time), expected);
            let clock = WallClock::default();
            clock.text(time - Duration::from_millis(millis % 1000));
            assert_eq!(clock.text(time), expected.as_bytes());
        }
    }
}
