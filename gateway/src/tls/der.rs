//! A DER (X.690) parser for certificates.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// A sequence of values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Der<'a>(pub &'a [u8]);

impl<'a> Der<'a> {
    /// The next value with its tag; `None` at the end or if the value is incomplete.
    pub fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, length], mut rest) = self.0.split_first_chunk::<2>()?;
        let length = match length {
            0..=0x7f => usize::from(length),
            0x81..=0x84 => {
                let (digits, after) = rest.split_at_checked(usize::from(length & 0x7f))?;
                rest = after;
                digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit))
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, value))
    }

    /// The next value, if it has this tag.
    pub fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let (found, value) = ahead.any()?;
        (found == tag).then(|| {
            *self = ahead;
            value
        })
    }

    /// The content of the next value, if it has this tag.
    pub fn inside(&mut self, tag: u8) -> Option<Self> {
        self.value(tag).map(Self)
    }

    /// The next value as a time (RFC 5280 section 4.1.2.5), not before 1970.
    pub fn time(&mut self) -> Option<SystemTime> {
        let (tag, text) = self.any()?;
        let text = text.strip_suffix(b"Z")?;
        let (century, text) = match tag {
            UTC_TIME => (if number(text.get(..2)?)? < 50 { 20 } else { 19 }, text),
            GENERALIZED_TIME => (number(text.get(..2)?)?, &text[2..]),
            _ => return None,
        };
        let mut parts = [0; 6];
        if text.len() != 2 * parts.len() {
            return None;
        }
        for (part, digits) in parts.iter_mut().zip(text.chunks(2)) {
            *part = number(digits)?;
        }
        let [year, month, day, hour, minute, second] = parts;
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let days = days(century * 100 + year, month, day);
        let Some(days) = days.checked_sub(719_468) else { return Some(UNIX_EPOCH) };
        Some(UNIX_EPOCH + Duration::from_secs(days * 86_400 + hour * 3600 + minute * 60 + second))
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
}

/// Days since the first of March of the year 0 in the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> u64 {
    // Years are counted from March, so that the leap day is the last day; 400 years are added to avoid a
    // negative year, and subtracted again.
    let year = year + 400 - u64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    (year * 365 + year / 4 - year / 100 + year / 400 + day_of_year).saturating_sub(146_097)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::Der;

    #[test]
    fn values_are_parsed() {
        let long = [&[0x04, 0x81, 0x80][..], &[7; 128]].concat();
        let table: [(&[u8], Option<usize>); 8] = [
            (&[0x04, 0x00], Some(0)),
            (&[0x30, 0x02, 1, 2, 3], Some(2)),
            (&long, Some(128)),
            (&[], None),
            (&[0x04], None),
            (&[0x04, 0x02, 1], None),
            (&[0x04, 0x80, 1, 0, 0], None),
            (&[0x04, 0x84, 0xff, 0xff, 0xff, 0xff], None),
        ];
        for (bytes, expected) in table {
            assert_eq!(Der(bytes).any().map(|(_, value)| value.len()), expected, "{bytes:?}");
        }
    }

    #[test]
    fn times_are_parsed() {
        let table = [
            (0x17, "700101000000Z", Some(0)),
            (0x17, "491231235959Z", Some(2_524_607_999)),
            (0x17, "500101000000Z", Some(0)),
            (0x17, "000229120000Z", Some(951_825_600)),
            (0x18, "20000301000000Z", Some(951_868_800)),
            (0x18, "99991231235959Z", Some(253_402_300_799)),
            (0x18, "00000101000000Z", Some(0)),
            (0x17, "7001010000Z", None),
            (0x17, "701301000000Z", None),
            (0x17, "700100000000Z", None),
            (0x17, "70010100000xZ", None),
            (0x17, "700101000000", None),
            (0x18, "", None),
            (0x04, "700101000000Z", None),
        ];
        for (tag, text, seconds) in table {
            let length = u8::try_from(text.len()).expect("short");
            let bytes = [&[tag, length], text.as_bytes()].concat();
            let expected = seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(Der(&bytes).time(), expected, "{text}");
        }
    }
}
