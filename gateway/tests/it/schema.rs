//! Checks the JSON Schema of the settings with Python's `jsonschema`, an independent implementation.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use crate::gateway::command;

fn schema() -> Value {
    let output = command(&["schema"]).output().expect("the built program");
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => {
            json!(i64::from_str_radix(number.as_str(), number.radix()).expect("a number"))
        }
        DeValue::Float(number) => json!(number.as_str().parse::<f64>().expect("a number")),
        DeValue::Boolean(switch) => json!(switch),
        DeValue::Datetime(time) => json!(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| self::value(item.get_ref())).collect(),
        DeValue::Table(table) => object(table),
    }
}

fn object(table: &DeTable<'_>) -> Value {
    let members = table.iter().map(|(key, item)| (key.get_ref().to_string(), value(item.get_ref())));
    Value::Object(members.collect())
}

const VALIDATOR: &str = "
import json, sys
from jsonschema import Draft7Validator
asked = json.load(sys.stdin)
Draft7Validator.check_schema(asked['schema'])
validator = Draft7Validator(asked['schema'])
print(json.dumps([[e.json_path + ': ' + e.message for e in validator.iter_errors(one)] for one in asked['files']]))
";

/// Whether Python has a module; where XTASK_REQUIRE names it, it must.
fn have(module: &str) -> bool {
    let import = format!("import {module}");
    let has = Command::new("python3").args(["-c", &import]).stderr(Stdio::null()).status();
    let has = has.is_ok_and(|status| status.success());
    let required = std::env::var("XTASK_REQUIRE").unwrap_or_default();
    assert!(has || !required.split(',').any(|name| name == module), "python3 has no {module}");
    if !has {
        eprintln!("skipped: python3 has no {module}");
    }
    has
}

/// The errors of each file by the schema; none where the validator is not installed.
fn errors(schema: &Value, files: &[String]) -> Option<Vec<Vec<String>>> {
    if !have("jsonschema") {
        return None;
    }
    let files: Vec<Value> = files
        .iter()
        .map(|text| {
            let table = DeTable::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            object(table.get_ref())
        })
        .collect();
    let mut python = Command::new("python3")
        .args(["-c", VALIDATOR])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let asked = json!({ "schema": schema, "files": files });
    python.stdin.take().expect("a pipe").write_all(asked.to_string().as_bytes()).expect("written");
    let output = python.wait_with_output().expect("python3");
    assert!(output.status.success(), "the schema is none");
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
}

/// The blocks of TOML in a document.
fn blocks(text: &str) -> Vec<&str> {
    let begins = text.split("```toml\n").skip(1);
    begins.map(|block| block.split("```").next().unwrap_or_default()).collect()
}

#[test]
fn settings_in_the_repository_are_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let whole = schema();
    let mut part = schema();
    part.as_object_mut().expect("an object").remove("required");
    let read = |path: &Path| std::fs::read_to_string(path).expect("a text");
    let mut deployed = Vec::new();
    files(&root.join("deploy"), ".toml", &mut deployed);
    let texts: Vec<String> = deployed.iter().map(|path| read(path)).collect();
    let Some(found) = errors(&whole, &texts) else { return };
    for (path, errors) in deployed.iter().zip(found) {
        assert_eq!(errors, [""; 0], "{}", path.display());
    }
    let mut documents = vec![root.join("README.md")];
    files(&root.join("docs"), ".md", &mut documents);
    let pages: Vec<String> = documents.iter().map(|path| read(path)).collect();
    // The other settings in these documents are those of xtask.
    let ours =
        |block: &&str| ["[[listeners]]", "[[routes]]", "[upstreams."].iter().any(|one| block.contains(one));
    let examples: Vec<String> =
        pages.iter().flat_map(|page| blocks(page)).filter(ours).map(str::to_owned).collect();
    assert!(!deployed.is_empty() && !examples.is_empty());
    for (example, errors) in examples.iter().zip(errors(&part, &examples).unwrap_or_default()) {
        assert_eq!(errors, [""; 0], "{example}");
    }
}

const GOOD: &str = "\
[[listeners]]
address = '127.0.0.1:0'
[upstreams.a]
endpoints = ['a:1']
";

