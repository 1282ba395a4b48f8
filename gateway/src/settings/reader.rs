//! Reads tables key by key and gathers what is wrong with them.

use std::net::SocketAddr;
use std::time::Duration;

use toml_span::value::{Key, Table, ValueInner};
use toml_span::{Span, Value};

use super::problem::{Place, Problem};
use super::units;

/// The file being read and the problems found in it so far.
#[derive(Debug)]
pub struct Report<'t> {
    file: &'t str,
    text: &'t str,
    problems: Vec<Problem>,
}

impl<'t> Report<'t> {
    /// A report without problems.
    pub fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, text, problems: Vec::new() }
    }

    /// The place of a span.
    pub fn place(&self, span: Span) -> Place {
        Place::of(self.text, span.start)
    }

    /// Adds a problem at a span.
    pub fn add(&mut self, span: Span, text: impl Into<String>) {
        let place = Some(self.place(span));
        self.problems.push(Problem { file: self.file.to_owned(), place, text: text.into() });
    }

    /// Adds a problem of the whole file.
    pub fn add_global(&mut self, text: impl Into<String>) {
        self.problems.push(Problem { file: self.file.to_owned(), place: None, text: text.into() });
    }

    /// The number of problems so far.
    pub fn count(&self) -> usize {
        self.problems.len()
    }

    /// All problems in the order of their places.
    pub fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.place);
        self.problems
    }
}

/// A value with its place.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// A table whose keys are taken one after another; what is left at the end is unknown.
#[derive(Debug)]
pub struct Reader<'de> {
    table: Table<'de>,
    /// The name of the table as the operator knows it.
    name: String,
    /// Where the table stands.
    pub span: Span,
    known: Vec<&'static str>,
}

impl<'de> Reader<'de> {
    /// Reads a table; another value is a problem.
    pub fn new(mut value: Value<'de>, name: &str, report: &mut Report<'_>) -> Option<Self> {
        let span = value.span;
        match value.take() {
            ValueInner::Table(table) => Some(Self { table, name: name.to_owned(), span, known: Vec::new() }),
            other => {
                report.add(span, format!("{name} must be a table, not {}", found(&other)));
                None
            }
        }
    }

    /// Takes a value of any kind.
    pub fn take(&mut self, key: &'static str) -> Option<(Key<'de>, Value<'de>)> {
        self.known.push(key);
        self.table.remove_entry(key)
    }

    fn take_as<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        report: &mut Report<'_>,
        read: impl FnOnce(ValueInner<'de>) -> Option<T>,
    ) -> Option<Placed<T>> {
        let (_, mut value) = self.take(key)?;
        let span = value.span;
        let inner = value.take();
        let found = found(&inner);
        let read = read(inner);
        if read.is_none() {
            report.add(span, format!("'{key}' must be {expected}, not {found}"));
        }
        read.map(|value| Placed { value, span })
    }

