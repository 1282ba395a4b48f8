//! `{{name}}` in patterns and values.

use crate::error::Fault;
use crate::git::rfc3339;

/// `text` with each `{{name}}` replaced by what `value` gives for it.
pub(super) fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, Fault> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let wrong = |what: &str| Fault::usage(format!("'{text}': {what}")).at(crate::settings::FILE);
        let (name, after) = after.split_once("}}").ok_or_else(|| wrong("'{{' without '}}'"))?;
        let name = name.trim();
        out.push_str(before);
        out.push_str(&value(name).ok_or_else(|| wrong(&format!("there is no '{name}' to fill in")))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// `date 'YYYYMMDD-HHmmss'`: a time in UTC, seconds since 1970, in this format.
pub(super) fn date(name: &str, time: u64) -> Option<String> {
    let format = name.strip_prefix("date")?.trim();
    let format = format.strip_prefix(['\'', '"'])?.strip_suffix(['\'', '"'])?;
    let text = rfc3339(time);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let parts = [
        ("YYYY", part(0, 4)),
        ("MM", part(5, 7)),
        ("DD", part(8, 10)),
        ("HH", part(11, 13)),
        ("mm", part(14, 16)),
        ("ss", part(17, 19)),
    ];
    Some(parts.into_iter().fold(format.to_owned(), |text, (token, value)| text.replace(token, value)))
}

/// What a tag may be made of: runs of anything else become a dash.
pub(super) fn sanitise(text: &str) -> String {
    let mut out = String::new();
    let mut gap = false;
    for c in text.chars() {
        let fits = c.is_ascii_alphanumeric() || "._-".contains(c);
        if fits {
            out.push(c);
        } else if !gap {
            out.push('-');
        }
        gap = !fits;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_or_named() {
        let value = |name: &str| (name == "a").then(|| "1".to_owned());
        for (text, expected) in [
            ("x{{a}}y{{ a }}", Ok("x1y1")),
            ("plain", Ok("plain")),
            ("{{b}}", Err("there is no 'b'")),
            ("{{a", Err("without '}}'")),
        ] {
            match (fill(text, value), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.to_string().contains(expected), "{found}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn dates_and_dashes() {
        assert_eq!(date("date 'YYYYMMDD-HHmmss'", 1_709_210_096).unwrap(), "20240229-123456");
        assert_eq!((date("date", 0), date("dates", 0)), (None, None));
        for (text, expected) in [("feat/a b", "feat-a-b"), ("é//x", "-x"), ("1.2_3-4", "1.2_3-4")] {
            assert_eq!(sanitise(text), expected);
        }
    }
}
