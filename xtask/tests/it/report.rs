//! `cargo xtask report`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::browser::Page;
use crate::support::github::{Github, TOKEN};
use crate::support::live::Live;
use crate::support::published::{Workshop, check, signing};
use crate::support::{Hello, Ran, have, have_program, have_targets, installed, root};

/// A program with more code of its own than one line.
const GROWN: &str =
    "fn main() { let all: Vec<String> = std::env::args().map(|one| one.to_uppercase()).collect();
    println!(\"{all:?}\"); for one in &all { println!(\"{one} {}\", one.len()); } }\n";

#[test]
fn the_report_names_sizes_crates_and_targets() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.write("LICENCE", &"x".repeat(2000));
    hello.write(
        "xtask/image.toml",
        "package = 'hello'\n[[files]]\nsource = 'LICENCE'\ntarget = '/LICENCE<b>'\n[budgets]\ncompressed = '1 kB'\n",
    );
    hello.commit();
    // The budget is exceeded, but the image is there.
    hello.run(&["image", "--engine", "native"]).code(3);
    let report = hello.run(&["report", "--symbols", "--json"]).code(0).json();
    let one = &report["platforms"][0];
    assert_eq!(one["crates"][0]["name"], "hello");
    assert_eq!(one["layers"][0]["files"][0]["bytes"], 2000);
    let binary = &one["layers"][1]["files"][0];
    assert_eq!(binary["path"], "/usr/bin/hello");
    let code = one["code"].as_array().unwrap();
    let size = |name: &str| {
        code.iter().find(|row| row["name"] == name).map_or(0, |row| row["bytes"].as_u64().unwrap())
    };
    assert!(size("std") > size("hello") && size("hello") > 0, "{code:?}");
    let sum: u64 = code.iter().map(|row| row["bytes"].as_u64().unwrap()).sum();
    assert!(sum <= binary["bytes"].as_u64().unwrap(), "{sum} bytes in {binary}");
    let targets = report["targets"].as_array().unwrap();
    let met = |name: &str| {
        targets.iter().find(|row| row["target"].as_str().unwrap().contains(name)).unwrap()["met"].clone()
    };
    assert_eq!(met("more than 95 %"), true);
    assert_eq!(met("0 critical"), serde_json::Value::Null);
    assert_eq!(met("image under 1.00 kB"), false);
    assert!(report["scan"].is_null());
    fs::copy(hello.path().join("target/report/report.json"), hello.path().join("old.json")).unwrap();
    // Against an image without the file.
    hello.write("xtask/image.toml", "package = 'hello'\n");
    hello.run(&["image", "--engine", "native", "--output", "target/small"]).code(0);
    let report = hello.run(&["report", "--against", "target/small", "--json"]).code(0).json();
    assert!(report["changes"]["compressed_bytes"][0][1].as_i64().unwrap() > 0, "{}", report["changes"]);
    // Against a report: the program has grown.
    hello.write("hello/src/main.rs", GROWN);
    hello.run(&["image", "--engine", "native"]).code(0);
    let against = ["report", "--symbols", "--against", "old.json", "--json"];
    let report = hello.run(&against).code(0).json();
    let grown = report["changes"]["code"].as_array().unwrap();
    let grown = grown.iter().find(|row| row["name"] == "hello").unwrap();
    assert!(grown["after"].as_u64() > grown["before"].as_u64(), "{grown}");
    fs::write(hello.path().join("other.json"), "{}").unwrap();
    hello.run(&["report", "--against", "other.json"]).code(2).says("this is not a report");
    hello.write("LICENCE", &"x".repeat(2000));
    hello.write(
        "xtask/image.toml",
        "package = 'hello'\n[[files]]\nsource = 'LICENCE'\ntarget = '/LICENCE<b>'\n",
    );
    hello.run(&["image", "--engine", "native"]).code(0);
    hello.run(&["report", "--symbols", "--against", "old.json"]).code(0);
    let page = fs::read_to_string(hello.path().join("target/report/index.html")).unwrap();
    assert!(page.contains("LICENCE&lt;b&gt;") && !page.contains("LICENCE<b>"));
    assert!(!page.contains("http://") && !page.contains("https://"), "the page needs the network");
    if std::env::var_os("UPDATE_DOCS").is_none() {
        look_at(&hello.path().join("target/report/index.html"));
    }
}

