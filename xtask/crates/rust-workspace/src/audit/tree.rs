//! Parses the output of `cargo tree --prefix depth`.

use std::collections::BTreeMap;

use semver::Version;

use super::{Crate, DependencyKind};
use cli_support::error::Fault;

/// Parses lines such as `2 bytes v1.12.2 (*)`: depth, name, version, and the source if it is not crates.io. The list is
/// sorted by name, version and source.
pub(super) fn read(text: &str) -> Result<Vec<Crate>, Fault> {
    let mut crates: BTreeMap<Key, Vec<Key>> = BTreeMap::new();
    let mut path: Vec<Key> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let not_read = || Fault::failed(format!("cannot parse a line of cargo tree: '{line}'"));
        let (depth, key) = key(line).ok_or_else(not_read)?;
        if depth > path.len() {
            return Err(not_read());
        }
        path.truncate(depth);
        if let Some(above) = path.last() {
            let below = crates.entry(above.clone()).or_default();
            if !below.contains(&key) {
                below.push(key.clone());
            }
        }
        crates.entry(key.clone()).or_default();
        path.push(key);
    }
    let Some(root) = path.first() else { return Err(Fault::failed("cargo tree lists no crate")) };
    let places: BTreeMap<_, _> = crates.keys().zip(0..).collect();
    let list = crates.iter().map(|(key, below)| {
        let mut dependencies: Vec<_> = below.iter().filter_map(|key| places.get(key).copied()).collect();
        dependencies.sort_unstable();
        let (name, version, source) = key.clone();
        Crate {
            name,
            version,
            source: source.to_owned(),
            kind: DependencyKind::Runtime,
            dependencies,
            root: key == root,
        }
    });
    Ok(list.collect())
}

type Key = (String, Version, &'static str);

fn key(line: &str) -> Option<(usize, Key)> {
    let (depth, rest) = line.split_once(' ')?;
    let (name, rest) = rest.split_once(' ')?;
    let (version, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let version = Version::parse(version.strip_prefix('v')?).ok()?;
    // `(*)` marks a crate that was listed before; its dependencies are not listed again.
    let source = match rest.trim_end_matches("(*)").trim() {
        "" => "crates.io",
        text if text.starts_with("(registry ") => "registry",
        text if text.contains("://") => "git",
        _ => "local",
    };
    Some((depth.parse().ok()?, (name.to_owned(), version, source)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_edges() {
        let text = "\
0 app v0.1.0 (/ws/app)
1 own v1.0.0 (registry `mine`)
2 libc v0.2.1
1 git v1.0.0-rc.1 (https://example.org/x?rev=1#abcdef)
2 own v1.0.0 (registry `mine`) (*)
2 libc v0.2.1
";
        let crates = read(text).unwrap();
        let shown: Vec<_> = crates
            .iter()
            .map(|c| format!("{} {} {} {:?} {}", c.name, c.version, c.source, c.dependencies, c.root))
            .collect();
        let expected = [
            "app 0.1.0 local [1, 3] true",
            "git 1.0.0-rc.1 git [2, 3] false",
            "libc 0.2.1 crates.io [] false",
            "own 1.0.0 registry [2] false",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn malformed_cargo_tree_output_is_an_error() {
        for text in [
            "",
            "0 app",
            "0 app 1.0.0",
            "x app v1.0.0",
            "1 app v1.0.0",
            "0 app v1.0.0\n2 b v1.0.0",
            "0 app vx",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
