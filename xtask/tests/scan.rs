//! `cargo xtask scan` on images with crates that are known to be bad, mended, and hidden.

mod support;

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::published::digest;
use support::{Hello, Image, Ran, copy, have, have_program, have_targets, root};

/// One crate a severity: its advisory, the version that has it and one that has not.
const CRATES: [(&str, &str, &str, &str, &str); 5] = [
    ("critical", "RUSTSEC-2021-0003", "smallvec", "1.6.0", "1.15.1"),
    ("high", "RUSTSEC-2019-0013", "spin", "0.5.1", "0.5.2"),
    ("medium", "RUSTSEC-2020-0061", "futures-task", "0.3.4", "0.3.31"),
    ("low", "RUSTSEC-2024-0367", "gix-path", "0.10.9", "0.10.22"),
    ("unknown", "RUSTSEC-2021-0114", "nanorand", "0.6.0", "0.6.1"),
];

const SETTINGS: &str =
    "package = 'hello'\n[container.healthcheck]\ncommand = ['/usr/bin/hello']\n[scan]\nmax-age = 36500\n";

/// A workspace whose binary links these crates, and its image for both platforms.
fn control(mended: bool) -> Option<Hello> {
    let hello = Hello::new();
    let versions =
        CRATES.map(|(_, _, name, bad, good)| format!("{name} = \"={}\"\n", if mended { good } else { bad }));
    let manifest = "[package]\nname = \"hello\"\nversion = \"0.3.0\"\nedition = \"2024\"\n[dependencies]\n";
    hello.write("hello/Cargo.toml", &format!("{manifest}{}", versions.concat()));
    hello.write("hello/src/main.rs", "fn main() {}\n");
    hello.write("xtask/image.toml", SETTINGS);
    hello.write("xtask/advisories.jsonl", &facts());
    fs::remove_file(hello.path().join("Cargo.lock")).unwrap();
    let locked = Command::new("cargo").arg("generate-lockfile").current_dir(hello.path()).output().unwrap();
    let why = String::from_utf8_lossy(&locked.stderr).into_owned();
    if !have("crates.io", locked.status.success(), &why) {
        return None;
    }
    hello.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
    Some(hello)
}

fn scan(hello: &Hello, args: &[&str]) -> Ran {
    let mut command = hello.command();
    command.env("PATH", path_without("trivy"));
    Ran::of(command.args(["scan", "--engine", "builtin"]).args(args))
}

/// PATH without the folders that have this program.
fn path_without(program: &str) -> String {
    let path = std::env::var_os("PATH").unwrap();
    let dirs = std::env::split_paths(&path).filter(|dir| !dir.join(program).is_file());
    std::env::join_paths(dirs).unwrap().into_string().unwrap()
}

fn finding<'a>(report: &'a Value, id: &str) -> Option<&'a Value> {
    report["findings"].as_array().unwrap().iter().find(|finding| {
        let aliases = finding["aliases"].as_array().unwrap();
        finding["id"] == id || aliases.iter().any(|alias| alias == id)
    })
}

#[test]
fn bad_crates_are_caught_by_both_engines_and_mended_ones_pass() {
    if !have_targets() {
        return;
    }
    let (Some(bad), Some(good)) = (control(false), control(true)) else { return };
    let report = scan(&bad, &["--json"]).code(3).says("does not pass").json();
    for (severity, id, name, version, _) in CRATES {
        let finding = finding(&report, id).unwrap_or_else(|| panic!("{id}: {report:#}"));
        assert_eq!((&finding["severity"], &finding["subject"]), (&json!(severity), &json!(name)));
        assert_eq!((&finding["version"], &finding["path"]), (&json!(version), &json!(["hello", name])));
        assert_eq!(finding["platforms"], json!(["linux/amd64", "linux/arm64"]));
        assert_eq!(finding["fails"], json!(["critical", "high", "unknown"].contains(&severity)), "{id}");
    }
    // What fails is what was asked for; a list that skips what is worse is refused.
    for (severity, list) in [
        ("critical", "critical"),
        ("high", "critical,high"),
        ("medium", "critical,high,medium"),
        ("low", "critical,high,medium,low"),
    ] {
        let report = scan(&bad, &["--json", "--severity", list]).code(3).json();
        let (_, id, ..) = CRATES.iter().find(|row| row.0 == severity).unwrap();
        assert_eq!(finding(&report, id).unwrap()["fails"], true, "{severity}");
    }
    scan(&bad, &["--severity", "low"]).code(2);
    let report = scan(&good, &["--json", "--severity", "critical,high,medium,low"]).code(0).json();
    assert!(CRATES.iter().all(|(_, id, ..)| finding(&report, id).is_none()), "{report:#}");
    for platform in report["platforms"].as_array().unwrap() {
        assert!(platform["crates"].as_u64().unwrap() > 5 && platform["seconds"].is_f64(), "{platform}");
    }
    bills(&good);
    ignoring(&bad);
    yanked(&good);
    hiding(&good);
    with_trivy(&bad, &good);
}