/// Where the pictures go: into the documents if they are to be made anew.
fn pictures() -> PathBuf {
    match std::env::var_os("UPDATE_DOCS") {
        Some(_) => root().join("docs/images"),
        None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    }
}

/// Opens the page in a browser: it fits a small and a large window, light and dark, axe-core finds no fault in it, Tab
/// reaches everything, and the console has no error.
fn look_at(path: &Path) {
    if !have_program("chromium", "chromium", &["--version"]) {
        return;
    }
    let mut page = Page::open(path);
    let axe = axe().map(|path| fs::read_to_string(path).unwrap());
    for (width, height) in [(400, 900), (1400, 1150)] {
        for scheme in ["light", "dark"] {
            page.look(width, height, scheme);
            let at = format!("{width} {scheme}");
            let wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth");
            assert_eq!(wide, false, "{at}: the page is wider than the window");
            let background = page.evaluate("getComputedStyle(document.body).backgroundColor");
            let expected = if scheme == "dark" { "rgb(13, 17, 23)" } else { "rgb(255, 255, 255)" };
            assert_eq!(background, expected, "{at}");
            let picture = page.picture();
            assert!(picture.starts_with(b"\x89PNG") && picture.len() < 150_000, "{at}: {}", picture.len());
            fs::write(pictures().join(format!("report-{width}-{scheme}.png")), picture).unwrap();
            let Some(axe) = &axe else { continue };
            page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })");
            page.evaluate(&format!("{axe}; null"));
            let faults = page.evaluate(
                "axe.run().then((found) => JSON.stringify([found.violations.map((one) => \
                    [one.id, one.nodes.map((node) => node.html)]), found.passes.length]))",
            );
            let (faults, rules) = faults.as_str().unwrap().rsplit_once(',').unwrap();
            assert_eq!(faults, "[[]", "{at}");
            assert!(rules.trim_end_matches(']').parse::<u32>().unwrap() > 10, "{rules} rules");
        }
    }
    keyboard(&mut page);
    assert_eq!(page.errors, Vec::<String>::new());
}

/// Tab reaches every link, summary, field and region that scrolls, each of which has a name and a visible focus.
fn keyboard(page: &mut Page) {
    let all = "[...document.querySelectorAll('a, input, summary, [tabindex]')]";
    let count = page.evaluate(&format!("{all}.length")).as_u64().unwrap();
    assert!(count > 8, "{count}");
    page.evaluate("window.met = new Set(); document.activeElement.blur()");
    for _ in 0..=count {
        page.tab();
        page.evaluate("window.met.add(document.activeElement); null");
        let seen = page.evaluate(
            "(() => { const one = document.activeElement; return one === document.body || \
             getComputedStyle(one).outlineStyle !== 'none' && (one.innerText || one.labels || '') !== '' })()",
        );
        assert_eq!(seen, true, "{}", page.evaluate("document.activeElement.outerHTML"));
    }
    let missed = format!("{all}.filter((one) => !window.met.has(one)).map((one) => one.outerHTML).join()");
    assert_eq!(page.evaluate(&missed), "");
    // The filter hides the rows without its text.
    let rows = "[...document.querySelectorAll('table.crates tbody tr')].filter((row) => !row.hidden).length";
    assert!(page.evaluate(rows).as_u64().unwrap() > 0);
    page.evaluate("const f = document.getElementById('filter'); f.value = 'no such crate'; f.dispatchEvent(new Event('input'))");
    assert_eq!(page.evaluate(rows), 0);
}

/// `UPDATE_DOCS=1` makes the pictures in docs/images of the report in target/report: first run `cargo xtask report
/// --symbols`.
#[test]
fn the_report_of_this_workspace_in_a_browser() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        look_at(&root().join("target/report/index.html"));
    }
}

/// axe-core, from npm.
fn axe() -> Option<PathBuf> {
    let dir = installed("axe", "npm pack --silent axe-core@4.14.1\ntar xzf axe-core-4.14.1.tgz")?;
    Some(dir.join("package/axe.min.js"))
}