    /// Takes a text that is not empty.
    pub fn string(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<Placed<String>> {
        self.take_as(key, "a text that is not empty", report, |inner| match inner {
            ValueInner::String(text) if !text.is_empty() => Some(text.into_owned()),
            _ => None,
        })
    }

    /// Takes a text that is not empty; its absence is a problem.
    pub fn required(
        &mut self,
        key: &'static str,
        example: &str,
        report: &mut Report<'_>,
    ) -> Option<Placed<String>> {
        if !self.table.contains_key(key) {
            self.known.push(key);
            let name = &self.name;
            report.add(self.span, format!("{name} lacks '{key}'; add {key} = {example}"));
            return None;
        }
        self.string(key, report)
    }

    /// Takes a switch.
    pub fn boolean(&mut self, key: &'static str, default: bool, report: &mut Report<'_>) -> bool {
        self.take_as(key, "true or false", report, |inner| inner.as_bool())
            .map_or(default, |placed| placed.value)
    }

    /// Takes a whole number within a range.
    pub fn count(
        &mut self,
        key: &'static str,
        default: usize,
        (min, max): (usize, usize),
        report: &mut Report<'_>,
    ) -> usize {
        let expected = format!("a whole number from {min} to {max}");
        self.take_as(key, &expected, report, |inner| {
            let number = usize::try_from(inner.as_integer()?).ok()?;
            (min..=max).contains(&number).then_some(number)
        })
        .map_or(default, |placed| placed.value)
    }

    /// Takes a duration; `zero` tells whether it may be nothing.
    pub fn duration(&mut self, key: &'static str, zero: bool, report: &mut Report<'_>) -> Option<Duration> {
        let expected = if zero {
            "a duration such as \"500ms\", \"30s\" or \"5m\""
        } else {
            "a duration above zero such as \"500ms\", \"30s\" or \"5m\""
        };
        self.take_as(key, expected, report, |inner| {
            units::duration(inner.as_str()?).filter(|duration| zero || !duration.is_zero())
        })
        .map(|placed| placed.value)
    }

    /// Takes a size in bytes, written as a number or with a unit.
    pub fn size(
        &mut self,
        key: &'static str,
        (min, max): (u64, u64),
        report: &mut Report<'_>,
    ) -> Option<u64> {
        let expected = format!("a size from {min} to {max} bytes, a number or a text such as \"64KiB\"");
        self.take_as(key, &expected, report, |inner| {
            let size = match inner {
                ValueInner::Integer(number) => u64::try_from(number).ok(),
                ValueInner::String(text) => units::size(&text),
                _ => None,
            };
            size.filter(|size| (min..=max).contains(size))
        })
        .map(|placed| placed.value)
    }

    /// Takes the address of a socket.
    pub fn address(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<SocketAddr> {
        self.take_as(
            key,
            "an IP address with port such as \"0.0.0.0:8080\" or \"[::]:8080\"",
            report,
            |inner| inner.as_str()?.parse().ok(),
        )
        .map(|placed| placed.value)
    }

    /// Takes a list of texts; absent is empty.
    pub fn strings(&mut self, key: &'static str, report: &mut Report<'_>) -> Vec<Placed<String>> {
        let items = self.take_as(key, "a list of texts", report, |inner| match inner {
            ValueInner::Array(items) => Some(items),
            _ => None,
        });
        let mut texts = Vec::new();
        for mut item in items.map_or_else(Vec::new, |placed| placed.value) {
            let span = item.span;
            match item.take() {
                ValueInner::String(text) if !text.is_empty() => {
                    texts.push(Placed { value: text.into_owned(), span });
                }
                other => {
                    let found = found(&other);
                    report.add(span, format!("'{key}' must hold texts that are not empty, not {found}"));
                }
            }
        }
        texts
    }

    /// Takes a list of tables.
    pub fn tables(&mut self, key: &'static str, report: &mut Report<'_>) -> Option<Vec<Reader<'de>>> {
        let (_, mut value) = self.take(key)?;
        let span = value.span;
        let ValueInner::Array(items) = value.take() else {
            report.add(span, format!("'{key}' must be a list of tables; write [[{key}]]"));
            return None;
        };
        let name = format!("[[{key}]]");
        let tables = items.into_iter();
        Some(tables.filter_map(|item| Reader::new(item, &name, report)).collect())
    }

    /// The keys not taken so far, with their values.
    pub fn rest(&mut self) -> Vec<(Key<'de>, Value<'de>)> {
        std::mem::take(&mut self.table).into_iter().collect()
    }

    /// Reports what was not taken.
    pub fn finish(mut self, report: &mut Report<'_>) {
        for (key, _) in self.rest() {
            let name = &self.name;
            let advice = match units::nearest(&key.name, self.known.iter().copied()) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("known are: {}", self.known.join(", ")),
            };
            report.add(key.span, format!("unknown key '{}' in {name}; {advice}", key.name.escape_debug()));
        }
    }
}

/// What stands in the file in place of what is expected: the value itself where it is short, since
/// its kind may be the right one.
fn found(value: &ValueInner<'_>) -> String {
    match value {
        ValueInner::String(text) => format!("'{}'", text.escape_debug()),
        ValueInner::Integer(number) => number.to_string(),
        // With its point, or 2.0 would look like a whole number.
        ValueInner::Float(number) => format!("{number:?}"),
        ValueInner::Boolean(switch) => switch.to_string(),
        ValueInner::Array(_) => "an array".to_owned(),
        ValueInner::Table(_) => "a table".to_owned(),
    }
}
