//! Exceptions for unknown programs.

use std::fs;

use serde_json::json;

use crate::control::{SETTINGS, facts, scan};
use crate::support::{Hello, copy, forge, have_targets, in_days};
use crate::unseen::rewrite;

const TOOL: &str = "/usr/local/bin/tool";

#[test]
fn an_unknown_program_is_excepted_by_path_for_a_time() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.write("xtask/advisories.jsonl", &facts());
    hello.write("xtask/image.toml", SETTINGS);
    hello.run(&["image", "--engine", "native", "--platform", "linux/amd64"]).code(0);
    let settings = format!("{SETTINGS}{}", forge::unlisted(&hello, TOOL));
    hello.write("xtask/image.toml", &settings);
    hello.run(&["image", "--engine", "native", "--platform", "linux/amd64"]).code(0);
    forge::configs(&hello.layout(), |config| {
        config["config"]["Entrypoint"] = json!([TOOL, "/usr/bin/hello"]);
    });
    let scan = |args: &[&str]| scan(&hello, &[&["--platform", "linux/amd64"], args].concat());
    let refused = scan(&[]).code(3).says(&format!("{TOOL}: the container starts this program"));
    // The proposed lines are a valid exception.
    let lines: Vec<_> =
        refused.stderr.lines().skip_while(|line| line.trim() != "[[scan.unlisted]]").collect();
    let lines: Vec<_> = lines.into_iter().take(4).map(str::trim).collect();
    assert!(lines[1] == format!("path = \"{TOOL}\"") && lines[3].starts_with("expires = "), "{lines:?}");
    hello.write("xtask/image.toml", &format!("{settings}{}\n", lines.join("\n")));
    scan(&[]).code(0).says(&format!("excepted until {}, content unknown: {TOOL}", &lines[3][11..21]));
    let entry = |rest: &str| {
        hello.write("xtask/image.toml", &format!("{settings}[[scan.unlisted]]\npath = '{TOOL}'\n{rest}"));
    };
    let day = in_days(30);
    entry(&format!("reason = 'a test'\nexpires = '{day}'\n"));
    let report = scan(&["--json"]).code(0).json();
    let overlooked = json!([{ "path": TOOL, "reason": "a test", "expires": day }]);
    assert_eq!(report["platforms"][0]["overlooked"], overlooked);
    let why = format!("a test (until {day})");
    for format in ["table", "markdown", "sarif"] {
        let ran = scan(&["--format", format]).code(0).says("XT-UNLISTED").says(TOOL).says(&why);
        if format == "sarif" {
            let result = &ran.json()["runs"][0]["results"][0];
            assert_eq!(result["suppressions"][0]["justification"], why, "{result:#}");
        }
    }
    // SBOMs name it without its content.
    for (format, file) in
        [("cyclonedx", "hello-linux-amd64.cdx.json"), ("spdx", "hello-linux-amd64.spdx.json")]
    {
        hello
            .run(&["sbom", "--format", format, "--output", "sboms"])
            .code(0)
            .says("without its content, which is unknown");
        let sbom = fs::read_to_string(hello.path().join("sboms").join(file)).unwrap();
        assert!(sbom.contains(TOOL) && sbom.contains("its content is unknown"), "{sbom}");
    }
    // Errors have the entry's line.
    let line = settings.lines().count() + 1;
    let place = |rest: &str| format!("xtask/image.toml:{line}:1: {rest}");
    entry(&format!("expires = '{day}'\n"));
    scan(&[]).code(2).says(&place("the key 'reason' is missing"));
    entry("reason = 'a test'\n");
    scan(&[]).code(2).says(&place("the key 'expires' is missing"));
    entry("reason = 'a test'\nexpires = '2999-01-01'\n");
    scan(&[]).code(2).says(&place("")).says("the limit is 366");
    entry("reason = 'a test'\nexpires = '2020-01-01'\n");
    let over = scan(&[]).code(3).says(&format!("{TOOL}: the container starts this program"));
    over.says(&place(&format!("the exception for {TOOL} expired on 2020-01-01: a test")));
    // An entry without a program.
    entry(&format!("reason = 'a test'\nexpires = '{day}'\n"));
    forge::configs(&hello.layout(), |config| config["config"]["Entrypoint"] = json!(["/usr/bin/hello"]));
    scan(&[]).code(0);
    let idle = format!("[[scan.unlisted]]\npath = '/opt/x'\nreason = 'a'\nexpires = '{day}'\n");
    hello.write("xtask/image.toml", &format!("{settings}{idle}"));
    scan(&[]).code(3).says(&place("no program needs the exception for /opt/x; remove the entry"));
    alone(&hello, &day);
}

/// Another image, in which every program is excepted.
fn alone(hello: &Hello, day: &str) {
    let other = hello.path().join("target/other");
    copy(&hello.layout(), &other);
    rewrite(&other, |elf, _| {
        if let Some(at) = elf.windows(8).position(|bytes| bytes == b".dep-v0\0") {
            elf[at + 1] = b'x';
        }
    });
    forge::configs(&other, |config| {
        config["config"]["Entrypoint"] = json!([TOOL]);
        config["config"]["Labels"] = json!({});
    });
    let entry = |path| format!("[[scan.unlisted]]\npath = '{path}'\nreason = 'a'\nexpires = '{day}'\n");
    hello.write("xtask/image.toml", &format!("{SETTINGS}{}{}", entry(TOOL), entry("/usr/bin/hello")));
    let ran = scan(hello, &["--image", "target/other"]).code(3);
    let ran = ran.says("no program in the image has a list of crates");
    assert!(!ran.stderr.contains("whose content is unknown"), "{}", ran.stderr);
}