#[test]
fn a_failed_build_counts_in_the_history() {
    if !have("musl", have_targets(), "rustup target add both musl targets") {
        return;
    }
    let hello = Hello::new();
    hello.write("hello/src/main.rs", "fn main() { no }\n");
    hello.run(&["image", "--engine", "native"]).code(1);
    hello.write("hello/src/main.rs", "fn main() {}\n");
    hello.run(&["image", "--engine", "native"]).code(0);
    let report = hello.run(&["report", "--json"]).code(0).json();
    let runs: Vec<_> =
        report["history"].as_array().unwrap().iter().map(|run| run["succeeded"].clone()).collect();
    assert_eq!(runs, [false, true]);
    let plan = hello.run(&["report", "--dry-run", "--symbols", "--json"]).code(0).json();
    let steps: Vec<_> = plan["steps"].as_array().unwrap().iter().map(|step| step["name"].clone()).collect();
    assert_eq!(steps, ["read", "symbols", "write"]);
}

#[test]
fn the_runs_of_workflows_on_github_are_a_target() {
    if !have_targets() {
        return;
    }
    let hello = Hello::new();
    hello.run(&["image", "--engine", "native"]).code(0);
    let github = Github::start();
    let run = |number: u32| {
        let conclusion = match number {
            0 => "failure",
            1 => "cancelled",
            _ => "success",
        };
        json!({
            "name": "ci", "status": "completed", "conclusion": conclusion,
            "run_started_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:14:05Z",
        })
    };
    let report = |token: &str| {
        let mut command = hello.command();
        github.job(&mut command);
        let ran = Ran::of(command.args(["report", "--json"]).env("GITHUB_TOKEN", token)).code(0);
        let written = ["index.html", "report.json", "report.md"]
            .map(|name| fs::read_to_string(hello.path().join("target/report").join(name)).unwrap());
        assert!(!format!("{ran:?}{written:?}").contains(token), "{ran:?}");
        ran.json()
    };
    let row = |report: &serde_json::Value| {
        let rows = report["targets"].as_array().unwrap().clone();
        let mut rows = rows.into_iter().filter(|row| row["target"] == "more than 95 % of builds succeed");
        assert_eq!(rows.next().unwrap()["measured"], "1 of 1", "the builds here");
        rows.next().unwrap()
    };
    // Three pages at the most.
    github.state.lock().unwrap().runs = (0..450).map(run).collect();
    let all = row(&report(TOKEN));
    assert_eq!((&all["measured"], &all["met"]), (&"298 of 299".into(), &true.into()));
    assert_eq!(github.state.lock().unwrap().requests.len(), 3);
    assert!(
        github.state.lock().unwrap().requests[0].contains("event=push&status=completed&per_page=100&page=1")
    );
    github.state.lock().unwrap().runs.truncate(12);
    let few = row(&report(TOKEN));
    assert_eq!((&few["measured"], &few["met"]), (&"10 of 11".into(), &false.into()));
    // A report needs no answer of GitHub.
    let refused = row(&report("ghs_another-token"));
    assert_eq!((&refused["measured"], &refused["met"]), (&json!(null), &json!(null)));
    assert!(
        refused["source"].as_str().unwrap().contains("could not be read: GitHub answered 401"),
        "{refused}"
    );
}

