//! Trivy's own list of what is overlooked.
//!
//! Of YAML only the shapes of line that such a list needs are understood, each exactly; all else is an
//! error. Trivy never reads the list itself but what was understood of it, so that nothing in it can mean
//! one thing here and another thing there.

use serde::Serialize;

use cli_support::time::Date;
use rust_workspace::settings::too_far;

/// The list, below the workspace's root.
pub const FILE: &str = ".trivyignore.yaml";
/// The longest list, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;
/// Trivy's names for what can be overlooked.
const SECTIONS: [&str; 4] = ["vulnerabilities", "misconfigurations", "secrets", "licenses"];

/// What is overlooked, by section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoreList {
    entries: Vec<(&'static str, Entry)>,
}

/// One entry, as Trivy reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Entry {
    id: String,
    statement: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    purls: Vec<String>,
    #[serde(skip)]
    expires: Option<String>,
    #[serde(skip)]
    line: usize,
    #[serde(skip)]
    keys: Vec<String>,
}

impl IgnoreList {
    /// Reads the list. Every entry has an id, a reason (`statement`) and a day (`expired_at`) that is not
    /// over and at most a year ahead; what is wrong is told all at once.
    pub fn parse(text: &str, today: Date) -> Result<Self, Vec<String>> {
        let mut reader = Reader::default();
        for (number, line) in (1..).zip(text.lines()) {
            if let Err(what) = reader.line(number, line) {
                reader.wrong.push(format!("line {number}: {what}: '{}'", line.trim().escape_debug()));
                // What follows a line that says nothing known is not worth a message of its own.
                break;
            }
        }
        let mut wrong = reader.wrong;
        for (section, entry) in &mut reader.entries {
            wrong.extend(entry.check(section, today).map(|what| format!("line {}: {what}", entry.line)));
        }
        if wrong.is_empty() { Ok(Self { entries: reader.entries }) } else { Err(wrong) }
    }

    /// The list as Trivy is given it: JSON, which is YAML in which nothing can be read in two ways. The
    /// days are left out, since they were looked at here, and Trivy would end an entry a day earlier.
    pub fn for_trivy(&self) -> String {
        let of = |section: &'static str| {
            let entries = self.entries.iter().filter(move |(one, _)| *one == section);
            (section, serde_json::json!(entries.map(|(_, entry)| entry).collect::<Vec<_>>()))
        };
        let all: serde_json::Map<_, _> =
            SECTIONS.into_iter().map(of).map(|(name, list)| (name.to_owned(), list)).collect();
        format!("{:#}\n", serde_json::Value::from(all))
    }
}

impl Entry {
    /// What is wrong with it; its reason gets its day.
    fn check(&mut self, section: &str, today: Date) -> Option<String> {
        let id = self.id.clone();
        if id.is_empty() {
            return Some("an entry without an id".to_owned());
        }
        if self.statement.trim().is_empty() {
            return Some(format!("{id} has no reason (statement)"));
        }
        if !self.purls.is_empty() && section != "vulnerabilities" {
            return Some(format!("{id}: purls are for vulnerabilities alone"));
        }
        let Some(day) = &self.expires else {
            return Some(format!("{id} has no day on which it ends (expired_at)"));
        };
        let day = match day.parse::<Date>() {
            Ok(day) => day,
            Err(what) => return Some(format!("{id}: {what}")),
        };
        if day < today {
            return Some(format!("{id} was to be ignored until {day}"));
        }
        if let Some(what) = too_far(day, today) {
            return Some(format!("{id}: {what}"));
        }
        self.statement = format!("{} (until {day})", self.statement);
        None
    }

    fn set(&mut self, key: &str, value: String) -> Result<(), String> {
        self.keys(key)?;
        match key {
            "id" => self.id = value,
            "statement" => self.statement = value,
            "expired_at" => self.expires = Some(value),
            _ => return Err(format!("not understood: the key '{key}' with a value")),
        }
        Ok(())
    }

    fn keys(&mut self, key: &str) -> Result<(), String> {
        if self.keys.iter().any(|other| other == key) {
            return Err(format!("the key '{key}' is there twice"));
        }
        self.keys.push(key.to_owned());
        Ok(())
    }

    fn list(&mut self, key: &str) -> Option<&mut Vec<String>> {
        match key {
            "paths" => Some(&mut self.paths),
            "purls" => Some(&mut self.purls),
            _ => None,
        }
    }
}

