//! One JSON object in one line.

use std::fmt::Write;

/// Writes the fields of an object one after another.
#[derive(Debug)]
pub struct Line(String);

impl Default for Line {
    fn default() -> Self {
        let mut line = String::with_capacity(512);
        line.push('{');
        Self(line)
    }
}

impl Line {
    fn key(&mut self, key: &'static str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    /// Adds a text.
    pub fn text(&mut self, key: &'static str, value: &str) -> &mut Self {
        self.key(key);
        self.0.push('"');
        for c in value.chars() {
            match c {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                // Line and paragraph separators end a line for some readers.
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        let _ = write!(self.0, "\\u{unit:04x}");
                    }
                }
                c => self.0.push(c),
            }
        }
        self.0.push('"');
        self
    }

    /// Adds a text, or null.
    pub fn optional(&mut self, key: &'static str, value: Option<&str>) -> &mut Self {
        let Some(value) = value else {
            self.key(key);
            self.0.push_str("null");
            return self;
        };
        self.text(key, value)
    }

    /// Adds a whole number.
    pub fn number(&mut self, key: &'static str, value: u64) -> &mut Self {
        self.key(key);
        let _ = write!(self.0, "{value}");
        self
    }

    /// Adds a number of seconds, to the microsecond.
    pub fn seconds(&mut self, key: &'static str, value: f64) -> &mut Self {
        self.key(key);
        let _ = write!(self.0, "{value:.6}");
        self
    }

    /// The finished object with a newline behind it.
    pub fn finish(&mut self) -> String {
        self.0.push_str("}\n");
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn texts_are_escaped() {
        let mut line = Line::default();
        line.text("a", "q\"\\\n\u{7f}é\u{2028}").optional("b", None).number("c", 7).seconds("d", 0.25);
        assert_eq!(
            line.finish(),
            "{\"a\":\"q\\\"\\\\\\u000a\\u007fé\\u2028\",\"b\":null,\"c\":7,\"d\":0.250000}\n"
        );
    }
}
