//! Reads tables key by key and reports problems.
//!
//! A key is declared where it is read, with its kind, its default, and one line of description. These
//! declarations are the source of the JSON Schema (`gateway schema`), the tables of docs/settings-gateway.md
//! and `gateway check --print`. A new key needs only such a call:
//!
//! ```text
//! table.set(&mut listener.idle_timeout, "idle_timeout", Duration::Positive, "how long …");
//! let file = table.get("client_ca", Text, "none", "the certificates of …");
//! let path = table.need("path", Text, "\"/healthz\"", "what to ask for with GET");
//! let mut http2 = table.section("http2", "limits of HTTP/2");    // read also where it is absent
//! if let Some(mut tls) = table.table("tls", "none", "…") {}      // read only where it is given
//! ```
//!
//! Every key must be read on every path, since a reader without a file describes the settings. `UPDATE_DOCS=1
//! cargo test -p gateway --lib settings::reference` updates the tables.

#![expect(clippy::needless_pass_by_value, reason = "a kind is made where its key is declared")]

use toml::de::{DeInteger, DeTable, DeValue};

pub use super::kinds::Value;
use super::kinds::{Kind, Shown, Slot};
use super::record::{Form, Item, Key, Log, Mode, Otherwise, given};
use super::report::{Placed, Report, Span, is_secret};
use super::{units, warning};

/// A table whose keys are read one after another; the rest at the end is unknown.
#[derive(Debug)]
pub struct Reader<'t, 'r> {
    table: DeTable<'t>,
    /// The name of the table for messages.
    name: String,
    /// Its place.
    pub span: Span,
    known: Vec<&'static str>,
    log: Option<Log>,
    /// Collects the problems.
    pub report: &'r Report<'t>,
}

/// A value with a name chosen by the operator; `None` if the value is invalid.
pub type Named<T> = (Placed<String>, Option<Placed<T>>);

/// A value or a table.
#[derive(Debug)]
pub enum Either<'t, 'r, T> {
    /// A value.
    Value(Placed<T>),
    /// A table.
    Table(Reader<'t, 'r>),
}

impl<'t, 'r> Reader<'t, 'r> {
    /// Reads a table.
    pub fn of(table: DeTable<'t>, span: Span, name: &str, report: &'r Report<'t>) -> Self {
        let log = (report.mode != Mode::Read).then(Log::default);
        Self { table, name: name.to_owned(), span, known: Vec::new(), log, report }
    }

