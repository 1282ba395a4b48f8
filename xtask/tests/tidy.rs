//! Checks of the repository that no compiler makes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn files(dir: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && !["target", ".git"].contains(&name.as_str()) {
            files(&path, endings, found);
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

/// A source file of xtask, without its tests.
struct Source {
    /// The package it belongs to.
    package: String,
    /// The path below `src`.
    path: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for package in packages() {
        let folder = package.join("src");
        let mut paths = Vec::new();
        files(&folder, &[".rs"], &mut paths);
        for path in paths {
            if path.iter().any(|part| part == "tests" || part == "tests.rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source {
                package: package.file_name().unwrap().to_string_lossy().into_owned(),
                path: path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned(),
                code: text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned(),
            });
        }
    }
    assert!(found.len() > 100, "{}", found.len());
    found
}

/// The folders of xtask's packages.
fn packages() -> Vec<PathBuf> {
    let crates = fs::read_dir(root().join("xtask/crates")).unwrap().map(|entry| entry.unwrap().path());
    let mut packages: Vec<_> = crates.chain([root().join("xtask")]).collect();
    packages.sort();
    packages
}

#[test]
fn every_step_of_a_workflow_is_one_xtask_command() {
    let mut workflows = Vec::new();
    files(&root().join(".github/workflows"), &[".yml", ".yaml"], &mut workflows);
    for workflow in workflows {
        let text = fs::read_to_string(&workflow).unwrap();
        for (number, line) in text.lines().enumerate() {
            let at = format!("{}:{}", workflow.display(), number + 1);
            let Some(run) = line.trim().trim_start_matches("- ").strip_prefix("run:") else { continue };
            let run = run.trim();
            assert!(run.starts_with("cargo xtask ") && !run.contains(['&', '|', ';', '`']), "{at}: {run}");
        }
        for (number, line) in text.lines().enumerate() {
            let Some(uses) = line.trim().trim_start_matches("- ").strip_prefix("uses:") else { continue };
            let (action, version) = uses.split_once('#').unwrap_or((uses, ""));
            let commit = action.trim().rsplit('@').next().unwrap();
            let pinned = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            let at = format!("{}:{}", workflow.display(), number + 1);
            assert!(
                pinned && version.trim().starts_with('v'),
                "{at}: pin by commit, with '# vX.Y.Z': {uses}"
            );
        }
    }
}

/// Findings are uploaded also if the scan failed, and only jobs that upload have the permission for it.
#[test]
fn findings_of_a_scan_are_uploaded_however_it_ended() {
    let mut workflows = Vec::new();
    files(&root().join(".github/workflows"), &[".yml", ".yaml"], &mut workflows);
    let mut scans = 0;
    for workflow in workflows {
        let (text, at) = (fs::read_to_string(&workflow).unwrap(), workflow.display());
        // Jobs are the only keys at this depth below `jobs:`.
        let (_, jobs) = text.split_once("\njobs:\n").unwrap();
        let is_key = |line: &str| line.starts_with("  ") && !line.starts_with("   ");
        let mut parts: Vec<String> = Vec::new();
        for line in jobs.lines() {
            if is_key(line) {
                parts.push(String::new());
            }
            parts.last_mut().unwrap().extend([line, "\n"]);
        }
        for job in parts {
            let scan = job.lines().find(|line| line.contains("run: cargo xtask scan"));
            let upload = job.split("      - ").find(|step| step.contains("codeql-action/upload-sarif@"));
            assert_eq!(job.contains("security-events: write"), upload.is_some(), "{at}: {job}");
            let (Some(scan), Some(upload)) = (scan, upload) else {
                assert!(scan.is_none(), "{at}: the findings are not uploaded: {job}");
                continue;
            };
            let file = scan.split("--output ").nth(1).unwrap();
            assert!(
                scan.contains("--format sarif") && upload.contains(&format!("sarif_file: {file}\n")),
                "{at}"
            );
            assert!(upload.contains("!cancelled()"), "{at}: {upload}");
            let of_fork = "github.event.pull_request.head.repo.full_name == github.repository";
            assert!(!text.contains("pull_request:") || upload.contains(of_fork), "{at}: {upload}");
            scans += 1;
        }
    }
    assert_eq!(scans, 2);
}

