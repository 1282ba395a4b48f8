//! C code in the image: which linked crates compile it, and what their build scripts link.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use cargo_metadata::{Message, Metadata};
use cli_support::error::Fault;

use crate::settings::BuildSettings;

/// Build dependencies that compile or find C libraries.
const C_BUILDERS: [&str; 7] = ["cc", "cmake", "gcc", "meson-next", "pkg-config", "system-deps", "vcpkg"];

/// A linked crate whose build script can compile C.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The build dependency that compiles or finds C.
    pub by: String,
    /// The path from the image's package to it.
    pub path: String,
}

/// The linked crates that can compile C. `tree` lists normal and build dependencies, `linked` normal ones alone: a crate that
/// only a build script uses is compiled for the build machine.
pub fn suspects(tree: &str, linked: &str) -> Vec<Suspect> {
    let (linked, edges) = edges(linked);
    let mut path: Vec<(&str, &str)> = Vec::new();
    let mut found = BTreeMap::new();
    for (depth, name, version) in tree.lines().filter_map(entry) {
        path.truncate(depth);
        if let Some(&above) = path.last()
            && C_BUILDERS.contains(&name)
            && linked.contains(&above)
            && !edges.contains(&(above, (name, version)))
        {
            let names: Vec<_> = path.iter().map(|(name, _)| *name).collect();
            let suspect = Suspect {
                name: above.0.to_owned(),
                version: above.1.trim_start_matches('v').to_owned(),
                by: name.to_owned(),
                path: names.join(" > "),
            };
            found.entry(above).or_insert(suspect);
        }
        path.push((name, version));
    }
    found.into_values().collect()
}

type Krate<'t> = (&'t str, &'t str);

/// The crates of a tree, and each pair of a crate and its dependency.
fn edges(tree: &str) -> (BTreeSet<Krate<'_>>, BTreeSet<(Krate<'_>, Krate<'_>)>) {
    let (mut path, mut crates, mut edges) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (depth, name, version) in tree.lines().filter_map(entry) {
        path.truncate(depth);
        edges.extend(path.last().map(|&above| (above, (name, version))));
        crates.insert((name, version));
        path.push((name, version));
    }
    (crates, edges)
}

/// Depth, name and version of a line of `cargo tree --prefix depth`.
fn entry(line: &str) -> Option<(usize, &str, &str)> {
    let mut words = line.split(' ');
    Some((words.next()?.parse().ok()?, words.next()?, words.next()?))
}

/// Those that certainly link a C library: their manifest has `links` (the Cargo Book, "The links Field").
pub fn certain<'a>(suspects: &'a [Suspect], metadata: &Metadata) -> Vec<&'a Suspect> {
    let has_links = |suspect: &&Suspect| {
        metadata.packages.iter().any(|package| {
            package.name == suspect.name
                && package.version.to_string() == suspect.version
                && package.links.is_some()
        })
    };
    suspects.iter().filter(has_links).collect()
}

/// The error for crates with C code.
pub fn refused(crates: &[&Suspect], package: &str, triple: &str) -> Fault {
    let places: Vec<_> = crates.iter().map(|one| format!("{} ({})", one.path, one.by)).collect();
    let names: Vec<_> = crates.iter().map(|one| one.name.as_str()).collect();
    let what = match names[..] {
        [one] => format!("the crate {one} compiles or looks for C"),
        _ => format!("{} crates compile or look for C: {}", names.len(), names.join(", ")),
    };
    let first = names.first().copied().unwrap_or_default();
    Fault::failed(what).at(places.join(", ")).hint(format!(
        "choose a crate or a feature in pure Rust; this shows who asks for it: cargo tree --package {package} --edges \
         normal,build --target {triple} --invert {first}\nor compile C too: [build] c = \"zig\" in {file}\nor, if it links \
         nothing: allow-c = [{list}] in [build]",
        file = crate::settings::file(),
        list = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "),
    ))
}

