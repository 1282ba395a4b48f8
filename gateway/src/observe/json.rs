//! One JSON object in one line.

use std::io::Write;

use crate::http1::encode::append_number;
use crate::net::append;

/// A key as it stands in a line.
#[macro_export]
#[doc(hidden)]
macro_rules! json_key {
    ($name:literal) => {
        concat!(",\"", $name, "\":").as_bytes()
    };
}

/// Writes the fields of an object one after another at the end of a buffer. Keys are given with the
/// comma before and the colon behind them, see [`crate::json_key`].
#[derive(Debug)]
pub struct Line<'b> {
    out: &'b mut Vec<u8>,
    first: bool,
}

impl<'b> Line<'b> {
    /// Begins an object.
    pub fn new(out: &'b mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    fn key(&mut self, key: &'static [u8]) {
        let from = usize::from(std::mem::take(&mut self.first));
        append(self.out, &key[from..]);
    }

    /// Adds a text in which nothing needs an escape.
    pub fn plain(&mut self, key: &'static [u8], value: &[u8]) -> &mut Self {
        self.key(key);
        self.out.push(b'"');
        append(self.out, value);
        self.out.push(b'"');
        self
    }

    /// Adds a text.
    pub fn text(&mut self, key: &'static [u8], value: &str) -> &mut Self {
        let plain = |byte: &u8| (0x20..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\';
        if value.as_bytes().iter().all(plain) {
            return self.plain(key, value.as_bytes());
        }
        self.key(key);
        self.out.push(b'"');
        self.escape(value);
        self.out.push(b'"');
        self
    }

    fn escape(&mut self, value: &str) {
        for c in value.chars() {
            match c {
                '"' => append(self.out, b"\\\""),
                '\\' => append(self.out, b"\\\\"),
                // Line and paragraph separators end a line for some readers.
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
                c => append(self.out, c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    /// Adds a text, or null.
    pub fn optional(&mut self, key: &'static [u8], value: Option<&str>) -> &mut Self {
        let Some(value) = value else {
            self.key(key);
            append(self.out, b"null");
            return self;
        };
        self.text(key, value)
    }

    /// Adds a whole number.
    pub fn number(&mut self, key: &'static [u8], value: u64) -> &mut Self {
        self.key(key);
        append_number(self.out, value);
        self
    }

    /// Adds a number of seconds, given in microseconds.
    pub fn seconds(&mut self, key: &'static [u8], micros: u64) -> &mut Self {
        self.key(key);
        append_number(self.out, micros / 1_000_000);
        let mut digits = *b".000000";
        let mut rest = micros % 1_000_000;
        for digit in digits[1..].iter_mut().rev() {
            // Below ten.
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        append(self.out, &digits);
        self
    }

    /// Ends the object and the line.
    pub fn finish(&mut self) {
        append(self.out, b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn texts_are_escaped() {
        let mut out = Vec::new();
        let mut line = Line::new(&mut out);
        line.text(json_key!("a"), "q\"\\\n\u{7f}é\u{2028}")
            .optional(json_key!("b"), None)
            .number(json_key!("c"), 70)
            .seconds(json_key!("d"), 10_250_000);
        line.text(json_key!("e"), "plain").finish();
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "{\"a\":\"q\\\"\\\\\\u000a\\u007fé\\u2028\",\"b\":null,\"c\":70,\"d\":10.250000,\"e\":\"plain\"}\n"
        );
    }
}
