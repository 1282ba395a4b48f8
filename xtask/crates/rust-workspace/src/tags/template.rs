//! `{{name}}` in patterns and values.

use cli_support::error::Fault;
use cli_support::time::rfc3339;

/// Replaces each `{{name}}` in `text` by its value.
pub(super) fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, Fault> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let wrong = |what: &str| Fault::usage(format!("'{text}': {what}")).at(crate::paths::SETTINGS);
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
            let what = "dates are in UTC, with YYYY, MM, DD, HH, mm, ss: {{date 'YYYYMMDD-HHmmss'}}";
            date(name, 0).ok_or_else(|| format!("'{text}': {what}"))?;
        } else if !known.contains(&name) {
            return Err(format!("'{text}': unknown name '{name}'; known: {}", known.join(", ")));
        }
        rest = after;
    }
    Ok(())
}

/// Formats a time (seconds since 1970, UTC) for `date 'YYYYMMDD-HHmmss'`. None if the format has other letters.
pub(super) fn date(name: &str, time: u64) -> Option<String> {
    let format = name.strip_prefix("commit_date").or_else(|| name.strip_prefix("date"))?.trim();
    let format = format.strip_prefix(['\'', '"'])?.strip_suffix(['\'', '"'])?;
    let text = rfc3339(time);
    let mut out = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| c != first).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        out.push_str(match run {
            "YYYY" => text.get(..4)?,
            "MM" => text.get(5..7)?,
            "DD" => text.get(8..10)?,
            "HH" => text.get(11..13)?,
            "mm" => text.get(14..16)?,
            "ss" => text.get(17..19)?,
            other if other != "T" && first.is_alphabetic() || "'\"".contains(first) => return None,
            other => other,
        });
        rest = after;
    }
    Some(out)
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
    fn a_template_is_looked_at_before_it_is_needed() {
        let known = ["branch", "sha"];
        for (text, expected) in [
            ("plain", None),
            ("{{branch}}-{{ sha }}-{{date 'YYYY'}}", None),
            ("{{commit_date 'YYYYMMDD'}}", None),
            ("{{tag}}", Some("unknown name 'tag'; known: branch, sha")),
            ("{{#if branch}}x", Some("unknown name '#if branch'")),
            ("x{{branch", Some("without '}}'")),
            ("{{date 'dddd'}}", Some("dates are in UTC")),
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
    fn dates_and_dashes() {
        assert_eq!(date("date 'YYYYMMDD-HHmmss'", 1_709_210_096).unwrap(), "20240229-123456");
        assert_eq!(date("commit_date \"YYYY.MM.DDTHH\"", 1_709_210_096).unwrap(), "2024.02.29T12");
        for none in ["date", "dates", "date 'MMMM'", "date 'YYYY' tz='UTC'", "date 'h:mm'", "date ''x'"] {
            assert_eq!(date(none, 0), None, "{none}");
        }
        for (text, expected) in [("feat/a b", "feat-a-b"), ("é//x", "-x"), ("1.2_3-4", "1.2_3-4")] {
            assert_eq!(sanitise(text), expected);
        }
    }
}
