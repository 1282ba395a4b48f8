//! Texts, and values written as texts.

use std::net::SocketAddr;

use toml::de::DeValue;

use super::{Kind, Shown, Slot, Value};
use crate::json::Json;
use crate::settings::report::{Placed, Report};
use crate::settings::units;

fn text<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match value.get_ref() {
        DeValue::String(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn schema(pattern: Option<&str>) -> Json {
    let mut schema = Json::object([("type", Json::text("string")), ("minLength", Json::Number(1))]);
    if let Some(pattern) = pattern {
        schema.push("pattern", Json::text(pattern));
    }
    schema
}

/// A text that is not empty.
#[derive(Debug, Clone, Copy)]
pub struct Text;

impl Kind for Text {
    type Value = String;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<String> {
        let read = text(value).map(str::to_owned);
        if read.is_none() {
            slot.wrong(value, "a text that is not empty");
        }
        read
    }

    fn label(&self) -> String {
        "text".to_owned()
    }

    fn schema(&self) -> Json {
        schema(None)
    }
}

impl Shown for Text {
    fn show(&self, value: &String) -> Json {
        Json::text(value)
    }
}

/// A text with a format of its own. `read` returns the value, or reports why it is invalid.
#[derive(Debug, Clone, Copy)]
pub struct Parsed<F> {
    /// Its name.
    pub label: &'static str,
    /// A regular expression (ECMA 262) that every valid value matches.
    pub pattern: Option<&'static str>,
    /// The parser.
    pub read: F,
}

/// A [`Parsed`] whose parser is a function.
pub type ParsedBy<T> = Parsed<fn(&Placed<String>, &Report<'_>) -> Option<T>>;

impl<T, F: Fn(&Placed<String>, &Report<'_>) -> Option<T>> Kind for Parsed<F> {
    type Value = T;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<T> {
        let Some(text) = text(value) else {
            slot.wrong(value, "a text that is not empty");
            return None;
        };
        (self.read)(&Placed { value: text.to_owned(), span: value.span() }, slot.report)
    }

    fn label(&self) -> String {
        self.label.to_owned()
    }

    fn schema(&self) -> Json {
        schema(self.pattern)
    }
}

/// The address of a socket.
#[derive(Debug, Clone, Copy)]
pub struct Address;

impl Kind for Address {
    type Value = SocketAddr;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<SocketAddr> {
        let read = value.get_ref().as_str().and_then(|text| text.parse().ok());
        if read.is_none() {
            slot.wrong(value, "an IP address with port such as \"0.0.0.0:8080\" or \"[::]:8080\"");
        }
        read
    }

    fn label(&self) -> String {
        "IP address and port".to_owned()
    }

    fn schema(&self) -> Json {
        schema(Some(r"^([0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"))
    }
}

impl Shown for Address {
    fn show(&self, value: &SocketAddr) -> Json {
        Json::text(value.to_string())
    }
}

/// One of several words.
#[derive(Debug, Clone, Copy)]
pub struct Words<'w, T>(&'w [(&'w str, T)]);

/// One of several words, each with its value.
pub const fn words<'w, T>(words: &'w [(&'w str, T)]) -> Words<'w, T> {
    Words(words)
}

impl<T> Words<'_, T> {
    fn quoted(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| format!("\"{name}\"")).collect()
    }
}

impl<T: Clone> Kind for Words<'_, T> {
    type Value = T;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<T> {
        let text = value.get_ref().as_str();
        let known = text.and_then(|text| self.0.iter().find(|(name, _)| *name == text));
        if let Some((_, word)) = known {
            return Some(word.clone());
        }
        let names = self.quoted();
        let expected = match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => names.concat(),
        };
        match text.and_then(|text| units::nearest(text, self.0.iter().map(|(name, _)| *name))) {
            Some(near) => {
                let (name, shown) = (slot.name, text.unwrap_or_default().escape_debug());
                let text = format!("{name} must be {expected}, not '{shown}'; did you mean \"{near}\"?");
                slot.report.add(&value.span(), text);
            }
            None => slot.wrong(value, &expected),
        }
        None
    }

    fn label(&self) -> String {
        self.quoted().iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }

    fn schema(&self) -> Json {
        Json::object([("enum", Json::list(self.0.iter().map(|(name, _)| Json::text(*name))))])
    }
}

impl<T: Clone + PartialEq> Shown for Words<'_, T> {
    fn show(&self, value: &T) -> Json {
        let word = self.0.iter().find(|(_, word)| word == value);
        word.map_or(Json::Null, |(name, _)| Json::text(*name))
    }
}
