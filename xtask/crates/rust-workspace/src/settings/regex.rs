//! Regular expressions that others read.

use regex_syntax::{Error, ParserBuilder};

/// What cannot be a regular expression. Cosign, in Go, has the last word: its syntax (RE2) is all but the same.
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
    fn mistakes_are_told_and_nothing_else() {
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
