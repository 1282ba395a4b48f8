//! docs/tutorial-release.md, run as it is written. `UPDATE_EXPECT=1` writes the output of each command into it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::live::Live;
use crate::support::{facts, have_targets, in_days, root, xtask};

const REGISTRY: &str = "localhost:5000";

/// Runs a command line of the page, with standard error after standard output as a terminal shows it.
fn run(dir: &Path, line: &str, registry: &str) -> String {
    let line = line.replace(REGISTRY, registry);
    let program = xtask(dir).get_program().to_string_lossy().into_owned();
    let mut command = xtask(dir);
    let mut shell = Command::new("bash");
    shell.current_dir(dir).args(["-c", &format!("{} 2>&1", line.replace("cargo xtask", &program))]);
    for (name, value) in command.current_dir(dir).get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let output = shell.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.replace(&format!("{}/", dir.display()), "").replace(registry, REGISTRY)
}

/// The smallest file of advisories that a scan accepts: of today's date, about crates that do not exist.
fn advisories() -> String {
    let today = in_days(0);
    let line =
        |number| format!(r#"{{"id":"RUSTSEC-2021-{number:04}","package":"none-{number}","date":"{today}"}}"#);
    let lines: Vec<String> = (1..=500).map(line).collect();
    facts(&today, &lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Output without what differs from run to run: digests, commits, times, sizes, days, and the columns that they widen.
fn stable(text: &str) -> String {
    let word = |word: &str| {
        let hex = |text: &str| text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bare = word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
        let mut parts = word.split(|letter: char| !letter.is_ascii_alphanumeric());
        let digest = parts.any(|part| hex(part.trim_start_matches('g')));
        let number = bare.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
            && bare.bytes().all(|byte| byte.is_ascii_digit() || b".:-TZ".contains(&byte))
            && bare.contains(['.', ':', '-', 'T'])
            && bare != "0.1.0";
        if digest || number { "…".to_owned() } else { word.to_owned() }
    };
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_tutorial_runs_as_it_is_written() {
    if !have_targets() {
        return;
    }
    let Some(live) = Live::docker() else { return };
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("hello");
    fs::create_dir_all(dir.join("xtask")).unwrap();
    let git =
        |args: &[&str]| assert!(Command::new("git").current_dir(&dir).args(args).status().unwrap().success());
    git(&["init", "--quiet", "--initial-branch", "main"]);
    for (key, value) in [("user.name", "t"), ("user.email", "t@localhost"), ("commit.gpgsign", "false")] {
        git(&["config", key, value]);
    }
    fs::write(dir.join("xtask/advisories.jsonl"), advisories()).unwrap();
    let path = root().join("docs/tutorial-release.md");
    let page = fs::read_to_string(&path).unwrap();
    let (mut written, mut block, mut file) = (String::new(), None, None);
    let mut seen = Vec::new();
    for line in page.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(language)) => {
                block = Some((language.to_owned(), String::new()));
                written.push_str(&format!("{line}\n"));
            }
            (Some((language, text)), Some(_)) => {
                if language == "console" {
                    for command in text.lines().filter_map(|line| line.strip_prefix("$ ")) {
                        let output = run(&dir, command, &live.registry());
                        written.push_str(&format!("$ {command}\n{output}"));
                        seen.push(output);
                    }
                } else {
                    let name: String = file.take().expect("the name of a file before its content");
                    fs::create_dir_all(dir.join(&name).parent().unwrap()).unwrap();
                    fs::write(dir.join(name), text.replace(REGISTRY, &live.registry())).unwrap();
                    written.push_str(text);
                }
                block = None;
                written.push_str("```\n");
            }
            (Some((_, text)), None) => text.push_str(&format!("{line}\n")),
            (None, None) => {
                let name = line.strip_prefix('`').and_then(|rest| rest.strip_suffix("`:"));
                file = name.map(str::to_owned).or(file);
                written.push_str(&format!("{line}\n"));
            }
        }
    }
    let all = seen.concat();
    for part in ["v0.1.0 is prepared", "in staging", "index.html"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &written).unwrap();
    } else {
        let (page, written) = (stable(&page), stable(&written));
        let differs = page.lines().zip(written.lines()).find(|(page, run)| page != run);
        assert!(page == written, "UPDATE_EXPECT=1 writes the page; first difference: {differs:#?}");
    }
}
