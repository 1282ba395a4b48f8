//! What a reader asked for: the keys of each table. From it come the JSON Schema, the tables of
//! docs/settings-gateway.md and the effective settings.

use std::cell::RefCell;
use std::rc::Rc;

use toml::de::DeValue;

use super::reader::integer;
use crate::json::Json;

/// What stands in place of a secret.
const MASK: &str = "********";

/// Why a reader reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For the settings only.
    Read,
    /// For the keys and values that a file gives, too.
    Record,
    /// For the keys that a file can give; there is no file.
    Describe,
}

/// The keys of a table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The keys in the order in which they were asked for.
    pub keys: Vec<Key>,
    /// Keys of which exactly one is given.
    pub one_of: Vec<&'static str>,
}

/// A table that is still being read.
pub type Log = Rc<RefCell<Table>>;

/// A key.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// What it means.
    pub doc: &'static str,
    /// The kind of its value, for people; empty for a table.
    pub label: String,
    /// The JSON Schema of a value that is no table.
    pub schema: Option<Json>,
    /// Where tables stand below it.
    pub form: Form,
    /// What holds without it.
    pub otherwise: Otherwise,
    /// Whether the file gives it.
    pub given: bool,
    /// What the file gives, secrets masked.
    pub items: Vec<Item>,
}

/// Where tables and values stand below a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A value.
    Value,
    /// A table.
    Table,
    /// A list of tables.
    Tables,
    /// A table of tables with names that the operator chooses.
    Named,
    /// A table of values with names that the operator chooses.
    Values,
    /// A value or a table.
    Either,
    /// A list of values and tables.
    Mixed,
}

/// What holds without a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Otherwise {
    /// It is needed.
    Needed,
    /// This value.
    Is(Json),
    /// What the words say, in Markdown.
    Words(&'static str),
}

/// A value or a table below a key.
#[derive(Debug, Clone)]
pub enum Item {
    /// A value.
    Value(Json),
    /// A table.
    Table(Log),
    /// A table with the name that the operator chose.
    Named(String, Log),
    /// A value with the name that the operator chose.
    NamedValue(String, Json),
}

impl Item {
    /// The table, if it is one.
    pub fn table(&self) -> Option<&Log> {
        match self {
            Self::Table(log) | Self::Named(_, log) => Some(log),
            Self::Value(_) | Self::NamedValue(..) => None,
        }
    }
}

/// A value as the file gives it; a secret is masked.
pub fn given(value: &DeValue<'_>, secret: bool) -> Json {
    match value {
        DeValue::Array(items) => Json::list(items.iter().map(|item| given(item.get_ref(), secret))),
        DeValue::Table(table) => Json::Object(
            table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), given(value.get_ref(), secret)))
                .collect(),
        ),
        _ if secret => Json::text(MASK),
        DeValue::String(text) => Json::text(text.as_ref()),
        DeValue::Integer(number) => integer(number).map_or_else(|| Json::text(number.as_str()), Json::Number),
        DeValue::Boolean(switch) => Json::Bool(*switch),
        DeValue::Float(number) => Json::text(number.as_str()),
        DeValue::Datetime(time) => Json::text(time.to_string()),
    }
}