#[test]
fn the_report_reads_signatures_and_environments_from_the_registry() {
    let Some(live) = Live::docker() else { return };
    let workshop = Workshop::new(5);
    if !workshop.key_pair() {
        return;
    }
    let repository = format!("{}/report/app", live.registry());
    let settings =
        format!("package = 'hello'\nrepository = '{repository}'\n[[environments]]\nname = 'staging'\n");
    workshop.hello.write("xtask/image.toml", &settings);
    let report = |args: &[&str]| workshop.run(&[&["report", "--json"], args].concat());
    let published = ["--published", "--key", "cosign.pub"];
    assert_eq!(report(&published).code(0).json()["published"], json!(null));
    let publish = workshop.command(&["publish", "--tag", "1.0.0"]);
    Ran::of(&mut signing(publish)).code(0);
    workshop.run(&["promote", "1.0.0", "--to", "staging"]).code(0);
    let found = report(&published).code(0).json();
    assert_eq!(check(&found["published"], "signature").0, "ok");
    assert_eq!(check(&found["published"], "provenance").0, "ok");
    let staging = &found["published"]["environments"][0];
    assert_eq!((&staging["environment"], &staging["digest"]), (&"staging".into(), &found["digest"]));
    let page = fs::read_to_string(workshop.hello.path().join("target/report/index.html")).unwrap();
    assert!(page.contains("<td>this image</td>"), "{page}");
    // Without a value, --against is the image of the last version tag.
    report(&["--against"]).code(2).says("no version tag leads to this commit");
    workshop.hello.git(&["tag", "v1.0.0"]);
    let changes = report(&["--against"]).code(0).json()["changes"].clone();
    assert_eq!(changes["against"], format!("{repository}:1.0.0"));
    assert_eq!(changes["compressed_bytes"], json!([["linux/amd64", 0], ["linux/arm64", 0]]));
    let there = report(&["--image", &format!("{repository}:1.0.0")]).code(0).json();
    assert_eq!(there["digest"], found["digest"]);
}

/// The table of docs/summary.md: each target, its number, and the command that measures it. The time of a build depends on
/// what else the machine does; the page has one of a machine at rest.
fn numbers(report: &serde_json::Value) -> String {
    let mut table = "| target | number | state | command |\n|---|---|---|---|\n".to_owned();
    for row in report["targets"].as_array().unwrap() {
        let target = row["target"].as_str().unwrap();
        if target.starts_with("build under") {
            continue;
        }
        let command = match target {
            _ if target.contains("vulnerabilities") => "cargo xtask scan",
            _ if target.contains("succeed") => "cargo xtask report",
            _ => "cargo xtask image --platform all",
        };
        let state = match row["met"].as_bool() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        };
        let measured = row["measured"].as_str().unwrap_or("-");
        table += &format!("| {target} | {measured} | {state} | `{command}` |\n");
    }
    table
}

/// `UPDATE_DOCS=1` writes the numbers of target/report/report.json into docs/summary.md. Without it a report of this
/// workspace that is there must have the same targets, and sizes within a tenth of those of the page.
#[test]
fn the_summary_has_the_numbers_of_the_report() {
    const MARKS: (&str, &str) = ("<!-- numbers -->\n", "<!-- /numbers -->");
    let path = root().join("docs/summary.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(MARKS.0).unwrap();
    let (_, after) = rest.split_once(MARKS.1).unwrap();
    let report = fs::read(root().join("target/report/report.json")).ok();
    let report = report.map(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).unwrap());
    if let (Some(report), Some(_)) = (&report, std::env::var_os("UPDATE_DOCS")) {
        let numbers = numbers(report);
        fs::write(&path, format!("{before}{}{numbers}{}{after}", MARKS.0, MARKS.1)).unwrap();
        return;
    }
    let row = |target: &str| page.lines().find(|line| line.starts_with(&format!("| {target}")));
    for target in ["build under 300 s", "image under 500.00 MB", "more than 95 %", "0 critical"] {
        assert!(row(target).is_some_and(|line| !line.contains("| - |")), "{target} has no number: {page}");
    }
    let size =
        |text: &str| text.split_once(" MB compressed").and_then(|(number, _)| number.parse::<f64>().ok());
    for of in report.iter().flat_map(|report| report["targets"].as_array().unwrap()) {
        let target = of["target"].as_str().unwrap();
        let target = target
            .strip_suffix(" (budget in image.toml)")
            .filter(|one| one.starts_with("build"))
            .unwrap_or(target);
        let Some(line) = row(target) else {
            panic!("UPDATE_DOCS=1 writes docs/summary.md: it lacks {of}");
        };
        let Some(now) = of["measured"].as_str().and_then(size) else { continue };
        let written = line.split(" | ").find_map(size).unwrap();
        assert!(
            (now / written - 1.0).abs() < 0.1,
            "UPDATE_DOCS=1 writes docs/summary.md: {now} MB, not {line}"
        );
    }
}
