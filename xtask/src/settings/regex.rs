//! Regular expressions that others read, as far as mistakes in them can be told without them.

use std::iter::Peekable;
use std::str::Chars;

/// What cannot be a regular expression in the syntax of Go (RE2), which cosign reads: brackets that do not
/// close, nothing to repeat, an escape of nothing, and what Go does not know. Cosign has the last word.
pub(super) fn check_regex(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let (mut open, mut repeatable) = (0_usize, false);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        repeatable = match char {
            '\\' => escape(&mut chars)?,
            '(' => {
                open += usize::from(group(&mut chars)?);
                false
            }
            ')' => {
                open = open.checked_sub(1).ok_or("a ')' has no '('")?;
                true
            }
            '[' => class(&mut chars)?,
            '*' | '+' | '?' if !repeatable => return Err(format!("'{char}' repeats nothing")),
            '*' | '+' | '?' => {
                chars.next_if_eq(&'?');
                false
            }
            '|' => false,
            _ => true,
        };
    }
    if open > 0 { Err("a '(' has no ')'".to_owned()) } else { Ok(()) }
}

fn escape(chars: &mut Peekable<Chars<'_>>) -> Result<bool, String> {
    match chars.next() {
        None => Err("it ends in '\\'".to_owned()),
        Some(digit @ '1'..='9') => Err(format!("'\\{digit}' refers back, which Go does not know")),
        Some(_) => Ok(true),
    }
}

/// Behind a `(`; whether a `)` must follow.
fn group(chars: &mut Peekable<Chars<'_>>) -> Result<bool, String> {
    if chars.next_if_eq(&'?').is_none() {
        return Ok(true);
    }
    let rest: String = chars.clone().take(2).collect();
    if rest.starts_with(['=', '!']) || rest == "<=" || rest == "<!" {
        return Err(format!("'(?{rest}' looks around, which Go does not know"));
    }
    match chars.find(|char| [':', '>', ')'].contains(char)) {
        None => Err("a '(?' has no end".to_owned()),
        // Flags alone: `(?i)`.
        Some(end) => Ok(end != ')'),
    }
}

/// Behind a `[`: to its end.
fn class(chars: &mut Peekable<Chars<'_>>) -> Result<bool, String> {
    chars.next_if_eq(&'^');
    chars.next_if_eq(&']');
    while let Some(char) = chars.next() {
        match char {
            '\\' => drop(chars.next()),
            ']' => return Ok(true),
            _ => {}
        }
    }
    Err("a '[' has no ']'".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_and_nothing_else() {
        for (text, expected) in [
            (r"^https://github\.com/o/n/\.github/workflows/release\.yml@refs/tags/v[0-9]+(\.[0-9]+)*$", ""),
            ("(?i)a|(?:b)?|(?P<n>c)*?|(?<m>[]x])|[^]]|[[:alpha:]]|^*", ""),
            ("", "empty"),
            ("*", "repeats nothing"),
            ("a|+", "repeats nothing"),
            ("(?i)*", "repeats nothing"),
            ("a**", "repeats nothing"),
            ("(a", "no ')'"),
            ("a)", "no '('"),
            ("(?", "no end"),
            ("[a", "no ']'"),
            ("[]", "no ']'"),
            ("a\\", "ends in"),
            (r"(a)\1", "refers back"),
            ("(?=a)", "looks around"),
            ("(?<!a)", "looks around"),
        ] {
            let found = check_regex(text).err().unwrap_or_default();
            assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{text}: {found}");
        }
    }
}
