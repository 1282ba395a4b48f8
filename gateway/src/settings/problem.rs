//! A mistake in the settings.

use std::fmt;

/// A place in a settings file; line and column are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column in characters.
    pub column: usize,
    /// The length of the value in characters of the line; 0 if it is unknown.
    pub length: usize,
}

impl Place {
    /// The place of a byte offset in a text.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.split(|&byte| byte == b'\n').count(),
            // Continuation bytes of UTF-8 do not count as characters.
            column: before[line_start..].iter().filter(|&&byte| byte & 0xc0 != 0x80).count() + 1,
            length: 0,
        }
    }
}

/// A mistake in the settings: what, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Its place, if it has one.
    pub place: Option<Place>,
    /// The name of a warning, for `gateway check --allow`; `None` for an error.
    pub code: Option<&'static str>,
    /// What is wrong and what to do, in one line.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (warning, code) = match self.code {
            Some(code) => ("warning: ", format!(" [{code}]")),
            None => ("", String::new()),
        };
        match self.place {
            Some(Place { line, column, .. }) => {
                write!(f, "{}:{line}:{column}: {warning}{}{code}", self.file, self.text)
            }
            None => write!(f, "{}: {warning}{}{code}", self.file, self.text),
        }
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn places_count_lines_and_characters() {
        let text = "a = 1\né = 'x'\n";
        let table = [(0, (1, 1)), (4, (1, 5)), (6, (2, 1)), (11, (2, 5)), (99, (3, 1))];
        for (offset, (line, column)) in table {
            assert_eq!(Place::of(text, offset), Place { line, column, length: 0 }, "{offset}");
        }
    }
}
