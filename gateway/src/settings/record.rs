//! Records the keys of each table that a reader reads. The records are the source of the JSON Schema, the
//! tables of docs/settings-gateway.md and the effective settings.

use std::cell::RefCell;
use std::rc::Rc;

use toml::de::DeValue;

use super::reader::integer;
use crate::json::Json;

/// Shown instead of a secret.
const MASK: &str = "********";

/// The purpose of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only the settings.
    Read,
    /// Also records the keys and values of a file.
    Record,
    /// Only records the possible keys; there is no file.
    Describe,
}

/// The keys of a table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The keys in the order of their declaration.
    pub keys: Vec<Key>,
    /// Keys of which exactly one is required.
    pub one_of: Vec<&'static str>,
}

/// A table that is still being read.
pub type Log = Rc<RefCell<Table>>;

/// A key.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// Its description.
    pub doc: &'static str,
    /// The kind of its value as text; empty for a table.
    pub label: String,
    /// The JSON Schema of the value; `None` for a table.
    pub schema: Option<Json>,
    /// The structure of its content.
    pub form: Form,
    /// Its default.
    pub otherwise: Otherwise,
    /// Whether the file has it.
    pub given: bool,
    /// Its values in the file, with secrets masked.
    pub items: Vec<Item>,
}

/// The structure of a key's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A value.
    Value,
    /// A table.
    Table,
    /// A list of tables.
    Tables,
    /// A table of tables with names chosen by the operator.
    Named,
    /// A table of values with names chosen by the operator.
    Values,
    /// A value or a table.
    Either,
    /// A list of values and tables.
    Mixed,
}

/// Default of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Otherwise {
    /// None: the key is required.
    Needed,
    /// This value.
    Is(Json),
    /// A description in Markdown.
    Words(&'static str),
}

/// A value or a table below a key.
#[derive(Debug, Clone)]
pub enum Item {
    /// A value.
    Value(Json),
    /// A table.
    Table(Log),
    /// A table with a name chosen by the operator.
    Named(String, Log),
    /// A value with a name chosen by the operator.
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

/// A value in the file; a secret is masked.
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
