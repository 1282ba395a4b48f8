//! One JSON object in one line.

use std::io::Write;

use crate::http1::encode::append_number;

/// Writes the fields of an object one after another at the end of a buffer.
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

    fn key(&mut self, key: &'static str) {
        self.out.extend_from_slice(if self.first { b"\"" } else { b",\"" });
        self.first = false;
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Adds a text.
    pub fn text(&mut self, key: &'static str, value: &str) -> &mut Self {
        self.key(key);
        self.out.push(b'"');
        let plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
        if value.bytes().all(plain) {
            self.out.extend_from_slice(value.as_bytes());
        } else {
            self.escape(value);
        }
        self.out.push(b'"');
        self
    }

    fn escape(&mut self, value: &str) {
        for c in value.chars() {
            match c {
                '"' => self.out.extend_from_slice(b"\\\""),
                '\\' => self.out.extend_from_slice(b"\\\\"),
                // Line and paragraph separators end a line for some readers.
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
                c => self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    /// Adds a text, or null.
    pub fn optional(&mut self, key: &'static str, value: Option<&str>) -> &mut Self {
        let Some(value) = value else {
            self.key(key);
            self.out.extend_from_slice(b"null");
            return self;
        };
        self.text(key, value)
    }

    /// Adds a whole number.
    pub fn number(&mut self, key: &'static str, value: u64) -> &mut Self {
        self.key(key);
        append_number(self.out, value);
        self
    }

    /// Adds a number of seconds, given in microseconds.
    pub fn seconds(&mut self, key: &'static str, micros: u64) -> &mut Self {
        self.key(key);
        append_number(self.out, micros / 1_000_000);
        let mut digits = *b".000000";
        let mut rest = micros % 1_000_000;
        for digit in digits[1..].iter_mut().rev() {
            // Below ten.
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        self.out.extend_from_slice(&digits);
        self
    }

    /// Ends the object and the line.
    pub fn finish(&mut self) {
        self.out.extend_from_slice(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn texts_are_escaped() {
        let mut out = Vec::new();
        let mut line = Line::new(&mut out);
        line.text("a", "q\"\\\n\u{7f}é\u{2028}").optional("b", None).number("c", 70).seconds("d", 10_250_000);
        line.text("e", "plain").finish();
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "{\"a\":\"q\\\"\\\\\\u000a\\u007fé\\u2028\",\"b\":null,\"c\":70,\"d\":10.250000,\"e\":\"plain\"}\n"
        );
    }
}
