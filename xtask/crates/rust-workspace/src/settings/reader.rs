//! Reads TOML and reports all errors at once, each with file, line and column.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use cli_support::error::{Fault, Faults};

/// A value with its span.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// An error in the settings.
#[derive(Debug)]
pub(super) struct Mistake {
    /// Its offset in the text, in bytes.
    pub(super) at: usize,
    what: String,
    hint: Option<String>,
}

/// An error at the offset `at`.
pub(super) fn wrong(at: usize, what: impl Into<String>) -> Mistake {
    Mistake { at, what: what.into(), hint: None }
}

/// A type that is read from a TOML value. All errors are reported.
pub(super) trait FromToml: Sized {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>>;
}

/// A value and its offset in the text, in bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) at: usize,
}

/// Reads `text` as a `T`; `path` is for messages.
pub(super) fn read<T: FromToml>(path: &Path, text: &str) -> Result<T, Faults> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let broken = |error: toml::de::Error| {
        let span = error.span().unwrap_or_default();
        let what = match (error.message(), text.get(span.clone())) {
            ("duplicate key", Some(key)) => format!("the key '{key}' is set twice"),
            (message, _) => format!("the file is not valid TOML here: {message}"),
        };
        wrong(span.start, what)
    };
    // Keys and values of broken TOML are unreliable: only the syntax is reported.
    let result = if errors.is_empty() {
        let span = root.span();
        T::from_toml(Spanned::new(span, DeValue::Table(root.into_inner())))
    } else {
        Err(errors.into_iter().map(broken).collect())
    };
    result.map_err(|mut mistakes| {
        mistakes.sort_by_key(|mistake| mistake.at);
        let fault = |mistake: Mistake| {
            let (line, column) = line_column(text, mistake.at);
            let fault = Fault::usage(mistake.what).at(format!("{}:{line}:{column}", path.display()));
            match mistake.hint {
                Some(hint) => fault.hint(hint),
                None => fault,
            }
        };
        Faults(mistakes.into_iter().map(fault).collect())
    })
}

#[cfg(test)]
std::thread_local! {
    /// The keys of each table that was read, for the test of the reference.
    pub(super) static SEEN: std::cell::RefCell<Vec<Vec<&'static str>>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// A table from which keys are taken. The keys that remain at the end are unknown.
pub(super) struct Table<'t> {
    entries: DeTable<'t>,
    at: usize,
    known: Vec<&'static str>,
    pub(super) errors: Vec<Mistake>,
}

impl<'t> Table<'t> {
    pub(super) fn new(value: Value<'t>) -> Result<Self, Vec<Mistake>> {
        let at = value.span().start;
        match value.into_inner() {
            DeValue::Table(entries) => Ok(Self { entries, at, known: Vec::new(), errors: Vec::new() }),
            other => Err(expected("a table", &other, at)),
        }
    }

    /// Takes a value of any type.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value<'t>> {
        self.known.push(name);
        self.entries.remove(name)
    }

    /// The offset of an empty list.
    fn empty_list(&self, name: &str) -> Option<usize> {
        let value = self.entries.get(name)?;
        value.get_ref().as_array().is_some_and(|list| list.is_empty()).then(|| value.span().start)
    }

    pub(super) fn optional_at<T: FromToml>(&mut self, name: &'static str) -> Option<Located<T>> {
        let value = self.take(name)?;
        let at = value.span().start;
        match T::from_toml(value) {
            Ok(value) => Some(Located { value, at }),
            Err(mistakes) => {
                self.errors.extend(mistakes);
                None
            }
        }
    }

    pub(super) fn optional<T: FromToml>(&mut self, name: &'static str) -> Option<T> {
        self.optional_at(name).map(|located| located.value)
    }

    pub(super) fn required_at<T: FromToml>(&mut self, name: &'static str) -> Option<Located<T>> {
        if !self.entries.contains_key(name) {
            self.known.push(name);
            self.errors.push(wrong(self.at, format!("the key '{name}' is missing")));
            return None;
        }
        self.optional_at(name)
    }

    pub(super) fn required<T: FromToml>(&mut self, name: &'static str) -> Option<T> {
        self.required_at(name).map(|located| located.value)
    }

    /// A string that is parsed: a platform, a size, a mode.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &'static str) -> Option<T> {
        let text = self.optional_at::<String>(name)?;
        self.parse(&text)
    }

    /// A list of strings that are parsed.
    pub(super) fn parsed_list<T>(&mut self, name: &'static str) -> Option<Vec<T>>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        let list = self.optional::<Vec<Located<String>>>(name)?;
        Some(list.iter().filter_map(|text| self.parse(text)).collect())
    }

    /// A list of strings that are parsed; an empty list is an error.
    pub(super) fn not_empty<T>(&mut self, name: &'static str) -> Option<Vec<T>>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        if let Some(at) = self.empty_list(name) {
            let what = format!("{name} must name at least one; leave the key out for the default");
            self.errors.push(wrong(at, what));
        }
        self.parsed_list(name)
    }

    fn parse<T: FromStr<Err: std::fmt::Display>>(&mut self, text: &Located<String>) -> Option<T> {
        text.value.parse().map_err(|error: T::Err| self.errors.push(wrong(text.at, error.to_string()))).ok()
    }

    /// All errors, including unknown keys.
    pub(super) fn finish(mut self) -> Result<(), Vec<Mistake>> {
        #[cfg(test)]
        SEEN.with(|seen| seen.borrow_mut().push(self.known.clone()));
        for key in self.entries.keys() {
            let what = format!("unknown key '{}'", key.get_ref());
            let hint = did_you_mean(key.get_ref(), &self.known);
            self.errors.push(Mistake { at: key.span().start, what, hint: Some(hint) });
        }
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}

