//! Classification of HTTP/2 field names.

use crate::http::name::Name;
use crate::http::token::is_tchar;

/// The pseudo-header fields (RFC 9113 section 8.3, RFC 8441 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pseudo {
    /// `:method`
    Method,
    /// `:scheme`
    Scheme,
    /// `:authority`
    Authority,
    /// `:path`
    Path,
    /// `:protocol`
    Protocol,
    /// `:status`
    Status,
}

impl Pseudo {
    /// The number of variants.
    pub const COUNT: usize = 6;

    /// The name.
    pub const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Method => b":method",
            Self::Scheme => b":scheme",
            Self::Authority => b":authority",
            Self::Path => b":path",
            Self::Protocol => b":protocol",
            Self::Status => b":status",
        }
    }
}

/// Class of a field name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// A regular field.
    Field(Name),
    /// A pseudo-header field.
    Pseudo(Pseudo),
    /// A name that makes a message malformed: empty, with upper-case letters or other bytes outside a token
    /// (RFC 9113 section 8.2.1), or an unknown pseudo-header field.
    Bad,
}

impl Label {
    /// Classifies a name.
    pub fn of(name: &[u8]) -> Self {
        match name {
            [] => Self::Bad,
            [b':', ..] => match name {
                b":method" => Self::Pseudo(Pseudo::Method),
                b":scheme" => Self::Pseudo(Pseudo::Scheme),
                b":authority" => Self::Pseudo(Pseudo::Authority),
                b":path" => Self::Pseudo(Pseudo::Path),
                b":protocol" => Self::Pseudo(Pseudo::Protocol),
                b":status" => Self::Pseudo(Pseudo::Status),
                _ => Self::Bad,
            },
            _ if name.iter().all(|&byte| NAME[usize::from(byte)]) => Self::Field(Name::of(name)),
            _ => Self::Bad,
        }
    }
}

/// Bytes that are allowed in a name.
static NAME: [bool; 256] = name_bytes();

/// Bytes that are allowed in a value (RFC 9110 section 5.5).
static VALUE: [bool; 256] = value_bytes();

#[expect(clippy::cast_possible_truncation, reason = "below 256, and there is no From in const")]
const fn name_bytes() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_tchar(byte as u8) && !(byte as u8).is_ascii_uppercase();
        byte += 1;
    }
    table
}

#[expect(clippy::cast_possible_truncation, reason = "below 256, and there is no From in const")]
const fn value_bytes() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = crate::http::token::is_field_value(byte as u8);
        byte += 1;
    }
    table
}

/// Whether a value has no control characters and no leading or trailing white space (RFC 9113 section 8.2.1).
pub fn is_value(value: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    value.iter().all(|&byte| VALUE[usize::from(byte)]) && !blank(value.first()) && !blank(value.last())
}

#[cfg(test)]
mod tests {
    use super::{Label, Name, Pseudo, is_value};

    #[test]
    fn names_are_classified() {
        let table: [(&[u8], Label); 9] = [
            (b":path", Label::Pseudo(Pseudo::Path)),
            (b":paths", Label::Bad),
            (b":", Label::Bad),
            (b"", Label::Bad),
            (b"te", Label::Field(Name::Te)),
            (b"x-a", Label::Field(Name::Other)),
            (b"X-a", Label::Bad),
            (b"x a", Label::Bad),
            (b"x\xe9", Label::Bad),
        ];
        for (name, expected) in table {
            assert_eq!(Label::of(name), expected, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn values_are_validated() {
        let table: [(&[u8], bool); 10] = [
            (b"", true),
            (b"a b\tc", true),
            (b"\xff\x80", true),
            (b" a", false),
            (b"a ", false),
            (b"a\t", false),
            (b"a\rb", false),
            (b"a\nb", false),
            (b"a\0b", false),
            (b"\x7f", false),
        ];
        for (value, expected) in table {
            assert_eq!(is_value(value), expected, "{}", value.escape_ascii());
        }
    }
}
