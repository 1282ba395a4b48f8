//! Prints the effective settings: the keys in the file, and the defaults.

use super::record::{Form, Item, Key, Otherwise, Table};
use crate::json::{Json, write_text};

/// Writes every key with its value in TOML. Keys without a value are comments.
pub fn effective(root: &Table) -> String {
    let mut out = String::new();
    table(&mut out, "", root);
    out
}

fn table(out: &mut String, path: &str, table: &Table) {
    for key in &table.keys {
        plain(out, key);
    }
    for key in &table.keys {
        let path = join(path, &key.name);
        match key.form {
            Form::Table | Form::Either | Form::Named => {
                for item in &key.items {
                    match item {
                        Item::Table(log) => section(out, &format!("[{path}]"), &path, &log.borrow()),
                        Item::Named(name, log) => {
                            let path = join(&path, name);
                            section(out, &format!("[{path}]"), &path, &log.borrow());
                        }
                        Item::Value(_) | Item::NamedValue(..) => {}
                    }
                }
            }
            Form::Tables => {
                for log in key.items.iter().filter_map(Item::table) {
                    section(out, &format!("[[{path}]]"), &path, &log.borrow());
                }
            }
            Form::Values if !key.items.is_empty() => {
                out.push_str(&format!("\n[{path}]\n"));
                for item in &key.items {
                    if let Item::NamedValue(name, value) = item {
                        out.push_str(&format!("{} = {}\n", quoted(name), toml(value)));
                    }
                }
            }
            Form::Values | Form::Value | Form::Mixed => {}
        }
    }
}

fn section(out: &mut String, heading: &str, path: &str, keys: &Table) {
    out.push_str(&format!("\n{heading}\n"));
    table(out, path, keys);
}

/// Writes a key on one line.
fn plain(out: &mut String, key: &Key) {
    let name = quoted(&key.name);
    let written = match (key.form, &key.otherwise) {
        (Form::Mixed, _) if key.given => {
            let items: Vec<String> = key.items.iter().map(item).collect();
            Some(format!("[{}]", items.join(", ")))
        }
        (Form::Value | Form::Either, _) if key.given => match key.items.first() {
            Some(Item::Value(value)) => Some(toml(value)),
            _ => return,
        },
        (Form::Value | Form::Either | Form::Mixed, Otherwise::Is(default)) => Some(toml(default)),
        (_, Otherwise::Words(words)) if !key.given && key.items.is_empty() => {
            let words = if words.is_empty() { "none" } else { words };
            out.push_str(&format!("# {name}: {words}\n"));
            None
        }
        _ => None,
    };
    if let Some(value) = written {
        out.push_str(&format!("{name} = {value}\n"));
    }
}

fn item(item: &Item) -> String {
    match item {
        Item::Value(value) | Item::NamedValue(_, value) => toml(value),
        Item::Table(log) | Item::Named(_, log) => {
            let mut keys = Vec::new();
            for key in &log.borrow().keys {
                match (key.items.first(), &key.otherwise) {
                    (Some(Item::Value(value)), _) | (None, Otherwise::Is(value)) => {
                        keys.push(format!("{} = {}", quoted(&key.name), toml(value)));
                    }
                    _ => {}
                }
            }
            format!("{{ {} }}", keys.join(", "))
        }
    }
}

fn toml(value: &Json) -> String {
    match value {
        Json::List(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Json::Object(members) => {
            let members = members.iter().map(|(key, value)| format!("{} = {}", quoted(key), toml(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn quoted(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !key.is_empty() && key.bytes().all(bare) {
        return key.to_owned();
    }
    let mut out = String::new();
    let _ = write_text(&mut out, key);
    out
}

fn join(path: &str, key: &str) -> String {
    let key = quoted(key);
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
