//! The time for which a certificate is valid (RFC 5280 section 4.1.2.5), read from its DER.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time for which a certificate is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    /// From this time on.
    pub not_before: Date,
    /// Until this time.
    pub not_after: Date,
}

/// A time, as a certificate writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Date {
    /// The time.
    pub time: SystemTime,
    /// `2026-11-30`.
    pub shown: String,
}

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which a certificate of version 1 does not have.
const VERSION: u8 = 0xa0;

/// Reads the validity of a certificate; nothing if it is not built as RFC 5280 has it.
pub fn read(certificate: &[u8]) -> Option<Validity> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (SEQUENCE, validity, _) = element(fields)? else { return None };
    let (tag, not_before, rest) = element(validity)?;
    let not_before = date(tag, not_before)?;
    let (tag, not_after, _) = element(rest)?;
    Some(Validity { not_before, not_after: date(tag, not_after)? })
}

/// The first element of some DER: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, length], rest) = der.split_first_chunk()?;
    let (length, rest) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        let count = usize::from(length & 0x7f);
        let (digits, rest) = rest.split_at_checked(count).filter(|_| (1..=4).contains(&count))?;
        (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn date(tag: u8, text: &[u8]) -> Option<Date> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let number = |from: usize, to: usize| {
        text.get(from..to)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?
            .parse::<u64>()
            .ok()
    };
    let (year, at) = match tag {
        // RFC 5280 section 4.1.2.5.1: 50 to 99 is the last century.
        UTC_TIME => (number(0, 2).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2),
        GENERALIZED_TIME => (number(0, 4)?, 4),
        _ => return None,
    };
    let two = |offset: usize| number(at + offset, at + offset + 2);
    let (month, day, hour, minute, second) = (two(0)?, two(2)?, two(4)?, two(6)?, two(8)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_since_1970(year, month, day);
    let seconds = days.saturating_mul(86_400) + hour * 3600 + minute * 60 + second;
    Some(Date {
        time: UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?,
        shown: format!("{year:04}-{month:02}-{day:02}"),
    })
}

/// Days of the Gregorian calendar since 1970-01-01; dates before it are that day.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // Years that begin in March have the leap day at their end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.saturating_sub(1), month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    days.saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{GENERALIZED_TIME, UTC_TIME, date, read};

    #[test]
    fn dates() {
        let table = [
            (UTC_TIME, "700101000000Z", Some((0, "1970-01-01"))),
            (UTC_TIME, "491231235959Z", Some((2_524_607_999, "2049-12-31"))),
            (UTC_TIME, "500101000000Z", Some((0, "1950-01-01"))),
            (GENERALIZED_TIME, "20240229120000Z", Some((1_709_208_000, "2024-02-29"))),
            (GENERALIZED_TIME, "99991231235959Z", Some((253_402_300_799, "9999-12-31"))),
            (UTC_TIME, "7001010000Z", None),
            (UTC_TIME, "70010100000+Z", None),
            (UTC_TIME, "700001000000Z", None),
            (UTC_TIME, "700101000000", None),
            (2, "700101000000Z", None),
        ];
        for (tag, text, expected) in table {
            let found = date(tag, text.as_bytes()).map(|date| (date.time, date.shown));
            let expected = expected
                .map(|(seconds, shown)| (UNIX_EPOCH + Duration::from_secs(seconds), shown.to_owned()));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic() {
        let pem = include_str!("../../tests/data/localhost.crt");
        let der = <rustls::pki_types::CertificateDer as rustls::pki_types::pem::PemObject>::from_pem_slice(
            pem.as_bytes(),
        )
        .expect("a certificate");
        assert!(read(&der).is_some());
        for end in 0..der.len() {
            let _ = read(&der[..end]);
            let mut bent = der.to_vec();
            bent[end] ^= 0xff;
            let _ = read(&bent);
        }
        for bytes in [&[][..], &[0x30], &[0x30, 0x80], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0x89]] {
            assert_eq!(read(bytes), None);
        }
    }
}
