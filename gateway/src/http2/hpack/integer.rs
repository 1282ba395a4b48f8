//! Integers with a prefix (RFC 7541 section 5.1).

use super::Malformed;

/// Decodes an integer with a prefix of `bits` bits in the byte at `at`, and moves `at` behind it.
///
/// # Errors
///
/// [`Malformed`] if the block ends within the integer, or above 2^28, which exceeds every valid length and
/// index.
pub fn decode(block: &[u8], at: &mut usize, bits: u32) -> Result<usize, Malformed> {
    let mask = (1_u8 << bits) - 1;
    let first = *block.get(*at).ok_or(Malformed)? & mask;
    *at += 1;
    if first < mask {
        return Ok(usize::from(first));
    }
    let mut value = usize::from(mask);
    for shift in [0, 7, 14, 21] {
        let byte = *block.get(*at).ok_or(Malformed)?;
        *at += 1;
        value += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

/// Encodes an integer with a prefix of `bits` bits; `first` has the bits before the prefix.
pub fn encode(out: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let mask = (1_usize << bits) - 1;
    if value < mask {
        out.push(first | low_byte(value));
        return;
    }
    out.push(first | low_byte(mask));
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(low_byte(rest) | 0x80);
        rest >>= 7;
    }
    out.push(low_byte(rest));
}

const fn low_byte(value: usize) -> u8 {
    value.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::{Malformed, decode, encode};

    #[test]
    fn integers_of_appendix_c1_and_the_bounds() {
        let table: [(usize, u32, &[u8]); 6] = [
            (10, 5, &[0x0a]),
            (1337, 5, &[0x1f, 0x9a, 0x0a]),
            (42, 8 - 1, &[0x2a]),
            (30, 5, &[0x1e]),
            (31, 5, &[0x1f, 0x00]),
            (127 + 0x0fff_ffff, 7, &[0x7f, 0xff, 0xff, 0xff, 0x7f]),
        ];
        for (value, bits, bytes) in table {
            let mut out = Vec::new();
            encode(&mut out, 0, bits, value);
            assert_eq!(out, bytes, "{value}");
            let mut at = 0;
            assert_eq!(decode(bytes, &mut at, bits), Ok(value));
            assert_eq!(at, bytes.len());
        }
    }

    #[test]
    fn truncated_and_endless_integers_are_malformed() {
        let table: [&[u8]; 4] =
            [&[], &[0x1f], &[0x1f, 0x80, 0x80], &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]];
        for bytes in table {
            assert_eq!(decode(bytes, &mut 0, 5), Err(Malformed), "{bytes:?}");
        }
    }
}
