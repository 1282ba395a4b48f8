//! Sizes with units.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A number of bytes; reads `8 MB` (10^6) and `8 MiB` (2^20), prints in powers of 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Bytes(pub u64);

const UNITS: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = (&text[..split], text[split..].trim());
        let factor =
            UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor);
        match (number.parse::<f64>(), factor) {
            // A float is exact up to 2^53 bytes.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            (Ok(number), Some(factor)) => Ok(Self((number * factor as f64).round() as u64)),
            _ => Err(format!("'{text}' is not a size: expected a number and B, kB, MB, GB, KiB, MiB or GiB")),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) =
            UNITS[..4].iter().rev().find(|(_, factor)| self.0 >= *factor).unwrap_or(&UNITS[0]);
        if *factor == 1 {
            return f.pad(&format!("{} {unit}", self.0));
        }
        let hundredths = (u128::from(self.0) * 100 + u128::from(*factor) / 2) / u128::from(*factor);
        f.pad(&format!("{}.{:02} {unit}", hundredths / 100, hundredths % 100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes, shown) in [
            ("8 MB", 8_000_000, "8.00 MB"),
            ("1.5MiB", 1_572_864, "1.57 MB"),
            ("0 b", 0, "0 B"),
            ("999 B", 999, "999 B"),
            ("2 GB", 2_000_000_000, "2.00 GB"),
            ("99999999999999 GB", u64::MAX, "18446744073.71 GB"),
        ] {
            let size: Bytes = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown), "{text}");
        }
        for bad in ["", "MB", "8", "1.2.3 MB", "-1 MB", "8 mega"] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
    }
}
