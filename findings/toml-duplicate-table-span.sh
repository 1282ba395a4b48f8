#!/usr/bin/env bash
# Library: Rust crate toml 1.2.2, DeTable::parse_recoverable.
# Expected: for a table defined twice, one of the two definitions stays, with its own place. The error says
# which key it is and where its first definition stands.
# Does: the content of the first definition stays, but with the place of the second header. The errors carry
# the place of the second definition only, and their text does not name the key. The keys inside the second
# table are reported as duplicates too.
# Output seen:
#   table: content {"x": 1}, span of line 3
#   error: "duplicate key" at line 3
#   error: "duplicate key" at line 4
# Why it matters: the function exists so that a program can report all mistakes in a settings file at once.
# A check that runs on the recovered table reports line 3 for a value that stands on line 2. A program that
# wants to name the first definition has to search the text for it.

. "$(dirname "$0")/lib/common.bash"
rust 'toml = "=1.2.2"' >output <<'EOF'
fn main() {
    let text = "[a]\nx = 1\n[a]\nx = 2\n";
    let line = |place: std::ops::Range<usize>| 1 + text[..place.start].matches('\n').count();
    let (document, errors) = toml::de::DeTable::parse_recoverable(text);
    let table = &document.get_ref()["a"];
    let content: Vec<_> = table
        .get_ref()
        .as_table()
        .unwrap()
        .iter()
        .map(|(key, value)| format!("{:?}: {}", key.get_ref(), value.get_ref().as_integer().unwrap().as_str()))
        .collect();
    println!("table: content {{{}}}, span of line {}", content.join(", "), line(table.span()));
    for error in errors {
        println!("error: {:?} at line {}", error.message(), line(error.span().unwrap()));
    }
}
EOF
check <output
