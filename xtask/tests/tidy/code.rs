//! Rules of the source: dependencies, modules, and the diagrams that are drawn from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use super::{Source, files, packages, root, sources};

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

/// Each command is one file or folder in `commands/`, named as on the command line. `SHARED` are parts of several commands,
/// and the commands of a workspace's settings.
#[test]
fn each_command_has_a_file_of_its_name() {
    const SHARED: [&str; 3] = ["build_flags", "target", "workspace"];
    let src = root().join("xtask/crates/cargo-image/src");
    let lib = fs::read_to_string(src.join("lib.rs")).unwrap();
    let (_, variants) = lib.split_once("enum Command {\n").unwrap();
    let variants = variants.split('}').next().unwrap().lines().filter_map(|line| line.split_once('('));
    let mut expected: Vec<_> = variants.map(|(name, _)| name.trim().to_lowercase()).collect();
    expected.extend(SHARED.map(str::to_owned));
    expected.sort();
    let mut found = Vec::new();
    for entry in fs::read_dir(src.join("commands")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(path.is_file() || path.join("mod.rs").exists(), "{} has no mod.rs", path.display());
        found.extend((name != "mod").then_some(name));
    }
    found.sort();
    assert_eq!(found, expected, "files in commands/, and the commands in lib.rs");
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
