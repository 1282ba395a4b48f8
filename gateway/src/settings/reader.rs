//! Reads tables key by key; what is wrong with them goes to the report.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::report::{Placed, Report, Span};
use super::units;

/// A value as it was parsed.
pub type Value<'t> = Spanned<DeValue<'t>>;

/// A table whose keys are taken one after another; what is left at the end is unknown.
#[derive(Debug)]
pub struct Reader<'t, 'r> {
    table: DeTable<'t>,
    /// The name of the table as the operator knows it.
    name: String,
    /// Where the table stands.
    pub span: Span,
    known: Vec<&'static str>,
    /// Where the problems go.
    pub report: &'r Report<'t>,
}

impl<'t, 'r> Reader<'t, 'r> {
    /// Reads a table; another value is a problem.
    pub fn new(value: Value<'t>, name: &str, report: &'r Report<'t>) -> Option<Self> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Some(Self::of(table, span, name, report)),
            other => {
                report.add(&span, format!("{name} must be a table, not {}", found(&other)));
                None
            }
        }
    }

    /// Reads a table that is known to be one.
    pub fn of(table: DeTable<'t>, span: Span, name: &str, report: &'r Report<'t>) -> Self {
        Self { table, name: name.to_owned(), span, known: Vec::new(), report }
    }

    /// Whether the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Takes a value of any kind.
    pub fn take(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.known.push(key);
        self.table.remove(key)
    }

    fn take_as<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(DeValue<'t>) -> Option<T>,
    ) -> Option<Placed<T>> {
        let value = self.take(key)?;
        let span = value.span();
        let inner = value.into_inner();
        let found = found(&inner);
        let read = read(inner);
        if read.is_none() {
            self.report.add(&span, format!("'{key}' must be {expected}, not {found}"));
        }
        read.map(|value| Placed { value, span })
    }

    /// Takes a text that is not empty.
    pub fn string(&mut self, key: &'static str) -> Option<Placed<String>> {
        self.take_as(key, "a text that is not empty", |value| match value {
            DeValue::String(text) if !text.is_empty() => Some(text.into_owned()),
            _ => None,
        })
    }

    /// Takes a text that is not empty; its absence is a problem.
    pub fn required(&mut self, key: &'static str, example: &str) -> Option<Placed<String>> {
        if !self.has(key) {
            self.known.push(key);
            self.lacks(key, example);
            return None;
        }
        self.string(key)
    }

    /// Reports that a key is missing.
    pub fn lacks(&self, key: &str, example: &str) {
        let name = &self.name;
        self.report.add(&self.span, format!("{name} lacks '{key}'; add {key} = {example}"));
    }

    /// Takes one of a few words.
    pub fn word<T: Clone>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<String> = words.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let expected = match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => names.concat(),
        };
        self.take_as(key, &expected, |value| {
            let text = value.as_str()?;
            words.iter().find(|(name, _)| *name == text).map(|(_, word)| word.clone())
        })
        .map(|placed| placed.value)
    }

    /// Takes a switch.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.take_as(key, "true or false", |value| value.as_bool()).map(|placed| placed.value)
    }

    /// Takes a whole number within a range.
    pub fn count<T: TryFrom<u64>>(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<T> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.take_as(key, &expected, |value| {
            let number = integer(value.as_integer()?).filter(|number| range.contains(number))?;
            T::try_from(number).ok()
        })
        .map(|placed| placed.value)
    }

    /// Takes a duration above zero.
    pub fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.take_as(key, "a duration above zero such as \"500ms\", \"30s\" or \"5m\"", |value| {
            units::duration(value.as_str()?).filter(|duration| !duration.is_zero())
        })
        .map(|placed| placed.value)
    }

    /// Takes a duration that may be nothing.
    pub fn duration_or_zero(&mut self, key: &'static str) -> Option<Duration> {
        self.take_as(key, "a duration such as \"500ms\", \"30s\" or \"5m\"", |value| {
            units::duration(value.as_str()?)
        })
        .map(|placed| placed.value)
    }

    /// Takes a size in bytes, written as a number or with a unit.
    pub fn size<T: TryFrom<u64>>(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<T> {
        let (min, max) = range.clone().into_inner();
        let expected = format!("a size from {min} to {max} bytes, a number or a text such as \"64KiB\"");
        self.take_as(key, &expected, |value| {
            let size = match value {
                DeValue::Integer(number) => integer(&number),
                DeValue::String(text) => units::size(&text),
                _ => None,
            };
            T::try_from(size.filter(|size| range.contains(size))?).ok()
        })
        .map(|placed| placed.value)
    }

    /// Takes the address of a socket.
    pub fn address(&mut self, key: &'static str) -> Option<SocketAddr> {
        let expected = "an IP address with port such as \"0.0.0.0:8080\" or \"[::]:8080\"";
        self.take_as(key, expected, |value| value.as_str()?.parse().ok()).map(|placed| placed.value)
    }

    /// Takes a list of values; absent is empty.
    pub fn list(&mut self, key: &'static str, expected: &str) -> Vec<Value<'t>> {
        let items = self.take_as(key, expected, |value| match value {
            DeValue::Array(items) => Some(items.into_iter().collect()),
            _ => None,
        });
        items.map_or_else(Vec::new, |placed| placed.value)
    }

    /// Takes a list of texts; absent is empty.
    pub fn strings(&mut self, key: &'static str) -> Vec<Placed<String>> {
        let mut texts = Vec::new();
        for item in self.list(key, "a list of texts") {
            let span = item.span();
            match item.into_inner() {
                DeValue::String(text) if !text.is_empty() => {
                    texts.push(Placed { value: text.into_owned(), span });
                }
                other => {
                    let found = found(&other);
                    self.report
                        .add(&span, format!("'{key}' must hold texts that are not empty, not {found}"));
                }
            }
        }
        texts
    }

    /// Takes a table.
    pub fn table(&mut self, key: &'static str) -> Option<Self> {
        let value = self.take(key)?;
        Self::new(value, key, self.report)
    }

    /// Takes a list of tables.
    pub fn tables(&mut self, key: &'static str) -> Option<Vec<Self>> {
        let value = self.take(key)?;
        let span = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            self.report.add(&span, format!("'{key}' must be a list of tables; write [[{key}]]"));
            return None;
        };
        let name = format!("[[{key}]]");
        Some(items.into_iter().filter_map(|item| Self::new(item, &name, self.report)).collect())
    }

    /// The keys not taken so far, with their values.
    pub fn rest(&mut self) -> Vec<(Placed<String>, Value<'t>)> {
        let rest = std::mem::take(&mut self.table).into_iter();
        rest.map(|(key, value)| {
            let span = key.span();
            (Placed { value: key.into_inner().into_owned(), span }, value)
        })
        .collect()
    }

    /// Reports what was not taken.
    pub fn finish(mut self) {
        for (key, _) in self.rest() {
            let name = &self.name;
            let advice = match units::nearest(&key.value, self.known.iter().copied()) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("known are: {}", self.known.join(", ")),
            };
            let key_shown = key.value.escape_debug();
            self.report.add(&key.span, format!("unknown key '{key_shown}' in {name}; {advice}"));
        }
    }
}

/// Replaces a default by what was given.
pub fn put<T>(slot: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *slot = given;
    }
}

/// The value of a whole number that is not negative.
pub fn integer(number: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// What stands in the file in place of what is expected: the value itself where it is short, since
/// its kind may be the right one.
pub fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("'{}'", text.escape_debug()),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
