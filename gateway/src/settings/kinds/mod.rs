//! Kinds of values: parser, name and JSON Schema of each.

mod numbers;
mod texts;

use toml::Spanned;
use toml::de::DeValue;

use super::reader::found;
use super::report::{Placed, Report};
use crate::json::Json;
pub use numbers::{Count, Duration, DurationOrNone, Size, Statuses, count, count_or_none, size};
pub use texts::{Address, Parsed, ParsedBy, Text, Words, words};

/// A parsed value.
pub type Value<'t> = Spanned<DeValue<'t>>;

/// A kind of value.
pub trait Kind {
    /// The type of the parsed value.
    type Value;

    /// Parses a value, or reports why it is invalid.
    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<Self::Value>;

    /// Its name in the tables of docs/settings-gateway.md.
    fn label(&self) -> String;

    /// Its JSON Schema, without `description` and `default`.
    fn schema(&self) -> Json;

    /// Whether the value is a secret.
    fn is_secret(&self) -> bool {
        false
    }
}

/// A kind of value with defaults.
pub trait Shown: Kind {
    /// The value as written in the settings.
    fn show(&self, value: &Self::Value) -> Json;
}

/// The context of a value.
#[derive(Debug)]
pub struct Slot<'a, 't> {
    /// The name of the key or the item in messages.
    pub name: &'a str,
    /// Alternatives to the value for messages, such as ` or a table`.
    pub or: &'static str,
    /// Whether the value is a secret.
    pub secret: bool,
    /// Collects the problems.
    pub report: &'a Report<'t>,
}

impl Slot<'_, '_> {
    /// Reports that a value is not the expected one.
    pub fn wrong(&self, value: &Value<'_>, expected: &str) {
        let (name, or) = (self.name, self.or);
        let found = if self.secret { String::new() } else { format!(", not {}", found(value.get_ref())) };
        self.report.add(&value.span(), format!("{name} must be {expected}{or}{found}"));
    }
}

/// `true` or `false`.
#[derive(Debug, Clone, Copy)]
pub struct Switch;

impl Kind for Switch {
    type Value = bool;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<bool> {
        let read = value.get_ref().as_bool();
        if read.is_none() {
            slot.wrong(value, "true or false");
        }
        read
    }

    fn label(&self) -> String {
        "switch".to_owned()
    }

    fn schema(&self) -> Json {
        Json::object([("type", Json::text("boolean"))])
    }
}

impl Shown for Switch {
    fn show(&self, value: &bool) -> Json {
        Json::Bool(*value)
    }
}

/// A list of values of one kind.
#[derive(Debug, Clone, Copy)]
pub struct List<K>(pub K);

impl<K: Kind> Kind for List<K> {
    type Value = Vec<Placed<K::Value>>;

    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<Self::Value> {
        let Some(items) = value.get_ref().as_array() else {
            slot.wrong(value, &format!("a list: {}", self.0.label().replace('`', "")));
            return None;
        };
        let name = format!("an item of {}", slot.name);
        let inner = Slot { name: &name, or: "", ..*slot };
        let read = |item: &Value<'_>| Some(Placed { value: self.0.read(&inner, item)?, span: item.span() });
        Some(items.iter().filter_map(read).collect())
    }

    fn label(&self) -> String {
        format!("list: {}", self.0.label())
    }

    fn schema(&self) -> Json {
        Json::object([("type", Json::text("array")), ("items", self.0.schema())])
    }

    fn is_secret(&self) -> bool {
        self.0.is_secret()
    }
}
