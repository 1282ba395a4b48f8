//! Reading TOML so that every mistake is reported at once, each with file, line and column.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use toml_span::de_helpers::{TableHelper, expected};
use toml_span::value::{Value, ValueInner};
use toml_span::{DeserError, Deserialize, Error, ErrorKind, Span};

use cli_support::error::{Fault, Faults};

/// Reads `text` as a `T`; `path` is for the messages.
pub(super) fn read<T: for<'de> Deserialize<'de>>(path: &Path, text: &str) -> Result<T, Faults> {
    let parsed = toml_span::parse(text).map_err(DeserError::from);
    parsed.and_then(|mut value| T::deserialize(&mut value)).map_err(|errors| {
        let mut faults: Vec<_> = errors.errors.iter().flat_map(|error| describe(path, text, error)).collect();
        faults.sort_by_key(|(start, _)| *start);
        Faults(faults.into_iter().map(|(_, fault)| fault).collect())
    })
}

/// A mistake at `span`, in words.
pub(super) fn wrong(span: Span, what: impl Into<String>) -> Error {
    Error::from((ErrorKind::Custom(what.into().into()), span))
}

fn describe(path: &Path, text: &str, error: &Error) -> Vec<(usize, Fault)> {
    let at = |span: Span, what: String| {
        let (line, column) = line_column(text, span.start);
        (span.start, Fault::usage(what).at(format!("{}:{line}:{column}", path.display())))
    };
    match &error.kind {
        ErrorKind::UnexpectedKeys { keys, expected } => keys
            .iter()
            .map(|(key, span)| {
                let (start, fault) = at(*span, format!("unknown key '{key}'"));
                (start, fault.hint(did_you_mean(key, expected)))
            })
            .collect(),
        ErrorKind::MissingField(name) => vec![at(error.span, format!("the key '{name}' is missing"))],
        ErrorKind::DuplicateKey { key, first } => {
            let (line, _) = line_column(text, first.start);
            vec![at(error.span, format!("the key '{key}' is set twice, first on line {line}"))]
        }
        _ => vec![at(error.span, error.to_string().replace("eof encountered", "end of the file"))],
    }
}

/// The nearest of `known` names if one is near, else all of them.
fn did_you_mean(word: &str, known: &[String]) -> String {
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

/// Line and column, both from 1, the column in characters, of a byte offset.
/// Line and column of an offset in bytes, both counted from one.
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = before.split(|byte| *byte == b'\n').count();
    (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
}

/// A value that is written as a string and parsed: a platform, a size, a mode.
pub(super) fn parsed<T>(table: &mut TableHelper<'_>, name: &'static str) -> Option<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let text = table.optional_s::<String>(name)?;
    parse_at(text.span, &text.value).map_err(|error| table.errors.push(error)).ok()
}

/// The like for a list of strings.
pub(super) fn parsed_list<T>(table: &mut TableHelper<'_>, name: &'static str) -> Option<Vec<T>>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let list = table.optional::<Vec<toml_span::Spanned<String>>>(name)?;
    let mut values = Vec::new();
    for item in list {
        match parse_at(item.span, &item.value) {
            Ok(value) => values.push(value),
            Err(error) => table.errors.push(error),
        }
    }
    Some(values)
}

fn parse_at<T>(span: Span, text: &str) -> Result<T, Error>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| wrong(span, error.to_string()))
}

/// A table whose keys are free and whose values are strings: labels, environment, build contexts.
#[derive(Debug, Default)]
pub(super) struct Strings(pub(super) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Strings {
    fn deserialize(value: &mut Value<'de>) -> Result<Self, DeserError> {
        let table = match value.take() {
            ValueInner::Table(table) => table,
            other => return Err(expected("a table of strings", other, value.span).into()),
        };
        let mut strings = BTreeMap::new();
        let mut errors = Vec::new();
        for (key, mut value) in table {
            match value.take_string(None) {
                Ok(text) => drop(strings.insert(key.name.into_owned(), text.into_owned())),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Self(strings)) } else { Err(DeserError { errors }) }
    }
}

/// A list of strings that are parsed; an empty one is a mistake.
pub(super) fn not_empty<T>(table: &mut TableHelper<'_>, name: &'static str) -> Option<Vec<T>>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let span = table
        .table
        .get(name)
        .filter(|value| value.as_array().is_some_and(Vec::is_empty))
        .map(|value| value.span);
    if let Some(span) = span {
        table
            .errors
            .push(wrong(span, format!("{name} must name at least one; leave the key out for the default")));
    }
    parsed_list(table, name)
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
