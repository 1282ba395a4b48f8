//! The JSON Schema of a settings file, for editors (draft 7, which Taplo supports).

use super::record::{Form, Item, Key, Otherwise, Table};
use crate::json::Json;

/// The schema of the declared keys.
pub fn schema(root: &Table) -> Json {
    let mut schema = Json::object([
        ("$schema", Json::text("http://json-schema.org/draft-07/schema#")),
        ("title", Json::text("gateway settings")),
    ]);
    if let Json::Object(members) = table(root) {
        for (key, value) in members {
            schema.push(&key, value);
        }
    }
    schema
}

fn table(table: &Table) -> Json {
    let mut properties = Json::Object(Vec::new());
    for entry in &table.keys {
        properties.push(&entry.name, key(entry));
    }
    let mut schema = Json::object([
        ("type", Json::text("object")),
        ("properties", properties),
        ("additionalProperties", Json::Bool(false)),
    ]);
    let needed = table.keys.iter().filter(|key| key.otherwise == Otherwise::Needed);
    let needed: Vec<Json> = needed.map(|key| Json::text(&key.name)).collect();
    if !needed.is_empty() {
        schema.push("required", Json::List(needed));
    }
    if !table.one_of.is_empty() {
        let one = |key: &&str| Json::object([("required", Json::list([Json::text(*key)]))]);
        schema.push("oneOf", Json::list(table.one_of.iter().map(one)));
    }
    schema
}

fn key(key: &Key) -> Json {
    let below = || {
        let log = key.items.iter().find_map(Item::table);
        log.map_or_else(|| Json::Object(Vec::new()), |log| table(&log.borrow()))
    };
    let value = || key.schema.clone().unwrap_or_else(|| Json::Object(Vec::new()));
    let list = |items| Json::object([("type", Json::text("array")), ("items", items)]);
    let map = |values| Json::object([("type", Json::text("object")), ("additionalProperties", values)]);
    let any = || Json::object([("anyOf", Json::list([value(), below()]))]);
    let mut schema = match key.form {
        Form::Value => value(),
        Form::Table => below(),
        Form::Tables => list(below()),
        Form::Named => map(below()),
        Form::Values => map(value()),
        Form::Either => any(),
        Form::Mixed => list(any()),
    };
    schema.push("description", Json::text(description(key)));
    if let Otherwise::Is(default) = &key.otherwise {
        schema.push("default", default.clone());
    }
    schema
}

fn description(key: &Key) -> String {
    match key.otherwise {
        Otherwise::Words(words) if !matches!(words, "" | "none") => {
            format!("{}. Without it: {words}", key.doc)
        }
        _ => key.doc.to_owned(),
    }
}