/// The bills say what the binary says, the same each time, and a third reader agrees.
fn bills(good: &Hello) {
    let read = |format: &str, name: &str| {
        good.run(&["sbom", "--format", format, "--output", "bills"]).code(0);
        fs::read_to_string(good.path().join("bills").join(name)).unwrap()
    };
    for arch in ["amd64", "arm64"] {
        let text = read("cyclonedx", &format!("hello-linux-{arch}.cdx.json"));
        assert_eq!(text, read("cyclonedx", &format!("hello-linux-{arch}.cdx.json")));
        let bill: Value = serde_json::from_str(&text).unwrap();
        let component =
            |one: &Value| format!("{} {}", one["name"].as_str().unwrap(), one["version"].as_str().unwrap());
        let mut crates: Vec<_> = bill["components"].as_array().unwrap().iter().map(component).collect();
        crates.sort();
        for (_, _, name, _, version) in CRATES {
            assert!(crates.contains(&format!("{name} {version}")), "{crates:?}");
        }
        let smallvec =
            bill["components"].as_array().unwrap().iter().find(|one| one["name"] == "smallvec").unwrap();
        assert_eq!(smallvec["purl"], "pkg:cargo/smallvec@1.15.1");
        assert_eq!(smallvec["licenses"][0]["expression"], "MIT OR Apache-2.0");
        let bill: Value =
            serde_json::from_str(&read("spdx", &format!("hello-linux-{arch}.spdx.json"))).unwrap();
        assert_eq!(bill["packages"].as_array().unwrap().len(), crates.len() + 1);
        if have_program("syft", "syft", &["version"]) {
            let triple = if arch == "amd64" { "x86_64" } else { "aarch64" };
            let binary = format!("file:target/xtask/bin/{triple}-unknown-linux-musl/hello");
            let output = Command::new("syft")
                .args(["-q", &binary, "-o", "json"])
                .env("SYFT_CHECK_FOR_APP_UPDATE", "false")
                .current_dir(good.path())
                .output()
                .unwrap();
            let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
            let mut seen: Vec<_> = seen["artifacts"].as_array().unwrap().iter().map(component).collect();
            seen.sort();
            assert_eq!(seen, crates);
        }
    }
}

/// What an index says was taken back is a warning; one that does not answer, or nobody asked, is told.
fn yanked(good: &Hello) {
    let server = support::files(|path| match path {
        "/sm/al/smallvec" => Some(b"{\"vers\":\"1.15.1\",\"yanked\":true}".to_vec()),
        "/sp/in/spin" => Some(b"{\"vers\":\"0.5.2\",\"yanked\":false}".to_vec()),
        _ => None,
    });
    good.write("xtask/image.toml", &format!("{SETTINGS}index = 'http://{server}'\n"));
    let report = scan(good, &["--json", "--yanked"]).code(0).json();
    let found = |name: &str| {
        let mut findings = report["findings"].as_array().unwrap().iter();
        findings.find(|one| one["id"] == "XT-YANKED" && one["subject"] == name)
    };
    let smallvec = found("smallvec").unwrap();
    assert_eq!((&smallvec["kind"], &smallvec["fails"]), (&json!("notice"), &json!(false)));
    assert!(smallvec["note"].as_str().unwrap().contains("took this version back"), "{smallvec}");
    assert!(found("spin").is_none() && report["yanked"].as_str().unwrap().contains("looked up at"));
    let report = scan(good, &["--json"]).code(0).json();
    assert_eq!(report["yanked"], "not looked up: not asked for");
    good.write("xtask/image.toml", &format!("{SETTINGS}yanked = true\nindex = 'http://127.0.0.1:1'\n"));
    scan(good, &[]).code(0).says("yanked versions were not looked up");
    // An index that takes the question and answers nothing costs a warning, and little time.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let index = format!("yanked = true\nindex = 'http://{}'\n", silent.local_addr().unwrap());
    good.write("xtask/image.toml", &format!("{SETTINGS}{index}"));
    let started = std::time::Instant::now();
    scan(good, &[]).code(0).says("yanked versions were not looked up");
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
    good.write("xtask/image.toml", SETTINGS);
}

