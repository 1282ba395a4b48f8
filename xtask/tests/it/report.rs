//! `cargo xtask report`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Hello, have, have_program, have_targets};

/// The title, the number of treemaps and of their rectangles, and whether the page is as wide as the window at most.
const LOOK: &str = "document.title + '|' + document.querySelectorAll('svg.map').length + '|' + \
    document.querySelectorAll('svg.map rect').length + '|' + (document.documentElement.scrollWidth <= window.innerWidth)";

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
    // Against an image without the file.
    hello.write("xtask/image.toml", "package = 'hello'\n");
    hello.run(&["image", "--engine", "native", "--output", "target/small"]).code(0);
    let report = hello.run(&["report", "--against", "target/small", "--json"]).code(0).json();
    assert!(report["changes"]["compressed_bytes"][0][1].as_i64().unwrap() > 0, "{}", report["changes"]);
    let page = fs::read_to_string(hello.path().join("target/report/index.html")).unwrap();
    assert!(page.contains("LICENCE&lt;b&gt;") && !page.contains("LICENCE<b>"));
    assert!(!page.contains("http://") && !page.contains("https://"), "the page needs the network");
    look_at(&hello, &page);
}

/// Opens the page in a browser: it fits a small and a large window, and axe-core finds no fault in it, light and dark.
fn look_at(hello: &Hello, page: &str) {
    if !have_program("chromium", "chromium", &["--version"]) {
        return;
    }
    let dom = |script: &str, flags: &[&str]| {
        let path = hello.path().join("look.html");
        fs::write(&path, format!("{page}{script}")).unwrap();
        let mut chromium = Command::new("chromium");
        chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]);
        chromium.args(["--virtual-time-budget=60000", "--dump-dom"]).args(flags);
        chromium.arg(format!("--user-data-dir={}", hello.path().join("profile").display()));
        let output = chromium.arg(&path).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for width in ["400", "1400"] {
        let script = format!("<script>document.body.textContent = {LOOK}</script>");
        let seen = dom(&script, &[&format!("--window-size={width},900")]);
        assert!(seen.contains("image report|1|2|true"), "{width}: {seen}");
    }
    let Some(axe) = axe() else { return };
    let script = "<script>axe.run().then((found) => {
        const dark = matchMedia('(prefers-color-scheme: dark)').matches;
        const faults = found.violations.map((one) => [one.id, one.nodes.map((node) => node.html)]);
        document.body.textContent = `dark: ${dark}; ${JSON.stringify(faults)}, ${found.passes.length} rules passed`;
    });</script>";
    let script = format!("<script src='{}'></script>{script}", axe.display());
    for (dark, scheme) in [(false, "1"), (true, "0")] {
        let seen = dom(&script, &[&format!("--blink-settings=preferredColorScheme={scheme}")]);
        assert!(seen.contains(&format!("dark: {dark}; [], ")), "{seen}");
    }
}

/// axe-core, from npm.
fn axe() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("axe-core-4.14.1");
    let script = dir.join("package/axe.min.js");
    if !script.is_file() {
        fs::create_dir_all(&dir).unwrap();
        let unpack = "npm pack --silent axe-core@4.14.1 && tar xzf axe-core-4.14.1.tgz";
        let output = Command::new("bash").args(["-c", unpack]).current_dir(&dir).output();
        let why = output.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        if !have("axe", script.is_file(), &why) {
            return None;
        }
    }
    Some(script)
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
