//! `{{name}}` in patterns and values.

use super::date::date;
use cli_support::error::Fault;

/// Replaces each `{{name}}` in `text` by its value.
pub(super) fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, Fault> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let wrong = |what: &str| Fault::usage(format!("'{text}': {what}")).at(crate::paths::settings());
        let (name, after) = after.split_once("}}").ok_or_else(|| wrong("'{{' without '}}'"))?;
        let name = name.trim();
        out.push_str(before);
        out.push_str(&value(name).ok_or_else(|| wrong(&format!("unknown name '{name}'")))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Checks that a template has only `known` names and dates.
pub(super) fn check(text: &str, known: &[&str]) -> Result<(), String> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let (name, after) =
            after.split_once("}}").ok_or_else(|| format!("'{text}': '{{{{' without '}}}}'"))?;
        let name = name.trim();
        let is_date = name.starts_with("date") || name.starts_with("commit_date");
        if is_date && known.contains(&"sha") {
            let what =
                "a date is {{date 'YYYYMMDD-HHmmss'}} with letters of Moment.js, in UTC or with tz='+02:00'";
            date(name, 0).ok_or_else(|| format!("'{text}': {what}"))?;
        } else if !known.contains(&name) {
            return Err(format!("'{text}': unknown name '{name}'; known: {}", known.join(", ")));
        }
        rest = after;
    }
    Ok(())
}

/// Replaces each run of characters that a tag cannot have by a dash.
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
            ("{{b}}", Err("unknown name 'b'")),
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
    fn templates_are_checked_before_use() {
        let known = ["branch", "sha"];
        for (text, expected) in [
            ("plain", None),
            ("{{branch}}-{{ sha }}-{{date 'YYYY'}}", None),
            ("{{commit_date 'YYYYMMDD'}}", None),
            ("{{tag}}", Some("unknown name 'tag'; known: branch, sha")),
            ("{{#if branch}}x", Some("unknown name '#if branch'")),
            ("x{{branch", Some("without '}}'")),
            ("{{date 'QQ'}}", Some("letters of Moment.js")),
        ] {
            match (check(text, &known), expected) {
                (Ok(()), None) => {}
                (Err(found), Some(words)) => assert!(found.contains(words), "{found}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
        assert!(check("{{date 'YYYY'}}", &["major"]).is_err());
    }

    #[test]
    fn dashes() {
        for (text, expected) in [("feat/a b", "feat-a-b"), ("é//x", "-x"), ("1.2_3-4", "1.2_3-4")] {
            assert_eq!(sanitise(text), expected);
        }
    }
}
