//! Checks regular expressions for other programs.

use regex_syntax::{Error, ParserBuilder};

/// An error where a text is not a regular expression. Cosign is written in Go and reads almost the same syntax (RE2).
pub fn check_regex(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let parsed = ParserBuilder::new().unicode(false).utf8(false).build().parse(text);
    parsed.map(drop).map_err(|error| match error {
        Error::Parse(error) => error.kind().to_string(),
        Error::Translate(error) => error.kind().to_string(),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mistakes_are_reported() {
        for (text, expected) in [
            (r"^https://github\.com/o/n/\.github/workflows/release\.yml@refs/tags/v[0-9]+(\.[0-9]+)*$", ""),
            (r"(?i)\w\d|(?:b)?|(?P<n>c)*?|[^]]|[[:alpha:]]|^*|\.git$", ""),
            ("", "empty"),
            ("*", "missing expression"),
            ("(a", "unclosed group"),
            ("a)", "unopened group"),
            ("[a", "unclosed character class"),
            ("a\\", "incomplete escape"),
            (r"(a)\1", "backreferences are not supported"),
            ("(?=a)", "look-around"),
        ] {
            let found = check_regex(text).err().unwrap_or_default();
            assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{text}: {found}");
        }
    }
}