#[test]
fn what_the_reader_takes_the_schema_takes() {
    let table = [
        "upstream = 'a'",
        "split = [{ upstream = 'a', weight = 1 }]",
        "redirect = { scheme = 'https' }",
        "respond = { status = 204 }",
        "upstream = 'a'\npath = { template = '/{id}/{*rest}' }\nmax_body_bytes = 5",
        "upstream = 'a'\nheaders = { x = true, y = 'z' }\nrequest_headers = { set = { x = '' } }",
        "upstream = 'a'\n[upstreams.b]\nendpoints = [{ url = 'unix:/x', weight = 2 }, 'https://[::1]:1']\nretries = 0",
        "upstream = 'a'\n[upstreams.b]\nendpoints = ['h2c://b']\nretries = { statuses = [503, '5xx'] }",
        "upstream = 'a'\n[[listeners]]\naddress = '[::]:1'\nmin_body_rate = 0\nproxy_protocol = 'off'",
        "upstream = 'a'\n[[listeners]]\naddress = '[::1]:1'\nproxy_protocol = { trusted = ['::/0', '10.0.0.0/8'] }",
    ];
    let texts = table.map(|lines| format!("{GOOD}[[routes]]\n{lines}\n"));
    for text in &texts {
        let (_, problems) = gateway::settings::parse("f", text);
        assert!(problems.is_empty(), "{text}\n{problems:?}");
    }
    for (text, errors) in texts.iter().zip(errors(&schema(), &texts).unwrap_or_default()) {
        assert_eq!(errors, [""; 0], "{text}");
    }
}

#[test]
fn what_the_reader_refuses_the_schema_refuses() {
    let table = [
        "",
        "upstream = 'a'\nx = 1",
        "upstream = 'a'\nredirect = { path = '/x' }",
        "upstream = ''",
        "upstream = 1",
        "upstream = 'a'\npath = 'x'",
        "upstream = 'a'\npath = { exact = '/a', prefix = '/b' }",
        "upstream = 'a'\nmethods = ['get']",
        "upstream = 'a'\nmethods = 'GET'",
        "upstream = 'a'\nheaders = { x = 1 }",
        "upstream = 'a'\nrequest_timeout = '0s'",
        "upstream = 'a'\nrequest_timeout = '5'",
        "upstream = 'a'\nrequest_timeout = 5",
        "upstream = 'a'\nmax_body_bytes = '5MB'",
        "upstream = 'a'\npath_policy = { semicolon = 'decode' }",
        "upstream = 'a'\nmirror = { percent = 5 }",
        "split = [{ upstream = 'a' }]",
        "redirect = { path = '/x', status = 200 }",
        "respond = { status = 100 }",
        "respond = { body = 'x' }",
        "upstream = 'a'\n[upstreams.b]\nretries = 1",
        "upstream = 'a'\n[upstreams.b]\nendpoints = ['ftp://b']",
        "upstream = 'a'\n[upstreams.b]\nendpoints = ['b:1']\nretries = 11",
        "upstream = 'a'\n[upstreams.b]\nendpoints = ['b:1']\nbalance = 'random'",
        "upstream = 'a'\n[upstreams.b]\nendpoints = ['b:1']\ncircuit = {}",
        "upstream = 'a'\n[upstreams.b]\nendpoints = [{ weight = 1 }]",
        "upstream = 'a'\n[[listeners]]\naddress = 'localhost'",
        "upstream = 'a'\n[[listeners]]\nname = 'x'",
        "upstream = 'a'\n[[listeners]]\naddress = '[::1]:1'\nmax_headers = 7",
        "upstream = 'a'\n[[listeners]]\naddress = '[::1]:1'\nproxy_protocol = {}",
        "upstream = 'a'\n[[listeners]]\naddress = '[::1]:1'\nprotocols = ['http3']",
        "upstream = 'a'\n[[listeners]]\naddress = '[::1]:1'\ntls = { certificates = [{ key = 'k' }] }",
        "upstream = 'a'\n[admin]\nadress = '[::1]:1'",
    ];
    let texts = table.map(|lines| format!("{GOOD}[[routes]]\n{lines}\n"));
    for text in &texts {
        let (_, problems) = gateway::settings::parse("f", text);
        assert!(!problems.is_empty(), "the reader takes\n{text}");
    }
    for (text, errors) in texts.iter().zip(errors(&schema(), &texts).unwrap_or_default()) {
        assert!(!errors.is_empty(), "the schema takes\n{text}");
    }
}