fn expected(expected: &str, found: &DeValue<'_>, at: usize) -> Vec<Mistake> {
    vec![wrong(at, format!("expected {expected}, found {}", found.type_str()))]
}

impl FromToml for String {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let at = value.span().start;
        match value.into_inner() {
            DeValue::String(text) => Ok(text.into_owned()),
            other => Err(expected("a string", &other, at)),
        }
    }
}

impl FromToml for bool {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        value
            .get_ref()
            .as_bool()
            .ok_or_else(|| expected("true or false", value.get_ref(), value.span().start))
    }
}

fn integer<T: TryFrom<i128>>(value: &Value<'_>, what: &str) -> Result<T, Vec<Mistake>> {
    let number = value.get_ref().as_integer();
    let number = number.and_then(|number| i128::from_str_radix(number.as_str(), number.radix()).ok());
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| expected(what, value.get_ref(), value.span().start))
}

impl FromToml for u64 {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        integer(&value, "a whole number from 0 on")
    }
}

impl FromToml for u32 {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        integer(&value, "a whole number from 0 to 4294967295")
    }
}

/// The items of a list.
pub(super) fn list(value: Value<'_>) -> Result<DeArray<'_>, Vec<Mistake>> {
    let at = value.span().start;
    match value.into_inner() {
        DeValue::Array(list) => Ok(list),
        other => Err(expected("a list", &other, at)),
    }
}

impl<T: FromToml> FromToml for Vec<T> {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let (mut values, mut mistakes) = (Self::new(), Vec::new());
        for item in list(value)? {
            match T::from_toml(item) {
                Ok(value) => values.push(value),
                Err(wrong) => mistakes.extend(wrong),
            }
        }
        if mistakes.is_empty() { Ok(values) } else { Err(mistakes) }
    }
}

impl<T: FromToml> FromToml for Located<T> {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let at = value.span().start;
        T::from_toml(value).map(|value| Self { value, at })
    }
}

/// A table with any keys whose values are strings: labels, environment, build contexts.
#[derive(Debug, Default)]
pub(super) struct Strings(pub(super) BTreeMap<String, String>);

impl FromToml for Strings {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let at = value.span().start;
        let table = match value.into_inner() {
            DeValue::Table(table) => table,
            other => return Err(expected("a table of strings", &other, at)),
        };
        let (mut strings, mut mistakes) = (BTreeMap::new(), Vec::new());
        for (key, value) in table {
            match String::from_toml(value) {
                Ok(text) => drop(strings.insert(key.into_inner().into_owned(), text)),
                Err(wrong) => mistakes.extend(wrong),
            }
        }
        if mistakes.is_empty() { Ok(Self(strings)) } else { Err(mistakes) }
    }
}

/// The most similar name of `known`, or all of them.
fn did_you_mean(word: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((_, name)) => format!("did you mean '{name}'?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// Line and column of an offset in bytes. Both count from 1; the column is in characters.
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = before.split(|byte| *byte == b'\n').count();
    (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_from_one_and_in_characters() {
        for (text, offset, place) in
            [("", 0, (1, 1)), ("a\nb", 2, (2, 1)), ("é = 1", 3, (1, 3)), ("x", 9, (1, 2))]
        {
            assert_eq!(line_column(text, offset), place, "{text:?} {offset}");
        }
    }
}
