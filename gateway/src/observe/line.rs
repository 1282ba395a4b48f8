//! One record in one line: a JSON object, or pairs of logfmt.

use std::io::Write;

use crate::http1::encode::append_number;
use crate::net::append;

/// The format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// A JSON object (RFC 8259).
    #[default]
    Json,
    /// `key=value`, with quotes around a value that needs them.
    Logfmt,
}

/// A key as written in a line, with the preceding separator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Box<[u8]>);

impl Style {
    /// A key in this style.
    pub fn key(self, name: &str) -> Key {
        let text = match self {
            Self::Json => {
                let mut text = b",".to_vec();
                append_quoted(&mut text, name);
                text.push(b':');
                text
            }
            Self::Logfmt => format!(" {name}=").into_bytes(),
        };
        Key(text.into())
    }
}

/// Writes the fields of a record to the end of a buffer.
#[derive(Debug)]
pub struct Line<'b> {
    out: &'b mut Vec<u8>,
    style: Style,
    first: bool,
}

impl<'b> Line<'b> {
    /// Begins a record.
    pub fn new(out: &'b mut Vec<u8>, style: Style) -> Self {
        if style == Style::Json {
            out.push(b'{');
        }
        Self { out, style, first: true }
    }

    fn key(&mut self, key: &Key) {
        let from = usize::from(std::mem::take(&mut self.first));
        append(self.out, &key.0[from..]);
    }

    /// Adds a text that needs no escapes or quotes.
    pub fn plain(&mut self, key: &Key, value: &[u8]) {
        self.key(key);
        if self.style == Style::Logfmt {
            return append(self.out, value);
        }
        self.out.push(b'"');
        append(self.out, value);
        self.out.push(b'"');
    }

    /// Adds a text.
    pub fn text(&mut self, key: &Key, value: &str) {
        let breaks = self.style == Style::Logfmt;
        let plain = |byte: &u8| {
            (0x20..0x7f).contains(byte)
                && !matches!(*byte, b'"' | b'\\')
                && !(breaks && matches!(*byte, b' ' | b'='))
        };
        if value.as_bytes().iter().all(plain) && !(breaks && value.is_empty()) {
            return self.plain(key, value.as_bytes());
        }
        self.key(key);
        append_quoted(self.out, value);
    }

    /// Adds a text; without one `null` in JSON, nothing in logfmt.
    pub fn optional(&mut self, key: &Key, value: Option<&str>) {
        if let Some(value) = value {
            return self.text(key, value);
        }
        self.key(key);
        if self.style == Style::Json {
            append(self.out, b"null");
        }
    }

    /// Adds a whole number.
    pub fn number(&mut self, key: &Key, value: u64) {
        self.key(key);
        append_number(self.out, value);
    }

    /// Adds a number of seconds, given in microseconds.
    pub fn seconds(&mut self, key: &Key, micros: u64) {
        self.key(key);
        append_number(self.out, micros / 1_000_000);
        let mut digits = *b".000000";
        let mut rest = micros % 1_000_000;
        for digit in digits[1..].iter_mut().rev() {
            // The last digit.
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        append(self.out, &digits);
    }

    /// Ends the record and the line.
    pub fn finish(self) {
        append(self.out, if self.style == Style::Json { b"}\n" } else { b"\n" });
    }
}

/// Appends a JSON string (RFC 8259 section 7).
pub fn append_quoted(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    for c in value.chars() {
        match c {
            '"' => append(out, b"\\\""),
            '\\' => append(out, b"\\\\"),
            // Some readers treat line and paragraph separators as line ends.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => append(out, c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::{Line, Style};

    fn written(style: Style) -> String {
        let mut out = Vec::new();
        let mut line = Line::new(&mut out, style);
        line.text(&style.key("a"), "q\"\\\n\u{7f}é\u{2028}");
        line.optional(&style.key("b"), None);
        line.number(&style.key("c"), 70);
        line.seconds(&style.key("d"), 10_250_000);
        line.text(&style.key("e"), "plain");
        line.text(&style.key("f"), "a =b");
        line.text(&style.key("g"), "");
        line.finish();
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn json_lines_are_written() {
        let expected = "{\"a\":\"q\\\"\\\\\\u000a\\u007fé\\u2028\",\"b\":null,\"c\":70,\"d\":10.250000,\
                        \"e\":\"plain\",\"f\":\"a =b\",\"g\":\"\"}\n";
        assert_eq!(written(Style::Json), expected);
    }

    #[test]
    fn logfmt_lines_are_written() {
        let expected =
            "a=\"q\\\"\\\\\\u000a\\u007fé\\u2028\" b= c=70 d=10.250000 e=plain f=\"a =b\" g=\"\"\n";
        assert_eq!(written(Style::Logfmt), expected);
    }
}
