//! JSON for tools: values that are written once, not in the request path.

use std::fmt;

/// A JSON value (RFC 8259).
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(u64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object; its members keep their order.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// A string.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// An object.
    pub fn object<'k>(members: impl IntoIterator<Item = (&'k str, Json)>) -> Self {
        Self::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// An array.
    pub fn list(items: impl IntoIterator<Item = Json>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// Adds a member to an object; no effect on other values.
    pub fn push(&mut self, key: &str, value: Json) {
        if let Self::Object(members) = self {
            members.push((key.to_owned(), value));
        }
    }
}

impl From<Option<String>> for Json {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

/// Writes a quoted string. The result is also a basic string of TOML.
pub fn write_text(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            character if character.is_control() => write!(f, "\\u{:04x}", u32::from(character))?,
            character => f.write_char(character)?,
        }
    }
    f.write_char('"')
}

impl fmt::Display for Json {
    /// Writes the value in one line; with `{:#}` over several lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl Json {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(switch) => write!(f, "{switch}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write_text(f, text),
            Self::List(items) => {
                f.write_str("[")?;
                for (number, item) in items.iter().enumerate() {
                    separate(f, number, depth)?;
                    item.write(f, depth + 1)?;
                }
                close(f, items.is_empty(), depth, "]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (number, (key, value)) in members.iter().enumerate() {
                    separate(f, number, depth)?;
                    write_text(f, key)?;
                    f.write_str(if f.alternate() { ": " } else { ":" })?;
                    value.write(f, depth + 1)?;
                }
                close(f, members.is_empty(), depth, "}")
            }
        }
    }
}

fn separate(f: &mut fmt::Formatter<'_>, number: usize, depth: usize) -> fmt::Result {
    if number > 0 {
        f.write_str(",")?;
    }
    if f.alternate() { write!(f, "\n{:1$}", "", 2 * (depth + 1)) } else { Ok(()) }
}

fn close(f: &mut fmt::Formatter<'_>, empty: bool, depth: usize, bracket: &str) -> fmt::Result {
    if f.alternate() && !empty {
        write!(f, "\n{:1$}", "", 2 * depth)?;
    }
    f.write_str(bracket)
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn output_is_valid_json() {
        let text = "a\"b\\c\n\u{0}\u{7f}é😀";
        let value = Json::object([
            ("text", Json::text(text)),
            ("list", Json::list([Json::Number(u64::MAX), Json::Bool(true), Json::Null])),
            ("empty", Json::Object(Vec::new())),
            ("none", Json::List(Vec::new())),
        ]);
        let expected = serde_json::json!({
            "text": text, "list": [u64::MAX, true, null], "empty": {}, "none": [],
        });
        for written in [value.to_string(), format!("{value:#}")] {
            let read: serde_json::Value = serde_json::from_str(&written).expect(&written);
            assert_eq!(read, expected, "{written}");
        }
        assert_eq!(Json::list([Json::Number(1), Json::Null]).to_string(), "[1,null]");
    }
}