/// Where the reading is.
#[derive(Default)]
struct Reader {
    entries: Vec<(&'static str, Entry)>,
    sections: Vec<&'static str>,
    /// The column of this section's dashes.
    dash: Option<usize>,
    /// The list within an entry that is open, and the column of its dashes.
    list: Option<(String, Option<usize>)>,
    wrong: Vec<String>,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        // A tab, and what YAML takes for a line break where Rust does not.
        if line.contains(|c: char| c.is_control() || "\u{2028}\u{2029}\u{feff}".contains(c)) {
            return Err("not understood: a tab or a control character".to_owned());
        }
        let text = line.trim_start_matches(' ');
        let column = line.len() - text.len();
        if text.is_empty() || text.starts_with('#') || (line == "---" && self.sections.is_empty()) {
            return Ok(());
        }
        if column == 0 && !text.starts_with('-') {
            return self.section(text);
        }
        if self.sections.is_empty() {
            return Err("not understood".to_owned());
        }
        match text.strip_prefix("- ") {
            Some(item) if self.dash.is_none_or(|dash| dash == column) => {
                self.dash = Some(column);
                self.list = None;
                let section = self.sections.last().copied().unwrap_or_default();
                self.entries.push((section, Entry { line: number, ..Entry::default() }));
                self.pair(item)
            }
            Some(item) => self.item(column, item),
            None if self.dash.is_some_and(|dash| dash + 2 == column) => self.pair(text),
            None => Err("not understood".to_owned()),
        }
    }

    fn section(&mut self, text: &str) -> Result<(), String> {
        let text = text.split_once(" #").map_or(text, |(text, _)| text).trim_end();
        let name = text.strip_suffix(':').and_then(|name| SECTIONS.iter().find(|one| **one == name));
        let name = name.ok_or_else(|| format!("not understood: not one of {}", SECTIONS.join(", ")))?;
        if self.sections.contains(name) {
            return Err("it is there twice".to_owned());
        }
        self.sections.push(name);
        (self.dash, self.list) = (None, None);
        Ok(())
    }

    /// A key and its value, or the key of a list that follows.
    fn pair(&mut self, text: &str) -> Result<(), String> {
        let Some((_, entry)) = self.entries.last_mut() else { return Err("not understood".to_owned()) };
        self.list = None;
        if let Some((key, rest)) = text.split_once(':')
            && rest.trim_start_matches(' ').split_once('#').map_or(rest, |(rest, _)| rest).trim().is_empty()
            && entry.list(key).is_some()
        {
            entry.keys(key)?;
            self.list = Some((key.to_owned(), None));
            return Ok(());
        }
        let (key, value) = text.split_once(": ").ok_or("not understood")?;
        entry.set(key, scalar(value)?)
    }

    /// One of a list within an entry.
    fn item(&mut self, column: usize, text: &str) -> Result<(), String> {
        let (Some((key, dash)), Some(first)) = (&mut self.list, self.dash) else {
            return Err("not understood".to_owned());
        };
        if column < first + 2 || dash.is_some_and(|dash| dash != column) {
            return Err("not understood".to_owned());
        }
        *dash = Some(column);
        let value = scalar(text)?;
        let (_, entry) = self.entries.last_mut().ok_or("not understood")?;
        entry.list(key).ok_or("not understood")?.push(value);
        Ok(())
    }
}