/// Native libraries that build scripts of the targets linked, by crate. `messages` is the output of `cargo build --message-format json`.
pub fn linked_libraries(messages: &[u8], triples: &[&str]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in Message::parse_stream(messages) {
        let Message::BuildScriptExecuted(script) = message.context("a message of cargo")? else { continue };
        // The output folder of a crate for the build machine has no target in its path.
        let is_target = script.out_dir.components().any(|part| triples.contains(&part.as_str()));
        if is_target && !script.linked_libs.is_empty() {
            let libraries = script.linked_libs.iter().map(ToString::to_string);
            found.entry(name_of(&script.package_id.repr).to_owned()).or_default().extend(libraries);
        }
    }
    Ok(found)
}

/// The name in a package's id: `registry+https://…#ring@0.17.14`, `path+file:///ws/app#0.1.0`.
fn name_of(id: &str) -> &str {
    let (place, fragment) = id.rsplit_once('#').unwrap_or(("", id));
    match fragment.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next().unwrap_or(fragment),
    }
}

/// An error where a crate outside of the list linked a library.
pub fn check_linked(
    libraries: &BTreeMap<String, Vec<String>>,
    settings: &BuildSettings,
) -> Result<(), Fault> {
    let wrong = libraries.iter().filter(|(name, _)| !settings.allow_c.contains(name));
    let wrong: Vec<_> = wrong.map(|(name, list)| format!("{name} ({})", list.join(", "))).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Fault::failed(format!("build scripts link C libraries into the image: {}", wrong.join(", ")))
        .hint(format!("[build] in {}: c = \"zig\", or the crates in allow-c", crate::settings::file())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_linked_crates_are_suspects() {
        let tree = "0 app v0.1.0 (/ws/app)\n1 rustls v0.23.0\n2 ring v0.17.14\n3 cc v1.2.0\n4 shlex v1.3.0\n\
                    1 blake3 v1.8.0\n2 cc v1.2.0 (*)\n1 embed v1.0.0\n2 zstd-sys v2.0.0\n3 cc v1.2.0 (*)\n3 pkg-config v0.3.0\n";
        let linked = "0 app v0.1.0 (/ws/app)\n1 rustls v0.23.0\n2 ring v0.17.14\n1 blake3 v1.8.0\n";
        let found = suspects(tree, linked);
        let shown: Vec<_> = found.iter().map(|one| format!("{} {}", one.path, one.by)).collect();
        assert_eq!(shown, ["app > blake3 cc", "app > rustls > ring cc"]);
        let all: Vec<_> = found.iter().collect();
        let fault = refused(&all, "app", "x86_64-unknown-linux-musl");
        assert!(fault.to_string().contains("2 crates compile or look for C: blake3, ring"), "{fault}");
        // cc as a library of the program is no build script.
        let tool = "0 app v1.0.0\n1 cc v1.2.0\n";
        assert!(suspects(tool, tool).is_empty());
    }

    #[test]
    fn libraries_of_the_build_machine_do_not_count() {
        let script = |id: &str, dir: &str, library: &str| {
            serde_json::json!({
                "reason": "build-script-executed", "package_id": id, "linked_libs": [library],
                "linked_paths": [], "cfgs": [], "env": [], "out_dir": dir,
            })
        };
        let messages = [
            script(
                "registry+https://x#ring@0.17.14",
                "/t/x86_64-unknown-linux-musl/release/build/ring-1/out",
                "static=ring",
            ),
            script("registry+https://x#zstd-sys@2.0.0", "/t/release/build/zstd-sys-1/out", "static=zstd"),
            script(
                "path+file:///ws/app#0.1.0",
                "/t/x86_64-unknown-linux-musl/release/build/app-1/out",
                "static=own",
            ),
        ];
        let messages = messages.map(|message| message.to_string()).join("\n");
        let found = linked_libraries(messages.as_bytes(), &["x86_64-unknown-linux-musl"]).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["app", "ring"]);
        let allow = |names: &[&str]| BuildSettings {
            allow_c: names.iter().map(|&name| name.to_owned()).collect(),
            ..BuildSettings::default()
        };
        assert!(check_linked(&found, &allow(&["app", "ring"])).is_ok());
        let fault = check_linked(&found, &allow(&["app"])).unwrap_err();
        assert!(fault.to_string().contains("ring (static=ring)"), "{fault}");
    }
}
