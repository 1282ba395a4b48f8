//! Compares what docs/architecture.md says of the code's seams with the source.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders and files that every request passes.
const WAY_OF_A_REQUEST: [&str; 15] = [
    "endpoint",
    "exchange",
    "filter",
    "http",
    "http1",
    "http2",
    "limit",
    "listener/http1.rs",
    "listener/http2.rs",
    "proxy",
    "redis",
    "route",
    "trace",
    "upstream",
    "worker",
];

/// What is shared between threads or locked.
const SHARED: [&str; 7] =
    ["Mutex", "RwLock", "Condvar", "Semaphore", "mpsc", "Arc::clone", "tokio::sync::watch"];

/// The files of [`WAY_OF_A_REQUEST`] that hold such a thing all the same, each with the reason.
const EXCEPTIONS: [(&str, &[&str], &str); 15] = [
    ("endpoint/circuit.rs", &["Semaphore", "Arc::clone"], "a request passes it only where `circuit` is set"),
    ("endpoint/cluster.rs", &["Mutex", "Arc::clone"], "locked by an ejection only; cloned at the start"),
    (
        "filter/authentication/mod.rs",
        &["Arc::clone"],
        "cloned by a request with `authentication`: a wait may outlive what began it",
    ),
    ("filter/authentication/load.rs", &["Arc::clone"], "authenticators are made at the start"),
    (
        "filter/authentication/basic.rs",
        &["Arc::clone"],
        "cloned where a request waits for the hash of a password",
    ),
    (
        "filter/authentication/passwords.rs",
        &["Mutex", "Semaphore", "Arc::clone"],
        "a request passes it only where `authentication` names an authenticator with `basic`",
    ),
    (
        "filter/limits/check.rs",
        &["Arc::clone"],
        "cloned where a request waits for another to end or for a store",
    ),
    ("filter/limits/mod.rs", &["Arc::clone"], "the limits of a route are compiled with it"),
    (
        "limit/concurrency.rs",
        &["Mutex", "Arc::clone"],
        "a request passes it only where a limit with `concurrent` is set",
    ),
    ("limit/table.rs", &["Mutex"], "a request passes it only where a limit is set"),
    ("proxy/mirror.rs", &["Arc::clone"], "a copy outlives its request; only where `mirror` is set"),
    ("upstream/config.rs", &["Arc::clone"], "upstreams are made where settings are compiled"),
    ("redis/store.rs", &["Arc::clone"], "stores are made where settings are compiled"),
    ("trace/outbox.rs", &["Arc::clone"], "cloned by the first request that is recorded with other settings"),
    ("worker/locals.rs", &["Mutex"], "locked where settings are compiled and freed"),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All source files with their path below `src`, without tests and comments.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![source()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(source()).expect("below src").to_string_lossy().into_owned();
            let has_code = path.extension().is_some_and(|ending| ending == "rs");
            if has_code && !name.ends_with("tests.rs") {
                found.push((name, code(&fs::read_to_string(&path).expect("a text"))));
            }
        }
    }
    assert!(found.len() > 150, "{}", found.len());
    found
}

/// The lines of a file before its tests, without comments.
fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    text.split_inclusive('\n').filter(|line| !line.trim_start().starts_with("//")).collect()
}

fn on_the_way(file: &str) -> bool {
    WAY_OF_A_REQUEST.iter().any(|part| file == *part || file.starts_with(&format!("{part}/")))
}

/// The names in `[`...`]` of the paragraph of lib.rs that tells the order of the modules.
fn order() -> Vec<String> {
    let text = fs::read_to_string(source().join("lib.rs")).expect("lib.rs");
    let paragraph =
        text.split("//! The modules, from the bottom up").nth(1).expect("the order of the modules");
    let paragraph = paragraph.split("\n\n").next().unwrap_or_default();
    paragraph.split("[`").skip(1).filter_map(|part| Some(part.split_once("`]")?.0.to_owned())).collect()
}

/// Modules of the crate that the code names.
fn named(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    code.split("crate::").skip(1).map(word).collect()
}

#[test]
fn a_module_knows_only_those_below_it() {
    let order = order();
    let lib = fs::read_to_string(source().join("lib.rs")).expect("lib.rs");
    let mut declared: Vec<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let mut told: Vec<&str> = order.iter().map(String::as_str).collect();
    declared.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, declared, "lib.rs tells the order of other modules than it has");
    let place = |name: &str| order.iter().position(|known| known == name);
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (file, code) in files() {
        let own = file.split(['/', '.']).next().unwrap_or_default();
        assert!(!code.contains("crate::{"), "{file}: name each module of the crate in a `use` of its own");
        let Some(own) = place(own) else { continue };
        for name in named(&code) {
            seen += 1;
            if place(&name).is_some_and(|other| other > own) {
                wrong.push(format!("{file} uses crate::{name}, which is above it"));
            }
        }
    }
    assert!(seen > 300, "{seen}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_is_locked_or_shared_on_the_way_of_a_request() {
    let mut wrong = Vec::new();
    let mut met = Vec::new();
    for (file, code) in files().iter().filter(|(file, _)| on_the_way(file)) {
        for word in SHARED.iter().filter(|word| code.contains(**word)) {
            let known = EXCEPTIONS.iter().any(|(name, words, _)| name == file && words.contains(word));
            if known {
                met.push((file.clone(), *word));
            } else {
                wrong.push(format!("{file}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (file, words, reason) in EXCEPTIONS {
        for word in words {
            let is_there = met.iter().any(|(name, known)| name == file && known == word);
            assert!(is_there, "{file} has no {word} any more; remove the exception ({reason})");
        }
    }
}

#[test]
fn only_a_request_that_fails_locks_the_metrics() {
    let files = files();
    let (_, metrics) = files.iter().find(|(file, _)| file == "observe/metrics.rs").expect("the metrics");
    let mut locking: Vec<&str> = metrics
        .split("fn ")
        .skip(1)
        .filter(|function| function.contains(".lock()"))
        .filter_map(|function| function.split(['(', '<']).next())
        .collect();
    locking.sort_unstable();
    // Counters are found by name when a snapshot is made; the rest is for the admin listener.
    assert_eq!(locking, ["entries", "expose", "failed", "named", "unused"]);
    for (file, code) in files.iter().filter(|(file, _)| on_the_way(file)) {
        for call in ["metrics.route(", "metrics.listener(", "metrics.upstream(", "metrics.expose("] {
            assert!(
                !code.contains(call) || ["upstream/config.rs", "upstream/mod.rs"].contains(&file.as_str()),
                "{file} calls {call}...)"
            );
        }
    }
}
