//! The Huffman code of RFC 7541 appendix B.
//!
//! The code is canonical: codes of the same length are consecutive, in the order of their symbols, so that
//! all tables can be computed from the lengths. Codes of up to eight bits, which cover nearly all header
//! text, are found with one lookup; longer ones by comparison with the first code of each length.

use super::Malformed;

/// The length of each symbol's code; the last entry is the end-of-string symbol.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28,
    28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8,
    15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23,
    23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21,
    23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21,
    26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// Padding has fewer bits than this.
const PADDING: u32 = 8;

#[derive(Clone, Copy)]
struct Short {
    symbol: u8,
    /// The length of the code; 0 if it has more than eight bits.
    len: u8,
}

struct Tables {
    codes: [u32; 257],
    /// Indexed by the next eight bits.
    short: [Short; 256],
    /// The symbols ordered by code.
    symbols: [u16; 257],
    /// By length: the first code, the index of its symbol, and the number of codes.
    first: [u32; 31],
    place: [u16; 31],
    count: [u16; 31],
}

static TABLES: Tables = tables();

#[expect(clippy::cast_possible_truncation, reason = "symbols are below 257 and there is no From in const")]
const fn tables() -> Tables {
    let mut made = Tables {
        codes: [0; 257],
        short: [Short { symbol: 0, len: 0 }; 256],
        symbols: [0; 257],
        first: [0; 31],
        place: [0; 31],
        count: [0; 31],
    };
    let (mut code, mut placed, mut len) = (0_u32, 0_usize, 5_usize);
    while len <= 30 {
        made.first[len] = code;
        made.place[len] = placed as u16;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == len {
                made.codes[symbol] = code;
                made.symbols[placed] = symbol as u16;
                if len <= 8 {
                    let mut low = 0;
                    while low < 1_usize << (8 - len) {
                        made.short[((code as usize) << (8 - len)) | low] =
                            Short { symbol: symbol as u8, len: len as u8 };
                        low += 1;
                    }
                }
                code += 1;
                placed += 1;
            }
            symbol += 1;
        }
        made.count[len] = placed as u16 - made.place[len];
        code <<= 1;
        len += 1;
    }
    made
}

/// Appends the decoded string to `out`.
///
/// # Errors
///
/// [`Malformed`] for the end-of-string symbol, for padding of eight bits or more, and for padding
/// that is not of ones (section 5.2).
pub fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    out.reserve(input.len() * 8 / 5 + 1);
    let mut bytes = input;
    // The next bits, left-aligned and padded with zeros.
    let (mut window, mut bits) = (0_u64, 0_u32);
    loop {
        if bits <= 32 {
            if let Some((four, rest)) = bytes.split_first_chunk::<4>() {
                window |= u64::from(u32::from_be_bytes(*four)) << (32 - bits);
                bits += 32;
                bytes = rest;
            } else {
                while let Some((&byte, rest)) = bytes.split_first() {
                    window |= u64::from(byte) << (56 - bits);
                    bits += 8;
                    bytes = rest;
                }
            }
        }
        let short = TABLES.short[usize::from(window.to_be_bytes()[0])];
        let (symbol, len) = if short.len > 0 { (short.symbol, u32::from(short.len)) } else { long(window)? };
        if len > bits {
            break;
        }
        out.push(symbol);
        window <<= len;
        bits -= len;
    }
    let ones = u64::MAX.checked_shl(64 - bits).unwrap_or(0);
    if bits >= PADDING || window != ones { Err(Malformed) } else { Ok(()) }
}

/// The symbol of a code of more than eight bits, and its length. Padding gives a length above the number of
/// remaining bits.
fn long(window: u64) -> Result<(u8, u32), Malformed> {
    for len in 10..=30_u8 {
        let code = u32::try_from(window >> (64 - u32::from(len))).map_err(|_| Malformed)?;
        let at = usize::from(len);
        let beyond = code.wrapping_sub(TABLES.first[at]);
        if beyond < u32::from(TABLES.count[at]) {
            let place = usize::from(TABLES.place[at]) + usize::try_from(beyond).map_err(|_| Malformed)?;
            let symbol = u8::try_from(TABLES.symbols[place]).map_err(|_| Malformed)?;
            return Ok((symbol, u32::from(len)));
        }
    }
    Err(Malformed)
}

/// The number of bytes that [`encode`] writes.
pub fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|&byte| usize::from(LENGTHS[usize::from(byte)])).sum();
    bits.div_ceil(8)
}

/// Appends the encoded string to `out`.
pub fn encode(text: &[u8], out: &mut Vec<u8>) {
    // Fewer than eight bits are pending at the bottom of the window.
    let (mut window, mut bits) = (0_u64, 0_u32);
    for &byte in text {
        let at = usize::from(byte);
        let len = u32::from(LENGTHS[at]);
        window = (window << len) | u64::from(TABLES.codes[at]);
        bits += len;
        while bits >= 8 {
            bits -= 8;
            out.push((window >> bits).to_le_bytes()[0]);
        }
    }
    if bits > 0 {
        let padded = (window << (8 - bits)) | (0xff >> bits);
        out.push(padded.to_le_bytes()[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::{Malformed, decode, encode, encoded_len};

    fn decoded(input: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::new();
        decode(input, &mut out).map(|()| out)
    }

    #[test]
    fn strings_of_appendix_c() {
        let table: [(&str, &[u8]); 4] = [
            ("www.example.com", &[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff]),
            ("no-cache", &[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf]),
            ("302", &[0x64, 0x02]),
            ("private", &[0xae, 0xc3, 0x77, 0x1a, 0x4b]),
        ];
        for (text, code) in table {
            let mut out = Vec::new();
            encode(text.as_bytes(), &mut out);
            assert_eq!(out, code, "{text}");
            assert_eq!(encoded_len(text.as_bytes()), code.len());
            assert_eq!(decoded(code).as_deref(), Ok(text.as_bytes()));
        }
    }

    #[test]
    fn every_byte_round_trips() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        for start in 0..all.len() {
            let mut out = Vec::new();
            encode(&all[start..], &mut out);
            assert_eq!(decoded(&out).as_deref(), Ok(&all[start..]), "from {start}");
        }
    }

    #[test]
    fn bad_padding_and_the_end_symbol_are_malformed() {
        let table: [(&[u8], bool); 9] = [
            (&[], true),
            (&[0x1f], true),
            (&[0xff], false),
            (&[0x1f, 0xff], false),
            (&[0x18], false),
            (&[0x00], false),
            (&[0xff, 0xff, 0xff, 0xff], false),
            (&[0xff, 0xff, 0xff, 0xfc], false),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], false),
        ];
        for (code, valid) in table {
            assert_eq!(decoded(code).is_ok(), valid, "{code:?}");
        }
    }
}
