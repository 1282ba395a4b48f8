//! `cargo xtask scan` on images with wrong labels and lists, and its report after an error.

use crate::support;

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use support::{Hello, Ran, forge, have_targets};

const SETTINGS: &str = "package = 'hello'\n[container.healthcheck]\ncommand = ['/usr/bin/hello']\n[scan]\nmax-age = 36500\nmin-advisories = 1\n";

/// A workspace with a commit, and its image.
fn workspace() -> Option<Hello> {
    if !have_targets() {
        return None;
    }
    let hello = Hello::new();
    hello.write("xtask/image.toml", SETTINGS);
    hello.write("xtask/advisories.jsonl", &support::one_fact());
    hello.commit();
    hello.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
    Some(hello)
}

fn scan(hello: &Hello, args: &[&str]) -> Ran {
    let mut command = hello.command();
    command.args(["scan", "--engine", "builtin"]).args(args);
    Ran::of(&mut command)
}

fn lists(report: &Value) -> Vec<&str> {
    report["platforms"].as_array().unwrap().iter().map(|one| one["list"].as_str().unwrap()).collect()
}

#[test]
fn lists_of_crates_are_compared_with_the_source() {
    let Some(hello) = workspace() else { return };
    assert_eq!(lists(&scan(&hello, &["--json"]).code(0).json()), ["verified", "verified"]);
    // A commit that changes no manifest changes no list.
    hello.write("note.txt", "more");
    hello.git(&["add", "note.txt"]);
    hello.git(&["commit", "--quiet", "--message", "a note"]);
    assert_eq!(lists(&scan(&hello, &["--json"]).code(0).json()), ["verified", "verified"]);
    // Another version of the package: the lists are another commit's, and so says the image.
    let manifest = fs::read_to_string(hello.path().join("hello/Cargo.toml")).unwrap();
    hello.write("hello/Cargo.toml", &manifest.replace("0.3.0", "0.3.1"));
    let lock = fs::read_to_string(hello.path().join("Cargo.lock")).unwrap();
    hello.write("Cargo.lock", &lock.replace("0.3.0", "0.3.1"));
    let changed = scan(&hello, &["--json"]).code(0).says("Cargo.lock or a Cargo.toml differs");
    assert_eq!(lists(&changed.json()), ["unverified", "unverified"]);
    hello.git(&["commit", "--quiet", "--all", "--message", "another"]);
    scan(&hello, &[]).code(0).says("not verified: Cargo.lock or a Cargo.toml differs");
    let claim = |config: &mut Value| {
        config["config"]["Labels"]["org.opencontainers.image.revision"] = json!("0".repeat(40));
    };
    forge::configs(&hello.layout(), claim);
    // target/image is compared with the working tree; its label does not matter.
    scan(&hello, &[]).code(3).says("the list adds hello 0.3.0");
    let elsewhere = hello.path().join("target/other");
    support::copy(&hello.layout(), &elsewhere);
    scan(&hello, &["--image", "target/other"]).code(0).says("000000000000 is not in this repository");
    for label in [Some(format!("{}-dirty", "0".repeat(40))), None] {
        forge::configs(&hello.layout(), |config| {
            let labels = config["config"]["Labels"].as_object_mut().unwrap();
            labels.remove("org.opencontainers.image.revision");
            labels.extend(
                label.clone().map(|label| ("org.opencontainers.image.revision".to_owned(), json!(label))),
            );
        });
        scan(&hello, &[])
            .code(3)
            .says("the list adds hello 0.3.0")
            .says("build it again with cargo xtask image");
    }
    // The same list with this commit in the label.
    let head = fs::read_to_string(hello.path().join(".git/refs/heads/master"))
        .or_else(|_| fs::read_to_string(hello.path().join(".git/refs/heads/main")))
        .unwrap();
    let claim = |config: &mut Value| {
        config["config"]["Labels"]["org.opencontainers.image.revision"] = json!(head.trim());
    };
    forge::configs(&hello.layout(), claim);
    let report = scan(&hello, &["--json"])
        .code(3)
        .says("the list lacks hello 0.3.1 (local); the list adds hello 0.3.0 (local)");
    assert_eq!(lists(&report.json()), ["mismatch", "mismatch"]);
    // The label counts for a copy of the image too.
    support::copy(&hello.layout(), &hello.path().join("target/elsewhere"));
    scan(&hello, &["--image", "target/elsewhere"]).code(3).says("the list adds hello 0.3.0");
}

