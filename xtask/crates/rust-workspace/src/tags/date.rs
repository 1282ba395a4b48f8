//! Dates in templates, in the format of Moment.js, which docker/metadata-action uses.

use cli_support::time::rfc3339;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
// 1970-01-01 was a Thursday.
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// Formats a time (seconds since 1970) for `date 'YYYYMMDD-HHmmss' tz='+02:00'`. None if the format has unknown letters, or
/// the zone is none of UTC and an offset.
pub(super) fn date(name: &str, time: u64) -> Option<String> {
    let rest = name.strip_prefix("commit_date").or_else(|| name.strip_prefix("date"))?.trim();
    let (format, rest) = quoted(rest)?;
    let offset = match rest.trim() {
        "" => 0,
        zone => {
            let (zone, rest) = quoted(zone.strip_prefix("tz=")?)?;
            seconds_east(zone).filter(|_| rest.is_empty())?
        }
    };
    let local = time.checked_add_signed(offset)?;
    let mut out = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if let Some((text, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            out.push_str(text);
            rest = after;
            continue;
        }
        let end = rest.find(|c| c != first).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        match token(run, local, offset) {
            Some(text) => out.push_str(&text),
            None if run != "T" && first.is_alphabetic() || "'\"".contains(first) => return None,
            None => out.push_str(run),
        }
        rest = after;
    }
    Some(out)
}

/// The text in quotes, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| "'\"".contains(*c))?;
    text[1..].split_once(quote)
}

/// The offset of a time zone from UTC in seconds.
fn seconds_east(zone: &str) -> Option<i64> {
    if ["UTC", "Etc/UTC", "GMT", "Z"].contains(&zone) {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 14 && minutes < 60).then(|| sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
}

/// A run of one letter.
fn token(run: &str, local: u64, offset: i64) -> Option<String> {
    let text = rfc3339(local);
    let part = |from: usize, to: usize| text.get(from..to).map(str::to_owned);
    let bare = |from: usize| Some(text.get(from..from + 2)?.trim_start_matches('0').to_owned());
    // Zero has one digit.
    let number =
        |from: usize| bare(from).map(|digits| if digits.is_empty() { "0".to_owned() } else { digits });
    let hour: u64 = text.get(11..13)?.parse().ok()?;
    let twelve = if hour.is_multiple_of(12) { 12 } else { hour % 12 };
    let month = || MONTHS.get(text.get(5..7)?.parse::<usize>().ok()?.checked_sub(1)?);
    let day = || DAYS.get(usize::try_from(local / 86_400 % 7).ok()?);
    match run {
        "YYYY" => part(0, 4),
        "YY" => part(2, 4),
        "MMMM" => month().map(|&name| name.to_owned()),
        "MMM" => month()?.get(..3).map(str::to_owned),
        "MM" => part(5, 7),
        "M" => number(5),
        "DD" => part(8, 10),
        "D" => number(8),
        "dddd" => day().map(|&name| name.to_owned()),
        "ddd" => day()?.get(..3).map(str::to_owned),
        "HH" => part(11, 13),
        "H" => number(11),
        "hh" => Some(format!("{twelve:02}")),
        "h" => Some(twelve.to_string()),
        "mm" => part(14, 16),
        "m" => number(14),
        "ss" => part(17, 19),
        "s" => number(17),
        "A" => Some(if hour < 12 { "AM" } else { "PM" }.to_owned()),
        "a" => Some(if hour < 12 { "am" } else { "pm" }.to_owned()),
        "X" => Some(local.checked_add_signed(-offset)?.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_moment() {
        // 2024-02-29T12:34:56Z, a Thursday.
        for (name, expected) in [
            ("date 'YYYYMMDD-HHmmss'", "20240229-123456"),
            ("commit_date \"YYYY.MM.DDTHH\"", "2024.02.29T12"),
            ("date 'YYMD'", "24229"),
            ("date 'ddd, MMM D YYYY, h:mm a'", "Thu, Feb 29 2024, 12:34 pm"),
            ("date 'dddd MMMM [week]'", "Thursday February week"),
            ("date 'X'", "1709210096"),
            ("date 'YYYYMMDDHH' tz='UTC'", "2024022912"),
            ("date 'YYYYMMDDHH' tz='+14:00'", "2024030102"),
            ("date 'YYYYMMDDHH X' tz='-12:30'", "2024022900 1709210096"),
        ] {
            assert_eq!(date(name, 1_709_210_096).as_deref(), Some(expected), "{name}");
        }
        for none in [
            "date",
            "dates",
            "date 'QQ'",
            "date 'YYYY' tz='Asia/Tokyo'",
            "date 'YYYY' tz='+25:00'",
            "date ''x'",
            "date 'YYYY' x",
        ] {
            assert_eq!(date(none, 0), None, "{none}");
        }
    }
}