/// A value that is whole on its line: plain, or in quotes without an escape.
fn scalar(text: &str) -> Result<String, String> {
    let text = text.trim_matches(' ');
    let no = || "not understood: a value is one line, plain or in quotes without escapes".to_owned();
    for quote in ['"', '\''] {
        let Some(rest) = text.strip_prefix(quote) else { continue };
        let (value, after) = rest.split_once(quote).ok_or_else(no)?;
        let comment = after.is_empty() || after.trim_start().starts_with('#') && after.starts_with(' ');
        return if comment && !value.contains('\\') { Ok(value.to_owned()) } else { Err(no()) };
    }
    let value = text.split_once(" #").map_or(text, |(value, _)| value).trim_end();
    let good = value.starts_with(|c: char| c.is_alphanumeric() || "/._(".contains(c));
    if good && !value.contains(": ") && !value.ends_with(':') { Ok(value.to_owned()) } else { Err(no()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# why\n---\nvulnerabilities:\n  - id: CVE-1\n    expired_at: 2026-01-10\n    \
        statement: \"not: reached\"\n    paths:\n      - \"usr/bin/x\"\n      - usr/bin/y\nsecrets:\n- id: aws\n  \
        statement: test key # yes\n  expired_at: 2026-12-01\n";

    fn wrong(text: &str) -> String {
        let today = "2026-01-10".parse().unwrap();
        IgnoreList::parse(text, today).map_or_else(|wrong| wrong.join("; "), |_| String::new())
    }

    #[test]
    fn trivy_reads_what_was_understood() {
        let list = IgnoreList::parse(GOOD, "2026-01-10".parse().unwrap()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&list.for_trivy()).unwrap();
        let first = serde_json::json!({ "id": "CVE-1", "statement": "not: reached (until 2026-01-10)",
            "paths": ["usr/bin/x", "usr/bin/y"] });
        assert_eq!(value["vulnerabilities"], serde_json::json!([first]));
        assert_eq!(value["secrets"][0]["statement"], "test key (until 2026-12-01)");
        assert_eq!(value["licenses"], serde_json::json!([]));
        assert_eq!(IgnoreList::default().for_trivy().matches("[]").count(), 4);
        assert_eq!(wrong(&GOOD.replace('\n', "\r\n")), "");
    }

    #[test]
    fn an_entry_needs_an_id_a_reason_and_a_day_to_come() {
        for (from, to, expected) in [
            ("2026-01-10", "2026-01-09", "until 2026-01-09"),
            ("    statement: \"not: reached\"\n", "", "no reason"),
            ("\"not: reached\"", "\" \"", "no reason"),
            ("  expired_at: 2026-12-01\n", "", "no day"),
            ("2026-12-01", "soon", "not a day"),
            ("2026-12-01", "9999-12-31", "366 are the most"),
            ("- id: aws", "- rule: aws", "the key 'rule'"),
            ("- id: aws\n  statement", "- statement", "without an id"),
            ("expired_at: 2026-12", "id: b\n  expired_at: 2026-12", "'id' is there twice"),
            ("secrets:", "vulnerabilities:", "there twice"),
            ("secrets:", "secret:", "not one of"),
            ("statement: test key", "purls:\n    - pkg:x/y\n  statement: test key", "vulnerabilities alone"),
        ] {
            let wrong = wrong(&GOOD.replacen(from, to, 1));
            assert!(wrong.contains(expected), "{from} {to}: {wrong}");
        }
    }

    #[test]
    fn what_has_another_shape_is_refused() {
        let entry = "\n  expired_at: 2026-01-11\n  statement: x\n";
        for (from, to) in [
            ("- id: aws", "- id:\tCVE-2"),
            ("- id: aws", "-\tid: CVE-2"),
            ("- id: aws", "-  id: CVE-2"),
            ("- id: aws", "- ? id\n  : CVE-2"),
            ("- id: aws", "- ? id"),
            ("- id: aws", "- \"id\": aws"),
            ("- id: aws", "- id : aws"),
            ("- id: aws", "- id: &a aws"),
            ("- id: aws", "- id: *a"),
            ("- id: aws", "- id: !!str aws"),
            ("- id: aws", "- id: a: b"),
            ("- id: aws", "- {id: aws}"),
            ("- id: aws", "- CVE-2"),
            ("- id: aws", "-\n  id: aws"),
            ("test key", "ok\r  - id: CVE-2"),
            ("test key", "ok\u{85}  - id: CVE-2"),
            ("test key", "ok\u{2028}  - id: CVE-2"),
            ("test key", "|"),
            ("test key", ">-"),
            ("test key", "{a: b}"),
            ("test key", "[a]"),
            ("test key", "\"a"),
            ("test key", "\"a\\\""),
            ("test key", "'it''s'"),
            ("test key", "\"a\" b"),
            ("test key # yes", "\"one"),
            ("test key # yes", "\"one\n    expired_at: 2026-12-01 #\""),
            ("test key # yes", "one\n   two"),
            ("secrets:", "secrets: []"),
            ("secrets:", "...\n---\nsecrets:"),
            ("- \"usr/bin/x\"", "- [usr]"),
            ("      - usr/bin/y", "     - usr/bin/y"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            assert!(wrong(&text).contains("not understood"), "{text}: {}", wrong(&text));
        }
        for text in [
            "CVE-2020-1\n",
            "vulnerabilities: [{id: CVE-1}]\n",
            "- id: a\n",
            " secrets:\n",
            "\u{feff}secrets:",
        ] {
            assert!(wrong(&format!("{text}{entry}")).contains("not understood"), "{text}");
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic() {
        let bytes = GOOD.as_bytes();
        for at in 0..bytes.len() {
            for byte in *b" \t\r\n-:#\"'\\&[{|?\x00\xc3" {
                let mut changed = bytes.to_vec();
                changed[at] = byte;
                wrong(&String::from_utf8_lossy(&changed));
            }
        }
    }
}
