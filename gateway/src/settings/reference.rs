//! Compares docs/settings-gateway.md with the keys that the reader declares.

use std::collections::BTreeMap;

use super::describe;
use super::record::{Form, Item, Key, Otherwise, Table};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings-gateway.md");
const BEGIN: &str = "<!-- keys: ";
const END: &str = "<!-- /keys -->";

/// The table of each section in Markdown, by the path of the section.
fn sections(table: &Table, path: &str, found: &mut BTreeMap<String, String>) {
    let mut rows = "| key | value | default | meaning |\n|---|---|---|---|\n".to_owned();
    for key in &table.keys {
        let default = match &key.otherwise {
            Otherwise::Needed => "needed".to_owned(),
            Otherwise::Is(value) => format!("`{value}`"),
            Otherwise::Words(words) => (*words).to_owned(),
        };
        assert!(!key.doc.is_empty(), "{path}.{} is not described", key.name);
        rows.push_str(&format!("| `{}` | {} | {default} | {} |\n", key.name, label(key), key.doc));
        for item in &key.items {
            let below = format!("{path}.{}", key.name);
            match item {
                Item::Table(log) => sections(&log.borrow(), &below, found),
                Item::Named(name, log) => sections(&log.borrow(), &format!("{below}.{name}"), found),
                Item::Value(_) | Item::NamedValue(..) => {}
            }
        }
    }
    let path = path.strip_prefix('.').unwrap_or("top");
    found.insert(path.to_owned(), rows);
}

fn label(key: &Key) -> String {
    let label = &key.label;
    match key.form {
        Form::Value => label.clone(),
        Form::Table => "table".to_owned(),
        Form::Tables => "list of tables".to_owned(),
        Form::Named => "table of tables".to_owned(),
        Form::Values => format!("table: {label}"),
        Form::Either => format!("{label}, or table"),
        Form::Mixed => format!("list: {label}, or table"),
    }
}

/// The page with updated tables, and the names of its sections.
fn made(page: &str, sections: &BTreeMap<String, String>) -> (String, Vec<String>) {
    let mut out = String::new();
    let mut named = Vec::new();
    let mut parts = page.split(BEGIN);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (paths, rest) = part.split_once(" -->\n").expect("the end of a comment");
        let (_, rest) = rest.split_once(END).expect("the end of a table");
        let mut tables: Vec<&String> = Vec::new();
        for name in paths.split(' ') {
            tables.push(sections.get(name).unwrap_or_else(|| panic!("there is no section '{name}'")));
            named.push(name.to_owned());
        }
        assert!(tables.windows(2).all(|pair| pair[0] == pair[1]), "{paths} are not alike");
        out.push_str(&format!("{BEGIN}{paths} -->\n{}{END}{rest}", tables[0]));
    }
    (out, named)
}

#[test]
fn the_page_has_every_section_and_key() {
    let mut found = BTreeMap::new();
    sections(&describe(), "", &mut found);
    let page = std::fs::read_to_string(PAGE).expect("the page");
    let (made, mut named) = made(&page, &found);
    named.sort();
    let known: Vec<String> = found.into_keys().collect();
    assert_eq!(named, known, "the page has other sections than the reader");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &made).expect("the page");
    } else {
        assert_eq!(page, made, "run UPDATE_DOCS=1 cargo test -p gateway --lib settings::reference");
    }
}