    /// Reads a value that must be a table.
    fn new(value: Value<'t>, name: &str, report: &'r Report<'t>) -> Option<Self> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Some(Self::of(table, span, name, report)),
            other => {
                report.add(&span, format!("{name} must be a table, not {}", found(&other)));
                None
            }
        }
    }

    fn empty(&self, name: &str) -> Self {
        Self::of(DeTable::new(), self.span.clone(), name, self.report)
    }

    /// The keys read so far.
    pub fn log(&self) -> Option<Log> {
        self.log.clone()
    }

    /// Whether there is no file, and the keys are only described.
    pub fn describes(&self) -> bool {
        self.report.mode == Mode::Describe
    }

    /// Whether the key is present.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn record(
        &mut self,
        name: &'static str,
        kind: Option<(String, crate::json::Json)>,
        form: Form,
        otherwise: Otherwise,
        doc: &'static str,
    ) {
        let given = self.has(name);
        let (label, schema) = kind.map_or((String::new(), None), |(label, schema)| (label, Some(schema)));
        if let Some(log) = &self.log {
            let name = name.to_owned();
            let key = Key { name, doc, label, schema, form, otherwise, given, items: Vec::new() };
            log.borrow_mut().keys.push(key);
        }
    }

    /// Records the value of the last declared key.
    fn note(&self, item: impl FnOnce() -> Option<Item>) {
        if let Some(log) = &self.log
            && let Some(key) = log.borrow_mut().keys.last_mut()
        {
            key.items.extend(item());
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.known.push(key);
        self.table.remove(key)
    }

    /// Hides a secret in the source lines that problems show.
    fn hide(&self, secret: bool, value: &Value<'t>) {
        if secret {
            self.report.hide(value.span());
        }
    }

    fn described<K: Kind>(&self, kind: &K) -> Option<(String, crate::json::Json)> {
        self.log.is_some().then(|| (kind.label(), kind.schema()))
    }

    fn value<K: Kind>(
        &mut self,
        key: &'static str,
        kind: &K,
        otherwise: Otherwise,
        doc: &'static str,
    ) -> Option<Placed<K::Value>> {
        let limits = matches!(otherwise, Otherwise::Words("any" | "all"));
        self.record(key, self.described(kind), Form::Value, otherwise, doc);
        let value = self.take(key)?;
        if limits && value.get_ref().as_array().is_some_and(|list| list.is_empty()) {
            // An empty list would match nothing, but it would be treated as absent.
            self.report.add(&value.span(), format!("'{key}' is empty; name what fits, or remove it for any"));
        }
        let secret = kind.is_secret();
        self.hide(secret, &value);
        self.note(|| Some(Item::Value(given(value.get_ref(), secret))));
        let slot = Slot { name: &format!("'{key}'"), or: "", secret, report: self.report };
        kind.read(&slot, &value).map(|read| Placed { value: read, span: value.span() })
    }

    /// Reads a value; `slot` keeps its default if the key is absent.
    pub fn set<K: Shown>(&mut self, slot: &mut K::Value, key: &'static str, kind: K, doc: &'static str) {
        let default = if self.log.is_some() { kind.show(slot) } else { crate::json::Json::Null };
        if let Some(read) = self.value(key, &kind, Otherwise::Is(default), doc) {
            *slot = read.value;
        }
    }

    /// Reads a value; `otherwise` describes the default.
    pub fn get<K: Kind>(
        &mut self,
        key: &'static str,
        kind: K,
        otherwise: &'static str,
        doc: &'static str,
    ) -> Option<K::Value> {
        self.placed(key, kind, otherwise, doc).map(|read| read.value)
    }

    /// Reads a value with its place; `otherwise` describes the default.
    pub fn placed<K: Kind>(
        &mut self,
        key: &'static str,
        kind: K,
        otherwise: &'static str,
        doc: &'static str,
    ) -> Option<Placed<K::Value>> {
        self.value(key, &kind, Otherwise::Words(otherwise), doc)
    }

    /// Reads a required value with its place.
    pub fn need<K: Kind>(
        &mut self,
        key: &'static str,
        kind: K,
        example: &str,
        doc: &'static str,
    ) -> Option<Placed<K::Value>> {
        if !self.has(key) {
            self.lacks(key, example);
        }
        self.value(key, &kind, Otherwise::Needed, doc)
    }

    /// Reports that a key is missing.
    pub fn lacks(&self, key: &str, example: &str) {
        let name = &self.name;
        self.report.add(&self.span, format!("{name} lacks '{key}'; add {key} = {example}"));
    }

    /// Records that exactly one of these keys is required. The caller reports violations.
    pub fn one_of(&mut self, keys: &[&'static str]) {
        if let Some(log) = &self.log {
            log.borrow_mut().one_of = keys.to_vec();
        }
    }

    fn child(&self, name: Option<&str>, child: Option<Self>) -> Option<Self> {
        self.note(|| {
            let log = child.as_ref()?.log()?;
            Some(match name {
                Some(name) => Item::Named(name.to_owned(), log),
                None => Item::Table(log),
            })
        });
        child
    }

    /// Reads a table; `otherwise` describes the default.
    pub fn table(&mut self, key: &'static str, otherwise: &'static str, doc: &'static str) -> Option<Self> {
        self.record(key, None, Form::Table, Otherwise::Words(otherwise), doc);
        let table = match self.take(key) {
            Some(value) => Self::new(value, key, self.report),
            None => self.describes().then(|| self.empty(key)),
        };
        self.child(None, table)
    }

    /// Reads a table in which every key has a default; empty if it is absent.
    pub fn section(&mut self, key: &'static str, doc: &'static str) -> Self {
        self.record(key, None, Form::Table, Otherwise::Words(""), doc);
        let value = self.take(key);
        let table = value.and_then(|value| Self::new(value, key, self.report));
        let table = table.unwrap_or_else(|| self.empty(key));
        self.note(|| Some(Item::Table(table.log()?)));
        table
    }

    /// Reads a list of tables, each called `name` in messages.
    pub fn tables(
        &mut self,
        key: &'static str,
        name: &str,
        otherwise: Otherwise,
        doc: &'static str,
    ) -> Vec<Self> {
        self.record(key, None, Form::Tables, otherwise, doc);
        let Some(value) = self.take(key) else {
            let table = self.describes().then(|| self.empty(name));
            return self.child(None, table).into_iter().collect();
        };
        let span = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            self.report.add(&span, format!("'{key}' must be a list of tables; write [[{key}]]"));
            return Vec::new();
        };
        items.into_iter().filter_map(|item| self.child(None, Self::new(item, name, self.report))).collect()
    }

    /// Reads a table of tables with names chosen by the operator.
    pub fn named(&mut self, key: &'static str, doc: &'static str) -> Vec<(Placed<String>, Self)> {
        self.record(key, None, Form::Named, Otherwise::Words("none"), doc);
        let name = |name: &str| format!("[{key}.{name}]");
        let Some(value) = self.take(key) else {
            let table = self.describes().then(|| self.empty(&name("NAME")));
            let placed = Placed { value: "NAME".to_owned(), span: self.span.clone() };
            return self.child(Some("NAME"), table).map(|table| (placed, table)).into_iter().collect();
        };
        let Some(mut table) = Self::new(value, &format!("[{key}]"), self.report) else { return Vec::new() };
        let mut found = Vec::new();
        for (key, value) in table.rest() {
            let table = Self::new(value, &name(&key.value), self.report);
            found.extend(self.child(Some(&key.value), table).map(|table| (key, table)));
        }
        found
    }

    /// Reads a table of values with names chosen by the operator. `secret` decides by the name whether a
    /// value is secret.
    pub fn values<K: Kind>(
        &mut self,
        key: &'static str,
        kind: K,
        doc: &'static str,
        secret: fn(&str) -> bool,
    ) -> Vec<Named<K::Value>> {
        self.record(key, self.described(&kind), Form::Values, Otherwise::Words("none"), doc);
        let Some(value) = self.take(key) else { return Vec::new() };
        let Some(mut table) = Self::new(value, key, self.report) else { return Vec::new() };
        let mut found = Vec::new();
        for (name, value) in table.rest() {
            let secret = kind.is_secret() || secret(&name.value);
            table.hide(secret, &value);
            let plain = |text: &str| !(text.is_empty() || text.starts_with('{') && text.ends_with('}'));
            if secret && value.get_ref().as_str().is_some_and(plain) {
                let text = "this looks like a credential in plain text; who can read the file can use it";
                self.report.warn(&value.span(), warning::PLAIN_TEXT_CREDENTIAL, text);
            }
            self.note(|| Some(Item::NamedValue(name.value.clone(), given(value.get_ref(), secret))));
            let shown = format!("'{}' in '{key}'", name.value.escape_debug());
            let slot = Slot { name: &shown, or: "", secret, report: self.report };
            let read = kind.read(&slot, &value).map(|read| Placed { value: read, span: value.span() });
            found.push((name, read));
        }
        found
    }

    /// Reads a value or a table.
    pub fn either<K: Kind>(
        &mut self,
        key: &'static str,
        kind: K,
        otherwise: Otherwise,
        doc: &'static str,
    ) -> Option<Either<'t, 'r, K::Value>> {
        self.record(key, self.described(&kind), Form::Either, otherwise, doc);
        if let Some(value) = self.take(key) {
            return self.value_or_table(&format!("'{key}'"), key, &kind, value);
        }
        let table = self.describes().then(|| self.empty(key));
        self.child(None, table).map(Either::Table)
    }

    /// Reads a list of values and tables; the tables are called `name` in messages.
    pub fn mixed<K: Kind>(
        &mut self,
        key: &'static str,
        name: &str,
        kind: K,
        otherwise: Otherwise,
        doc: &'static str,
    ) -> Vec<Either<'t, 'r, K::Value>> {
        self.record(key, self.described(&kind), Form::Mixed, otherwise, doc);
        let Some(value) = self.take(key) else {
            let table = self.describes().then(|| self.empty(name));
            return self.child(None, table).map(Either::Table).into_iter().collect();
        };
        let span = value.span();
        let DeValue::Array(items) = value.into_inner() else {
            self.report.add(&span, format!("'{key}' must be a list"));
            return Vec::new();
        };
        let item = format!("an item of '{key}'");
        items.into_iter().filter_map(|value| self.value_or_table(&item, name, &kind, value)).collect()
    }

    fn value_or_table<K: Kind>(
        &self,
        name: &str,
        table_name: &str,
        kind: &K,
        value: Value<'t>,
    ) -> Option<Either<'t, 'r, K::Value>> {
        if matches!(value.get_ref(), DeValue::Table(_)) {
            return self.child(None, Self::new(value, table_name, self.report)).map(Either::Table);
        }
        let secret = kind.is_secret();
        self.hide(secret, &value);
        self.note(|| Some(Item::Value(given(value.get_ref(), secret))));
        let slot = Slot { name, or: " or a table", secret, report: self.report };
        let read = kind.read(&slot, &value)?;
        Some(Either::Value(Placed { value: read, span: value.span() }))
    }

    /// The keys that were not read, with their values.
    fn rest(&mut self) -> Vec<(Placed<String>, Value<'t>)> {
        let rest = std::mem::take(&mut self.table).into_iter();
        rest.map(|(key, value)| {
            let span = key.span();
            (Placed { value: key.into_inner().into_owned(), span }, value)
        })
        .collect()
    }

    /// Reports keys that were not read.
    pub fn finish(mut self) {
        for (key, value) in self.rest() {
            let name = &self.name;
            self.hide(is_secret(&key.value), &value);
            let advice = match units::nearest(&key.value, self.known.iter().copied()) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("known are: {}", self.known.join(", ")),
            };
            let key_shown = key.value.escape_debug();
            self.report.add(&key.span, format!("unknown key '{key_shown}' in {name}; {advice}"));
        }
    }
}

/// The value of a whole number that is not negative.
pub fn integer(number: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A value for messages: the value itself if it is short, otherwise its type.
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