fn ignoring(bad: &Hello) {
    let entries = |expires: &str| {
        // The version of futures-task that was chosen has two.
        let ids = CRATES.iter().map(|row| row.1).chain(["RUSTSEC-2020-0060"]);
        let entry = |id| format!("[[scan.ignore]]\nid = '{id}'\nreason = 'a test'\nexpires = '{expires}'\n");
        format!("{SETTINGS}{}", ids.map(entry).collect::<Vec<_>>().concat())
    };
    bad.write("xtask/image.toml", &entries("2999-01-01"));
    scan(bad, &[]).code(2).says("366 are the most");
    bad.write("xtask/image.toml", &entries(&in_days(300)));
    let report = scan(bad, &["--json"]);
    let left: Vec<_> = report.json()["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["fails"] == true)
        .map(|finding| finding["id"].clone())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    report.code(0);
    bad.write("xtask/image.toml", &entries("2020-01-01"));
    scan(bad, &[]).code(3).says("was to be ignored until 2020-01-01");
    bad.write("xtask/image.toml", &format!("{SETTINGS}[[scan.ignore]]\nid = 'x'\nexpires = '2999-01-01'\n"));
    scan(bad, &[]).code(2).says("the key 'reason' is missing");
    bad.write("xtask/image.toml", SETTINGS);
}

/// The day so many days from now.
fn in_days(days: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut days = now / 86_400 + days;
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    format!("{year}-{:02}-{:02}", month + 1, days + 1)
}

/// What is done to a program's bytes and mode.
type Change = fn(&mut Vec<u8>, &mut u32);

/// Every way of seeing nothing turns the pass into exit code 3.
fn hiding(good: &Hello) {
    let kept = good.path().join("kept");
    copy(&good.layout(), &kept);
    let without_section: Change = |elf, _| {
        let at = elf.windows(8).position(|bytes| bytes == b".dep-v0\0").unwrap();
        elf[at + 1] = b'x';
    };
    let without_bit: Change = |_, mode| *mode = 0o644;
    let cases = [(without_section, "no section .dep-v0"), (without_bit, "no executable bit")];
    for (change, expected) in cases {
        rewrite(&good.layout(), change);
        scan(good, &[]).code(3).says(expected);
        fs::remove_dir_all(good.layout()).unwrap();
        copy(&kept, &good.layout());
    }
    // One platform is not there any more.
    let path = good.layout().join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    index["manifests"].as_array_mut().unwrap().retain(|entry| entry["platform"]["architecture"] == "amd64");
    fs::write(&path, index.to_string()).unwrap();
    scan(good, &[]).code(3).says("nothing for linux/arm64");
    scan(good, &["--platform", "linux/amd64"]).code(0);
    fs::copy(kept.join("index.json"), &path).unwrap();
    // A blob is cut short.
    let image = Image::read(&good.layout());
    let layer = image.manifest("arm64")["layers"][0]["digest"].as_str().unwrap()[7..].to_owned();
    let blob = good.layout().join("blobs/sha256").join(&layer);
    let bytes = fs::read(&blob).unwrap();
    fs::write(&blob, &bytes[..bytes.len() / 2]).unwrap();
    scan(good, &[]).code(3).says("linux/arm64 layer 1 of 1");
    fs::write(&blob, bytes).unwrap();
    // The facts are too old, cut short, or not there.
    good.write("xtask/image.toml", &SETTINGS.replace("36500", "3"));
    scan(good, &[]).code(3).says("days old; at most 3 are allowed");
    good.write("xtask/image.toml", SETTINGS);
    let facts = good.path().join("xtask/advisories.jsonl");
    let text = fs::read_to_string(&facts).unwrap();
    fs::write(&facts, text.lines().take(500).collect::<Vec<_>>().join("\n")).unwrap();
    scan(good, &[]).code(3).says("advisories, 499 follow");
    fs::remove_file(&facts).unwrap();
    scan(good, &[]).code(3).says("no advisories");
    fs::write(&facts, text).unwrap();
    scan(good, &[]).code(0);
    // In CI Trivy is required.
    let mut command = good.command();
    command.env("CI", "true").env("PATH", path_without("trivy"));
    Ran::of(command.arg("scan")).code(3).says("Trivy is required here");
}

fn with_trivy(bad: &Hello, good: &Hello) {
    if !have_program("trivy", "trivy", &["--version"]) {
        return;
    }
    let Some(maker) = support::go_program("trivy-db") else { return };
    let cache = bad.path().join("trivy-cache");
    let yaml = bad.path().join("facts.yaml");
    fs::write(&yaml, facts_as_yaml()).unwrap();
    let make = |day: &str| {
        let status = Command::new(&maker).arg(&cache).arg(day).arg(&yaml).status().unwrap();
        assert!(status.success());
    };
    let trivy = |hello: &Hello, args: &[&str]| {
        let mut command = hello.command();
        command.env("TRIVY_CACHE_DIR", &cache);
        Ran::of(command.args(["scan", "--offline"]).args(args))
    };
    // Without a database Trivy ends oddly, and that is no pass.
    trivy(good, &["--engine", "trivy"]).code(3).says("Trivy did not finish");
    make("2026-08-21");
    let report = trivy(bad, &["--engine", "trivy", "--json"]).code(3).json();
    for (severity, id, name, ..) in CRATES {
        let aliases = aliases_of(id);
        let found = aliases.iter().find_map(|alias| finding(&report, alias));
        let found = found.unwrap_or_else(|| panic!("{id} {aliases:?}: {report:#}"));
        assert_eq!((&found["severity"], &found["path"]), (&json!(severity), &json!(["hello", name])));
        assert_eq!(found["found_by"], json!(["trivy"]));
    }
    let report = trivy(bad, &["--json"]).code(3).json();
    for (_, id, ..) in CRATES {
        assert_eq!(finding(&report, id).unwrap()["found_by"], json!(["builtin", "trivy"]), "{id}");
    }
    for args in [&["--engine", "trivy", "--json"][..], &["--json"]] {
        let report = trivy(good, args).code(0).json();
        for platform in report["platforms"].as_array().unwrap() {
            assert_eq!(platform["crates"], platform["trivy_crates"], "all of them seen");
        }
        // The config has a health check, which Trivy looks for in the history alone.
        assert_eq!(report["findings"], json!([]));
    }
    overlooked(bad, &trivy);
    listed(bad, &trivy);
    deployed(good, &trivy);
    distributions(good, &trivy);
    // A fresh database without an advisory finds nothing in anything.
    let whole = fs::read_to_string(&yaml).unwrap();
    for (name, expected) in [("cargo::facts", "about cargo packages"), ("vulnerability", "")] {
        let others = whole.replace(&format!("bucket: {name}\n"), "bucket: another\n");
        fs::write(&yaml, others).unwrap();
        fs::remove_dir_all(&cache).unwrap();
        make("2026-08-21");
        let ran = trivy(good, &["--json"]);
        if expected.is_empty() {
            ran.code(0)
        } else {
            ran.code(3).says(expected)
        };
    }
    fs::write(&yaml, whole).unwrap();
    fs::remove_dir_all(&cache).unwrap();
    make("2026-08-21");
    // One that is too old.
    good.write("xtask/image.toml", &SETTINGS.replace("36500", "3"));
    trivy(good, &["--engine", "trivy"]).code(3).says("Trivy's database is of 2026-08-21");
    good.write("xtask/image.toml", SETTINGS);
    // A program of that name that answers with nothing at all.
    impostor(good);
}

/// A distribution that gets no updates, or that Trivy does not know, is as bad as an image that says nothing.
fn distributions(good: &Hello, trivy: &dyn Fn(&Hello, &[&str]) -> Ran) {
    let kept = good.path().join("target/kept");
    copy(&good.layout(), &kept);
    let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.24-11\n\n";
    good.write("base/status", status);
    let file =
        |source: &str, target: &str| format!("[[files]]\nsource = 'base/{source}'\ntarget = '{target}'\n");
    for (release, version, id) in [
        ("ID=debian\nVERSION_ID=9\n", "9.13\n", Some("XT-END-OF-LIFE")),
        ("ID=debian\nVERSION_ID=12\n", "12.5\n", None),
        ("ID=nobodys\nVERSION_ID=1\n", "", Some("XT-UNKNOWN-SYSTEM")),
    ] {
        good.write("base/os-release", release);
        good.write("base/version", version);
        let mut settings = SETTINGS.to_owned();
        settings.push_str(&file("os-release", "/etc/os-release"));
        settings.push_str(&file("status", "/var/lib/dpkg/status"));
        if !version.is_empty() {
            settings.push_str(&file("version", "/etc/debian_version"));
        }
        good.write("xtask/image.toml", &settings);
        good.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
        let ran = trivy(good, &["--json"]);
        match id {
            None => drop(ran.code(0)),
            Some(id) => {
                let report = ran.code(3).json();
                let found = finding(&report, id).unwrap_or_else(|| panic!("{id}: {report:#}"));
                let subject = &found["subject"];
                let entry = format!(
                    "[[scan.ignore]]\nid = '{id}'\nsubject = {subject}\nreason = 'a test'\nexpires = '{}'\n",
                    in_days(9)
                );
                good.write("xtask/image.toml", &format!("{settings}{entry}"));
                trivy(good, &[]).code(0);
            }
        }
    }
    good.write("xtask/image.toml", SETTINGS);
    fs::remove_dir_all(good.layout()).unwrap();
    copy(&kept, &good.layout());
}

/// What a VEX document says not to matter passes both engines and is shown; without the builtin engine too.
fn overlooked(bad: &Hello, trivy: &dyn Fn(&Hello, &[&str]) -> Ran) {
    let ids = CRATES.iter().map(|row| (row.1, row.2, row.3));
    let statements: Vec<_> = ids
        .chain([("RUSTSEC-2020-0060", "futures-task", "0.3.4")])
        .map(|(id, name, version)| {
            let aliases = aliases_of(id);
            json!({ "vulnerability": { "name": aliases[0], "aliases": aliases },
                "products": [{ "@id": format!("pkg:cargo/{name}@{version}") }],
                "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path" })
        })
        .collect();
    let document = json!({ "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.org/vex/1",
        "author": "a test", "timestamp": "2026-01-01T00:00:00Z", "version": 1, "statements": statements });
    bad.write("vex.json", &document.to_string());
    bad.write("xtask/image.toml", &format!("{SETTINGS}vex = ['vex.json']\n"));
    for engine in ["auto", "trivy", "builtin"] {
        let report = trivy(bad, &["--engine", engine, "--json"]).code(0).json();
        for (_, id, ..) in CRATES {
            let found = aliases_of(id).iter().find_map(|alias| finding(&report, alias)).cloned();
            let found = found.unwrap_or_else(|| panic!("{engine} {id}: {report:#}"));
            let why = found["ignored"].as_str().unwrap_or_default();
            assert!(why.contains("VEX: not_affected, vulnerable_code_not_in"), "{engine} {found:#}");
            assert_eq!(found["fails"], false);
        }
    }
    // A statement about another version is none about this.
    bad.write("vex.json", &document.to_string().replace("spin@0.5.1", "spin@0.5.2"));
    let report = trivy(bad, &["--json"]).code(3).json();
    assert_eq!(finding(&report, "RUSTSEC-2019-0013").unwrap()["fails"], true);
    // A reason is wanted, and a document that is there.
    for engine in ["trivy", "builtin"] {
        bad.write("vex.json", &document.to_string().replace("justification", "x"));
        trivy(bad, &["--engine", engine]).code(3).says("without a reason");
        // A statement about every version there will ever be is none either.
        bad.write("vex.json", &document.to_string().replace("spin@0.5.1", "spin"));
        trivy(bad, &["--engine", engine]).code(3).says("a package URL with a version");
    }
    fs::remove_file(bad.path().join("vex.json")).unwrap();
    trivy(bad, &["--engine", "builtin"]).code(3).says("vex.json: the VEX document cannot be read");
    bad.write("xtask/image.toml", SETTINGS);
}

/// What Trivy's own list says is overlooked with a reason and a day, and nothing else is, however the list
/// is written.
fn listed(bad: &Hello, trivy: &dyn Fn(&Hello, &[&str]) -> Ran) {
    let day = in_days(30);
    let entry = |id: &str| format!("  - id: {id}\n    statement: a test\n    expired_at: {day}\n");
    let ids: Vec<_> = CRATES.iter().flat_map(|row| aliases_of(row.1)).collect();
    let all: Vec<_> = ids.iter().map(|id| entry(id)).collect();
    let good = format!("vulnerabilities:\n{}", all.concat());
    bad.write(".trivyignore.yaml", &good);
    // Where Trivy looks for lists of its own accord, nothing is read.
    bad.write(".trivyignore", "CVE-2021-25900\n");
    let report = trivy(bad, &["--engine", "trivy", "--json"]).code(0).json();
    let found = report["findings"].as_array().unwrap();
    let why = format!("a test (until {day}) (.trivyignore.yaml)");
    let about = |name: &str| found.iter().find(|one| one["subject"] == name).unwrap();
    assert!(CRATES.iter().all(|row| about(row.2)["ignored"] == why.as_str()), "{report:#}");
    // The builtin engine has no such list.
    trivy(bad, &[]).code(3);
    let first = &ids[0];
    for (other, expected) in [
        (format!("vulnerabilities:\n  - id: {first}\n    statement: why\n"), "no day on which it ends"),
        (good.replace(&day, "9999-12-31"), "366 are the most"),
        (format!("{good}  - id:\t{first}\n"), "a tab or a control"),
        (format!("{good}  - ? id\n    : {first}\n"), "not understood"),
        (good.replacen("a test", &format!("ok\r  - id: {first}"), 1), "a tab or a control"),
        (good.replacen("statement: a test\n", "statement: \"a\n", 1), "not understood"),
        (
            good.replacen(
                &format!("a test\n    expired_at: {day}\n"),
                &format!("\"a\n    expired_at: {day} #\"\n"),
                1,
            ),
            "not understood",
        ),
    ] {
        bad.write(".trivyignore.yaml", &other);
        trivy(bad, &["--engine", "trivy"]).code(3).says(expected);
    }
    fs::remove_file(bad.path().join(".trivyignore.yaml")).unwrap();
    fs::remove_file(bad.path().join(".trivyignore")).unwrap();
}

/// Every file that says how the image is deployed is looked at, and what a list leaves out is told.
fn deployed(good: &Hello, trivy: &dyn Fn(&Hello, &[&str]) -> Ran) {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: x\nspec:\n  containers:\n    - name: x\n      image: x:1\n      \
        securityContext:\n        privileged: true\n";
    good.write("deploy/pod.yaml", pod);
    let report = trivy(good, &["--json"]).code(3).json();
    let found = report["findings"].as_array().unwrap();
    let failing: Vec<_> = found.iter().filter(|one| one["fails"] == true).collect();
    assert!(failing.iter().all(|one| one["place"] == "deploy/pod.yaml"), "{report:#}");
    let entries = failing.iter().map(|one| {
        let (id, day) = (one["id"].as_str().unwrap(), in_days(9));
        format!("  - id: {id}\n    statement: a test\n    expired_at: {day}\n    paths:\n      - pod.yaml\n")
    });
    let entries: std::collections::BTreeSet<_> = entries.collect();
    let list = format!("misconfigurations:\n{}", entries.into_iter().collect::<String>());
    good.write(".trivyignore.yaml", &list);
    let again = trivy(good, &["--json"]).code(0).json();
    assert_eq!(again["findings"].as_array().unwrap().len(), found.len(), "none of them is gone");
    let ignored = again["findings"].as_array().unwrap().iter().filter(|one| one["ignored"].is_string());
    assert_eq!(ignored.count(), failing.len());
    for (name, text) in [("broken.yaml", "a: [\n"), ("pod.yaml.tmpl", pod)] {
        good.write(&format!("deploy/{name}"), text);
        trivy(good, &[]).code(3).says(&format!("deploy/{name}: Trivy did not look at this file"));
        fs::remove_file(good.path().join("deploy").join(name)).unwrap();
    }
    fs::remove_file(good.path().join(".trivyignore.yaml")).unwrap();
    fs::remove_dir_all(good.path().join("deploy")).unwrap();
    trivy(good, &[]).code(0).says("not looked at, since it is not there: Dockerfile, deploy");
    good.write("xtask/image.toml", &format!("{SETTINGS}deploy = ['deploy']\n"));
    trivy(good, &[]).code(2).says("'deploy' is to be looked at, and is not there");
    good.write("xtask/image.toml", SETTINGS);
}

/// Trivy's name, another program: what it does not see does not pass.
#[cfg(unix)]
fn impostor(good: &Hello) {
    use std::os::unix::fs::PermissionsExt as _;
    let bin = good.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    for (answer, expected) in [
        ("{\"SchemaVersion\":2,\"Results\":[]}", "looked at another image"),
        ("{\"SchemaVersion\":9}", "schema 9"),
        ("", "not understood"),
    ] {
        let program = format!(
            "#!/bin/sh\ncase \"$*\" in version*|*\"quiet version\"*) echo '{{\"Version\":\"0.74.0\"}}' ;; *) printf '%s' '{answer}' ;; esac\n"
        );
        fs::write(bin.join("trivy"), program).unwrap();
        fs::set_permissions(bin.join("trivy"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = good.command();
        command.env("PATH", format!("{}:{}", bin.display(), path_without("trivy")));
        Ran::of(command.args(["scan", "--engine", "trivy"])).code(3).says(expected);
    }
    fs::write(bin.join("trivy"), "#!/bin/sh\necho '{\"Version\":\"0.1.0\"}'\n").unwrap();
    let mut command = good.command();
    command.env("PATH", format!("{}:{}", bin.display(), path_without("trivy")));
    Ran::of(command.arg("scan")).code(3).says("not one of the versions known");
}

#[cfg(not(unix))]
fn impostor(_: &Hello) {}

#[cfg(unix)]
#[test]
fn a_pinned_download_is_run_only_if_it_is_the_one() {
    let hello = Hello::new();
    if !have_targets() {
        return;
    }
    hello.write("xtask/advisories.jsonl", &facts());
    hello.run(&["image", "--engine", "native", "--platform", "all"]).code(0);
    let program = b"#!/bin/sh\necho '{\"SchemaVersion\":2}'\n";
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(program.len() as u64);
    tar.append_data(&mut header, "trivy", &program[..]).unwrap();
    let mut archive = Vec::new();
    let tar = tar.into_inner().unwrap();
    flate2::read::GzEncoder::new(&tar[..], flate2::Compression::fast()).read_to_end(&mut archive).unwrap();
    let body = archive.clone();
    let server = support::files(move |_| Some(body.clone()));
    let scan = |sha256: &str| {
        let machine = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        let pin = format!(
            "[scan.trivy]\nversion = '0.74.0'\nurl = 'http://{server}/trivy_{{version}}_{{machine}}.tar.gz'\n\
             sha256 = {{ {machine} = '{sha256}' }}\n"
        );
        hello.write("xtask/image.toml", &format!("{SETTINGS}{pin}"));
        let mut command = hello.command();
        command.env("PATH", path_without("trivy"));
        Ran::of(command.args(["scan", "--engine", "trivy"])).code(3)
    };
    scan(&"0".repeat(64)).says("as the settings pin it");
    assert!(!hello.path().join("target/xtask/tools").exists(), "what was not pinned is not kept");
    // The right one is run, and then does not see the image.
    scan(&digest(&archive)[7..]).says("comes once, by its digest").says("looked at another image");
    scan(&digest(&archive)[7..]).says("there from before");
}

#[test]
fn an_archive_is_scanned_as_a_layout_is() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.write("xtask/image.toml", SETTINGS);
    hello.write("xtask/advisories.jsonl", &facts());
    hello.run(&["image", "--engine", "native", "--platform", "all", "--archive", "image.tar"]).code(0);
    let whole = scan(&hello, &["--json"]).code(0).json();
    let archive = scan(&hello, &["--json", "--image", "image.tar"]).code(0).json();
    let manifests = |report: &Value| {
        let platforms = report["platforms"].as_array().unwrap().iter();
        platforms
            .map(|one| (one["platform"].clone(), one["manifest"].clone(), one["crates"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(manifests(&whole), manifests(&archive));
    let sarif = scan(&hello, &["--format", "sarif"]).code(0).json();
    assert_eq!((&sarif["version"], &sarif["runs"][0]["results"]), (&json!("2.1.0"), &json!([])));
    scan(&hello, &["--json", "--format", "sarif"]).code(2).says("one of them");
    // A login in an address goes nowhere, and is not said again.
    let from = hello.run(&["advisories", "update", "--from", "http://me:hunter2@127.0.0.1:1/db.tar"]).code(2);
    hello.write(
        "xtask/image.toml",
        &format!("{SETTINGS}yanked = true\nindex = 'http://me:hunter2@127.0.0.1:1'\n"),
    );
    let index = scan(&hello, &[]).code(2).says("a login has no place");
    assert!(!format!("{from:?}{index:?}").contains("hunter2"), "{from:?}{index:?}");
    // Of an archive the licences are known as far as the lock file goes.
    hello.write("xtask/image.toml", &format!("{SETTINGS}licences = ['MIT']\n"));
    let plan = scan(&hello, &["--dry-run", "--image", "image.tar"]).code(0);
    assert!(plan.stdout.contains("licences"), "{}", plan.stdout);
    hello.write("xtask/image.toml", SETTINGS);
    // A part of the archive that is not what its name says.
    let mut bytes = fs::read(hello.path().join("image.tar")).unwrap();
    let gzip = bytes.windows(3).position(|window| window == [0x1f, 0x8b, 8]).unwrap();
    bytes[gzip + 200] ^= 1;
    fs::write(hello.path().join("broken.tar"), bytes).unwrap();
    let broken = scan(&hello, &["--image", "broken.tar"]);
    assert_ne!(broken.code, Some(0), "{broken:?}");
    hello.write("not.tar", "nothing");
    assert_ne!(scan(&hello, &["--image", "not.tar"]).code, Some(0));
}

/// The repository's facts up to a day, so that later ones do not turn what is mended here into a finding.
fn facts() -> String {
    let text = fs::read_to_string(root().join("xtask/advisories.jsonl")).unwrap();
    let known = |line: &&str| {
        let advisory: Value = serde_json::from_str(line).unwrap();
        advisory["date"].as_str().unwrap() <= "2026-08-21"
    };
    let lines: Vec<_> = text.lines().skip(1).filter(known).collect();
    support::facts("2026-08-21", &lines)
}

fn advisories() -> Vec<Value> {
    facts().lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn aliases_of(id: &str) -> Vec<String> {
    let advisory = advisories().into_iter().find(|advisory| advisory["id"] == id).unwrap();
    let aliases = advisory["aliases"].as_array().cloned().unwrap_or_default();
    let aliases = aliases.iter().map(|alias| alias.as_str().unwrap().to_owned());
    aliases.chain([id.to_owned()]).collect()
}

/// The five advisories as a database for Trivy, in the format of bolt-fixtures. Trivy knows them by CVE
/// or GHSA, as its own database does.
fn facts_as_yaml() -> String {
    let mut crates = String::new();
    let mut ratings = String::new();
    for advisory in advisories() {
        let Some((severity, id, name, ..)) = CRATES.iter().find(|row| advisory["id"] == row.1) else {
            continue;
        };
        let key = aliases_of(id).remove(0);
        let list = |name: &str| advisory.get(name).cloned().unwrap_or(json!([]));
        let (patched, unaffected) = (list("patched"), list("unaffected"));
        crates.push_str(&format!(
            "    - bucket: {name}\n      pairs:\n        - key: {key}\n          value:\n            \
             PatchedVersions: {patched}\n            UnaffectedVersions: {unaffected}\n"
        ));
        ratings.push_str(&format!(
            "    - key: {key}\n      value:\n        Severity: {}\n",
            severity.to_uppercase()
        ));
    }
    format!(
        "- bucket: data-source\n  pairs:\n    - key: cargo::facts\n      value:\n        ID: facts\n        Name: facts\n\
         - bucket: debian 12\n  pairs:\n    - bucket: nothing\n      pairs:\n        - key: CVE-1\n          value:\n            FixedVersion: '1'\n\
         - bucket: cargo::facts\n  pairs:\n{crates}- bucket: vulnerability\n  pairs:\n{ratings}"
    )
}

/// Writes amd64's binary anew, with other bytes or another mode, under digests that are right.
fn rewrite(layout: &Path, change: Change) {
    let image = Image::read(layout);
    let mut manifest = image.manifest("amd64");
    let last = manifest["layers"].as_array().unwrap().len() - 1;
    let blob = image.blob(&manifest["layers"][last]["digest"]);
    let mut tar = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(&blob[..])).entries().unwrap() {
        let mut entry = entry.unwrap();
        let (path, mut header) = (entry.path().unwrap().into_owned(), entry.header().clone());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if header.entry_type().is_file() {
            let mut mode = header.mode().unwrap();
            change(&mut bytes, &mut mode);
            header.set_mode(mode);
            header.set_size(bytes.len() as u64);
        }
        tar.append_data(&mut header, path, &bytes[..]).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let mut gzip = flate2::read::GzEncoder::new(&tar[..], flate2::Compression::fast());
    let mut packed = Vec::new();
    gzip.read_to_end(&mut packed).unwrap();
    let mut config = image.config("amd64");
    config["rootfs"]["diff_ids"][last] = json!(digest(&tar));
    let put = |bytes: &[u8]| {
        let digest = digest(bytes);
        fs::write(layout.join("blobs/sha256").join(&digest[7..]), bytes).unwrap();
        (json!(digest), json!(bytes.len()))
    };
    let set = |value: &mut Value, (digest, size): (Value, Value)| {
        value["digest"] = digest;
        value["size"] = size;
    };
    set(&mut manifest["layers"][last], put(&packed));
    set(&mut manifest["config"], put(config.to_string().as_bytes()));
    let put = put(manifest.to_string().as_bytes());
    let mut index = image.index.clone();
    let entries = index["manifests"].as_array_mut().unwrap();
    entries.retain(|entry| entry.get("platform").is_some());
    let entry = entries.iter_mut().find(|entry| entry["platform"]["architecture"] == "amd64").unwrap();
    set(entry, put);
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
}