/// The components that tests ask for with `have`, and those that `cargo xtask ci` asks for itself.
fn components() -> BTreeSet<String> {
    let mut tests = Vec::new();
    for folder in ["xtask/tests", "gateway/tests", "gateway/lab/tests"] {
        files(&root().join(folder), &[".rs"], &mut tests);
    }
    let mut components = BTreeSet::from(["actionlint".to_owned()]);
    for test in tests.iter().filter(|test| !test.ends_with("tidy.rs")) {
        let text = fs::read_to_string(test).unwrap();
        for call in ["have(", "have_program(", "oracle("] {
            let calls = text.split(call).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
            components.extend(calls.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    components
}

/// A test that was skipped because of a missing component makes no run green, except where a reason is written down.
#[test]
fn every_component_of_the_tests_is_required_in_ci() {
    let names = |text: &str| text.split(',').map(|name| name.trim().to_owned()).collect::<BTreeSet<_>>();
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (local, github) = (read(".ci/run"), read(".github/workflows/ci.yml"));
    let in_local = local.split("XTASK_REQUIRE=").nth(1).unwrap().lines().next().unwrap();
    let in_github = github.split("XTASK_REQUIRE: \"").nth(1).unwrap().split('"').next().unwrap();
    for (path, text, required) in
        [(".ci/run", &local, in_local), (".github/workflows/ci.yml", &github, in_github)]
    {
        let mut listed = names(required);
        for rest in text.split("# not required: ").skip(1) {
            let (skipped, reason) = rest.lines().next().unwrap().split_once(" (").unwrap();
            assert!(reason.len() > 10, "{skipped} needs a reason");
            listed.extend(names(skipped));
        }
        assert_eq!(listed, components(), "{path}");
    }
}

/// Another branch must not be able to change the demands on an image.
#[test]
fn workflows_that_promote_use_the_settings_of_the_default_branch() {
    let mut workflows = Vec::new();
    files(&root().join(".github/workflows"), &[".yml", ".yaml"], &mut workflows);
    for workflow in workflows {
        let text = fs::read_to_string(&workflow).unwrap();
        if text.contains("cargo xtask promote") {
            let checkouts = text.matches("uses: actions/checkout@").count();
            let of_default = text.matches("ref: ${{ github.event.repository.default_branch }}").count();
            assert_eq!(checkouts, of_default, "{}", workflow.display());
        }
    }
}

#[test]
fn no_unfinished_code() {
    let mut sources = Vec::new();
    files(root(), &[".rs", ".toml", ".yml", "Dockerfile"], &mut sources);
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ig", "nore"), concat!("unimpl", "emented!(")];
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        for (number, line) in text.lines().enumerate() {
            assert!(
                !marks.iter().any(|mark| line.contains(mark)),
                "{}:{}: {line}",
                source.display(),
                number + 1
            );
        }
    }
}

/// A dependency has the same requirement in each manifest. The crates of xtask repeat requirements, because xtask must
/// work in any workspace.
#[test]
fn a_dependency_has_one_requirement() {
    let mut seen = BTreeMap::<String, (String, PathBuf)>::new();
    let manifests = packages().into_iter().map(|package| package.join("Cargo.toml"));
    for manifest in manifests.chain([root().join("Cargo.toml")]) {
        let text = fs::read_to_string(&manifest).unwrap();
        let sections =
            text.split("\n[").filter(|section| section.split(']').next().unwrap().contains("dependencies"));
        for line in
            sections.flat_map(str::lines).filter(|line| !line.starts_with('#') && !line.contains("path = "))
        {
            let Some((name, requirement)) = line.split_once(" = ") else { continue };
            let first =
                seen.entry(name.to_owned()).or_insert_with(|| (requirement.to_owned(), manifest.clone()));
            assert_eq!(first.0, requirement, "{name} in {} and {}", first.1.display(), manifest.display());
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
}

#[test]
fn xtask_does_not_contain_the_name_of_the_service() {
    let settings = fs::read_to_string(root().join("xtask/image.toml")).unwrap();
    let package =
        settings.lines().find_map(|line| line.strip_prefix("package = ")).unwrap().trim_matches('"');
    for Source { package: own, path, code } in sources() {
        let words: BTreeSet<_> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        assert!(!words.contains(package), "{own}: {path} contains '{package}'");
    }
}

/// The names that follow `prefix` (`crate::` or `super::`) in `code`, also in groups.
fn names_after<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let name = |text: &'a str| text.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
    let mut names = Vec::new();
    for rest in code.split(prefix).skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            names.push(name(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' | ',' if depth == 0 => {
                    names.push(name(&group[start..at]));
                    start = at + 1;
                    if c == '}' {
                        break;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    names
}

#[test]
fn names_in_groups_of_imports_are_found() {
    let code = "use crate::{a, b::{c, d}, e};\nuse crate::f::g;";
    assert_eq!(names_after(code, "crate::"), ["a", "b", "e", "f"]);
}

/// Two modules of a package never import each other.
#[test]
fn no_two_modules_import_each_other() {
    let mut known = BTreeSet::new();
    for Source { package, path, code } in sources() {
        let module = path.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        let mut others = names_after(&code, "crate::");
        if !path.contains('/') {
            others.extend(names_after(&code, "super::"));
        }
        known.extend(others.into_iter().map(|other| (package.clone(), module.clone(), other.to_owned())));
    }
    let mutual: Vec<_> = known
        .iter()
        .filter(|(package, one, two)| {
            one < two && known.contains(&(package.clone(), two.clone(), one.clone()))
        })
        .collect();
    assert!(mutual.is_empty(), "{mutual:#?}");
}

/// `image-scan/src/lib.rs` lists the modules in order: each imports only modules above it. In `engines`, no engine imports
/// another one.
#[test]
fn modules_of_image_scan_import_only_modules_above_them() {
    let sources: Vec<_> = sources().into_iter().filter(|source| source.package == "image-scan").collect();
    let lib = sources.iter().find(|source| source.path == "lib.rs").unwrap();
    let order: Vec<_> =
        lib.code.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(order.len() >= 7, "{order:?}");
    let mut imports = 0;
    for Source { path, code, .. } in sources.iter().filter(|source| source.path != "lib.rs") {
        let module = path.split('/').next().unwrap().trim_end_matches(".rs");
        let own = order.iter().position(|name| *name == module).unwrap_or_else(|| panic!("{path}"));
        for other in names_after(code, "crate::") {
            let place =
                order.iter().position(|name| *name == other).unwrap_or_else(|| panic!("{path}: {other}"));
            assert!(place <= own, "{path} imports {other}, which is below {module} in lib.rs");
            imports += 1;
        }
        for (engine, other) in [("builtin", "trivy"), ("trivy", "builtin")] {
            let imports = code.contains(&format!("engines::{other}"))
                || code.contains(&format!("super::super::{other}"));
            assert!(!(path.starts_with(&format!("engines/{engine}/")) && imports), "{path} imports {other}");
        }
    }
    assert!(imports > 50, "{imports}");
}

/// `UPDATE_EXPECT=1` writes the diagram of the crates.
#[test]
fn the_documented_arrows_are_the_dependencies() {
    let mut diagram = "\n```mermaid\nflowchart TB\n".to_owned();
    for package in packages() {
        let text = fs::read_to_string(package.join("Cargo.toml")).unwrap();
        let name = package.file_name().unwrap().to_string_lossy();
        for line in text.lines().filter(|line| line.contains("{ path = ")) {
            diagram += &format!("  {name} --> {}\n", line.split(' ').next().unwrap());
        }
    }
    diagram += "```\n\n";
    check_diagram("crates", &diagram);
}

/// Compares what stands in docs/architecture.md between the marks `name` with a diagram, or writes it.
fn check_diagram(name: &str, diagram: &str) {
    static ONE_WRITER: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _writer = ONE_WRITER.lock();
    let path = root().join("docs/architecture.md");
    let text = fs::read_to_string(&path).unwrap();
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = text.split_once(&start).unwrap();
    let (drawn, after) = rest.split_once(&end).unwrap();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, format!("{before}{start}{diagram}{end}{after}")).unwrap();
    } else {
        assert_eq!(drawn, diagram, "UPDATE_EXPECT=1 cargo test -p xtask --test tidy writes it");
    }
}

/// `UPDATE_EXPECT=1` writes the diagram of the modules of `cargo-image`.
#[test]
fn the_documented_arrows_are_the_imports_of_modules() {
    let mut arrows = BTreeSet::new();
    for Source { package, path, code } in sources() {
        let module = path.split('/').next().unwrap().trim_end_matches(".rs");
        if package == "cargo-image" && path.contains('/') {
            let others = names_after(&code, "crate::").into_iter().filter(|other| *other != module);
            arrows.extend(others.map(|other| format!("  {module} --> {other}\n")));
        }
    }
    let arrows: Vec<_> = arrows.into_iter().collect();
    check_diagram("modules", &format!("\n```mermaid\nflowchart TB\n{}```\n\n", arrows.concat()));
}

/// Words that hide what a sentence means. CONTRIBUTING.md has the terms to use.
#[test]
fn documents_use_plain_words() {
    const WORDS: [&str; 12] = [
        "thereof",
        "nobody knows",
        "nobody hears",
        "gate said no",
        "gate says no",
        "mended",
        "stands on",
        "stand on itself",
        "held against",
        "that which",
        "what came of",
        "goes by the name",
    ];
    const FOLDERS: [&str; 6] = ["xtask/src", "xtask/crates", "xtask/tests/it", "gateway", "docs", ".github"];
    const FILES: [&str; 4] = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "xtask/image.toml"];
    let mut texts: Vec<_> = FILES.iter().map(|file| root().join(file)).collect();
    for folder in FOLDERS {
        files(&root().join(folder), &[".rs", ".md", ".yml", ".toml"], &mut texts);
    }
    let mut found = Vec::new();
    for path in texts {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let lower = line.to_lowercase();
            let words = WORDS.iter().filter(|word| lower.contains(*word));
            found.extend(words.map(|word| format!("{}:{}: '{word}'", path.display(), number + 1)));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_index_lists_every_document() {
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    let mut documents = Vec::new();
    files(&root().join("docs"), &[".md"], &mut documents);
    for document in documents {
        let name = document.file_name().unwrap().to_string_lossy().into_owned();
        let listed = name == "README.md" || index.contains(&format!("({name})"));
        assert!(listed, "docs/README.md does not list {name}");
    }
}

/// What both READMEs must say: code between backquotes, lines of code blocks other than diagrams, and numbers.
fn facts_of(readme: &str) -> Vec<String> {
    let mut facts = Vec::new();
    let mut block = None;
    for line in readme.lines() {
        if let Some(language) = line.strip_prefix("```") {
            block = if block.is_none() { Some(language) } else { None };
            continue;
        }
        match block {
            Some("mermaid") => {}
            Some(_) => facts.push(line.to_owned()),
            None => {
                facts.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
                let numbers = line.split(|letter: char| !letter.is_ascii_digit());
                facts.extend(numbers.filter(|number| !number.is_empty()).map(str::to_owned));
            }
        }
    }
    facts.sort();
    facts
}

#[test]
fn both_readmes_have_the_same_commands_and_numbers() {
    let read = |name: &str| facts_of(&fs::read_to_string(root().join(name)).unwrap());
    assert_eq!(read("README.md"), read("README.zh-CN.md"));
}

#[test]
fn children_are_started_in_one_place() {
    let elsewhere =
        |source: &Source| !(source.package == "cli-support" && source.path.starts_with("process/"));
    for Source { package, path, code } in sources().into_iter().filter(elsewhere) {
        for way in ["process::Command", "duct::"] {
            assert!(
                !code.contains(way),
                "{package}: {path} uses {way}; children are started by process::Cmd"
            );
        }
    }
}

#[test]
fn links_in_documents_have_a_target() {
    let mut documents = Vec::new();
    files(root(), &[".md"], &mut documents);
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            assert!(document.parent().unwrap().join(path).exists(), "{}: {link}", document.display());
        }
    }
}

/// `rust-version` of xtask's packages is at least that of every crate they use. What the code itself needs of the standard
/// library is checked by clippy (`incompatible_msrv`).
#[test]
fn the_declared_rust_version_is_not_below_that_of_a_dependency() {
    let output = std::process::Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let version = |text: &str| -> Vec<u64> { text.split('.').map(|part| part.parse().unwrap()).collect() };
    let packages: BTreeMap<_, _> =
        list(&metadata["packages"]).into_iter().map(|one| (text(&one["id"]), one)).collect();
    let nodes: BTreeMap<_, _> =
        list(&metadata["resolve"]["nodes"]).into_iter().map(|one| (text(&one["id"]), one)).collect();
    let own = packages.iter().find(|(_, package)| package["name"] == "cargo-image").unwrap();
    let declared = version(&text(&own.1["rust_version"]));
    let (mut waiting, mut seen) = (vec![own.0.clone()], BTreeSet::new());
    while let Some(id) = waiting.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let needs = text(&packages[&id]["rust_version"]);
        assert!(needs.is_empty() || version(&needs) <= declared, "{id} needs Rust {needs}");
        let is_used = |kind: &serde_json::Value| kind["kind"] != "dev";
        let used = list(&nodes[&id]["deps"]);
        let used = used.iter().filter(|one| list(&one["dep_kinds"]).iter().any(is_used));
        waiting.extend(used.map(|one| text(&one["pkg"])));
    }
    assert!(seen.len() > 50, "{}", seen.len());
}