#[test]
fn all_faults_are_reported_also_after_an_error() {
    let Some(hello) = workspace() else { return };
    forge::configs(&hello.layout(), |config| {
        config["config"]["Env"] = json!(["<b>|x_TOKEN=y"]);
        config["config"]["Entrypoint"] = json!(["/nowhere"]);
    });
    let index = hello.layout().join("index.json");
    let text = fs::read_to_string(&index).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["manifests"].as_array_mut().unwrap().retain(|entry| entry["platform"]["architecture"] == "amd64");
    fs::write(&index, value.to_string()).unwrap();
    // A platform that is missing, a start that is not there, advisories that are too old, a secret.
    hello.write("xtask/image.toml", &SETTINGS.replace("36500", "3"));
    let all = scan(&hello, &["--format", "markdown"])
        .code(3)
        .says("nothing for linux/arm64")
        .says("the container starts this")
        .says("the limit is 3 days")
        .says("1 critical");
    assert!(all.stdout.contains("&lt;b>\\|x_TOKEN") && !all.stdout.contains("<b>"), "{}", all.stdout);
    // A layer that nobody here can read is one that nobody looked into.
    support::copy(&hello.layout(), &hello.path().join("target/sealed"));
    forge::platforms(&hello.path().join("target/sealed"), |manifest, _| {
        manifest["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+encrypted");
    });
    scan(&hello, &["--image", "target/sealed"])
        .code(3)
        .says("cannot read a layer of the type")
        .says("not finished");
    // With advisories that cannot be read the step ends at the gate, after a report of what was seen before.
    hello.write("xtask/advisories.jsonl", "{}\n");
    scan(&hello, &[])
        .code(3)
        .says("nothing for linux/arm64")
        .says("the advisory file is damaged")
        .says("not finished");
    hello.write("xtask/advisories.jsonl", &support::one_fact());
    // A step that fails: exit code 1, and neither document says that all is well.
    let pin = "[scan.trivy]\nversion = '0.74.0'\nurl = 'http://127.0.0.1:1/{version}_{machine}.tar.gz'\nsha256 = { ";
    let machine = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    hello.write("xtask/image.toml", &format!("{SETTINGS}{pin}{machine} = '{}' }}\n", "0".repeat(64)));
    for format in ["json", "sarif"] {
        let mut command = hello.command();
        command.env("PATH", support::path_without("trivy"));
        command.args(["scan", "--engine", "trivy", "--format", format, "--output", "report"]);
        Ran::of(&mut command).code(1).says("nothing for linux/arm64").says("step 'fetch'");
        let report = fs::read_to_string(hello.path().join("report")).unwrap();
        let report: Value = serde_json::from_str(&report).unwrap();
        if format == "json" {
            assert_eq!((&report["passes"], &report["complete"]), (&json!(false), &json!(false)));
            assert!(report["faults"].to_string().contains("the scan did not finish"), "{report:#}");
        } else {
            let run = &report["runs"][0];
            assert_eq!(run["invocations"][0]["executionSuccessful"], false);
            assert!(run["results"].to_string().contains("the scan did not finish"), "{report:#}");
        }
    }
}

/// The keys that a section of docs/json.md names, as `list[].key` or `key`.
fn documented(section: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(support::root().join("docs/json.md")).unwrap();
    let from = text.find(section).unwrap();
    let section = text[from + 1..].split("\n## ").next().unwrap();
    let mut keys = BTreeSet::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let mut list = "";
        let cell = line.split(" | ").next().unwrap();
        for key in cell.split('`').skip(1).step_by(2) {
            let key = key.strip_suffix("[]").unwrap_or(key);
            if let Some((before, _)) = key.split_once("[].") {
                list = before;
            }
            keys.insert(key.strip_prefix('.').map_or(key.to_owned(), |key| format!("{list}[].{key}")));
        }
    }
    keys
}

/// The keys of a document, named in the same way.
fn keys(document: &Value) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for (name, value) in document.as_object().unwrap() {
        let objects: Vec<_> = value.as_array().into_iter().flatten().filter_map(Value::as_object).collect();
        if objects.is_empty() {
            keys.insert(name.clone());
        }
        keys.extend(objects.iter().flat_map(|one| one.keys()).map(|key| format!("{name}[].{key}")));
    }
    keys
}

#[test]
fn every_key_of_the_document_is_documented() {
    let Some(hello) = workspace() else { return };
    // Without a health check there is something to find.
    hello.write("xtask/image.toml", "package = 'hello'\n[scan]\nmax-age = 36500\nmin-advisories = 1\n");
    hello.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
    scan(&hello, &["--json"]).code(0);
    let file = fs::read_to_string(hello.path().join("target/xtask/scan.json")).unwrap();
    let found = keys(&serde_json::from_str(&file).unwrap());
    let explained = documented("\n## `xtask.scan/1`");
    let common = ["schema", "command"].map(str::to_owned);
    let missing: Vec<_> =
        found.iter().filter(|key| !explained.contains(*key) && !common.contains(key)).collect();
    assert!(missing.is_empty(), "docs/json.md does not explain {missing:?}");
    let gone: Vec<_> = explained.iter().filter(|key| !found.contains(*key)).collect();
    assert_eq!(gone, ["engines[].commit"], "docs/json.md explains what is not there any more");
}

#[test]
fn an_earlier_pass_is_removed() {
    let Some(hello) = workspace() else { return };
    let word = hello.path().join("target/xtask/scan.json");
    let read =
        |path: &std::path::Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let auto = |ci: &str, path: &str| {
        let mut command = hello.command();
        command.env("CI", ci).env("PATH", path).args(["scan", "--offline", "--json", "--output", "report"]);
        command.env("GITHUB_STEP_SUMMARY", hello.path().join("summary"));
        Ran::of(&mut command)
    };
    let without = support::path_without("trivy");
    let bin = hello.path().join("bin");
    let with = format!("{}:{without}", bin.display());
    hello.write("bin/trivy", "#!/bin/sh\necho '{\"Version\":\"0.74.0\"}'\n");
    hello.write(
        ".trivyignore.yaml",
        "vulnerabilities:\n  - id: CVE-1\n    statement: why\n    expired_at: 2020-01-01\n",
    );
    support::make_executable(&bin.join("trivy"));
    for (ci, path, expected) in
        [("", &with, ".trivyignore.yaml"), ("true", &without, "Trivy is required here")]
    {
        scan(&hello, &[]).code(0);
        assert_eq!(read(&word)["passed"], true);
        fs::write(hello.path().join("summary"), "").unwrap();
        if !ci.is_empty() {
            hello.write("xtask/image.toml", &format!("{SETTINGS}require-trivy = true\n"));
        }
        auto(ci, path).code(3).says(expected);
        assert_eq!(read(&word)["passed"], false);
        let report = read(&hello.path().join("report"));
        assert!(report["passes"] == false && report["faults"].to_string().contains(expected), "{report:#}");
        assert_eq!(report["platforms"].as_array().unwrap().len(), 2, "the rest is looked at all the same");
        let summary = fs::read_to_string(hello.path().join("summary")).unwrap();
        assert!(summary.contains("does not pass"), "{summary}");
    }
    fs::remove_file(hello.path().join(".trivyignore.yaml")).unwrap();
    hello.write("xtask/image.toml", &format!("{SETTINGS}cache = '/dev/null'\n"));
    auto("", &with).code(2).says("'/dev/null' is not a folder");
    // Packages of an operating system are known to Trivy alone.
    hello.write("status", "Package: base\nStatus: install ok installed\nVersion: 1\n");
    let base = "[[files]]\nsource = 'status'\ntarget = '/var/lib/dpkg/status'\n";
    hello.write("xtask/image.toml", &format!("{SETTINGS}{base}"));
    hello.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
    scan(&hello, &[]).code(0).says("publish will require another scan: the image has parts that");
    assert!(!word.exists());
}

#[test]
fn publish_requires_a_scan_of_the_same_image() {
    let Some(registry) = support::live::Live::docker() else { return };
    let Some(hello) = workspace() else { return };
    let to = format!("{}/scan/word", registry.address);
    let publish = || {
        let mut command = hello.command();
        command.args(["publish", "--repository", &to, "--tag", "one", "--sign", "none"]);
        Ran::of(&mut command)
    };
    publish().code(3).says("has not been scanned");
    hello.write("xtask/image.toml", &SETTINGS.replace("36500", "3"));
    scan(&hello, &[]).code(3);
    publish().code(3).says("did not pass its scan");
    hello.write("xtask/image.toml", SETTINGS);
    // One that asks for less than the settings leaves no word at all.
    scan(&hello, &["--severity", "critical"]).code(0).says("publish will require another scan");
    publish().code(3).says("has not been scanned");
    scan(&hello, &[]).code(0);
    hello.write("xtask/image.toml", &format!("{SETTINGS}require-trivy = true\n"));
    publish().code(3).says("scanned without Trivy, which is required");
    hello.write("xtask/image.toml", SETTINGS);
    publish().code(0);
    // The word is about one image.
    hello.write("hello/src/main.rs", "fn main() { println!(\"another\"); }\n");
    hello.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
    publish().code(3).says("the scan is of another image");
}
