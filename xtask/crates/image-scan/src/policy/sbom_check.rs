//! Compares the list of crates in a program with the list that this workspace's source gives. A list written by hand,
//! without the vulnerable crates, would pass every other check.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::image::inventory::Inventory;
use cli_support::error::Fault;
use oci_image::platform::Platform;
use rust_workspace::audit::Audit;
use rust_workspace::binary::Build;

/// The files that determine which crates are linked, as git pathspecs.
fn manifests() -> [&'static str; 4] {
    ["Cargo.lock", ":(glob)**/Cargo.toml", ".cargo", rust_workspace::settings::file()]
}

/// The workspace's program in an image.
#[derive(Clone, Debug)]
pub struct OwnProgram {
    /// The cargo build of this workspace: package, features and conditions.
    pub build: Build,
    /// The title of the images (image-spec annotations.md).
    pub title: String,
    /// Its path in the image.
    pub path: String,
    /// Whether the image is `target/image`, built from the files in this workspace.
    pub here: bool,
}

/// The result of the comparison.
#[derive(Debug)]
pub enum SbomCheck {
    /// The source gives the same list.
    Verified,
    /// The lists cannot be compared, and why.
    Unverified(String),
    /// The image is built from this source, but the lists differ.
    Mismatch(Fault),
}

impl SbomCheck {
    /// The word in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unverified(_) => "unverified",
            Self::Mismatch(_) => "mismatch",
        }
    }
}

/// Why the lists may differ; none where a difference is a mismatch. `same` tells whether a commit has the same manifests
/// as the working tree, and gives none for an unknown commit.
///
/// An image that was built `here` is compared with the working tree; its label does not matter. Only a known commit with
/// other manifests explains a difference.
fn doubt(revision: Option<&str>, here: bool, same: impl Fn(&str) -> Option<bool>) -> Option<String> {
    let Some(name) = revision else {
        return (!here).then(|| "the image has no label with its commit".to_owned());
    };
    if name.ends_with("-dirty") {
        return (!here).then(|| "the image was built with uncommitted changes".to_owned());
    }
    match same(name) {
        Some(true) => None,
        Some(false) => Some("Cargo.lock or a Cargo.toml differs from the image's commit".to_owned()),
        None if here => None,
        None => Some(format!("the image's commit {} is not in this repository", short(name))),
    }
}

/// Whether the files of these pathspecs are the same in the working tree and in a commit; none for an unknown commit.
fn same_as(root: &Path, revision: &str, paths: &[&str]) -> Option<bool> {
    if revision.len() < 40 || !revision.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let git = |args: &[&str]| rust_workspace::git::command(root).args(args.iter().copied());
    if !git(&["cat-file", "-e", &format!("{revision}^{{commit}}")]).succeeds() {
        return None;
    }
    let same = git(&["diff", "--quiet", revision, "--"]).args(paths.iter().copied()).succeeds();
    let untracked =
        git(&["ls-files", "--others", "--exclude-standard", "--"]).args(paths.iter().copied()).read();
    Some(same && untracked.is_ok_and(|names| names.is_empty()))
}

fn short(revision: &str) -> String {
    revision.chars().take(12).collect()
}

/// Compares the list in a platform's program with the answer of `cargo tree`.
pub fn compare(root: &Path, own: &OwnProgram, inventory: &Inventory) -> Result<SbomCheck> {
    let doubt = doubt(revision(inventory), own.here, |commit| same_as(root, commit, &manifests()));
    if let Some(why) = doubt.as_ref().filter(|_| !own.here) {
        return Ok(SbomCheck::Unverified(why.clone()));
    }
    let spec = &inventory.image.platform;
    let path = inventory.rootfs.resolve(&own.path).map(|(path, _)| format!("/{path}"));
    let audit = inventory.audited().find(|(program, _)| Some(&program.path) == path.as_ref());
    let platform = Platform::ALL.into_iter().find(|platform| spec.is(*platform));
    let (Some((program, listed)), Some(platform)) = (audit, platform) else {
        return Ok(SbomCheck::Unverified(format!("no program with a list of crates at {}", own.path)));
    };
    let mut first = None;
    // Without the musl target, the image was built for the GNU target.
    for triple in [platform.musl_target(), platform.gnu_target()] {
        let audit = Audit::of_tree(&own.build.linked(&[triple]).read()?)?;
        let differs = difference(listed, &audit);
        match differs {
            None => return Ok(SbomCheck::Verified),
            Some(what) => drop(first.get_or_insert(what)),
        }
    }
    let what = first.unwrap_or_default();
    Ok(match doubt {
        Some(why) => SbomCheck::Unverified(format!("{why}, and the lists differ: {what}")),
        None => SbomCheck::Mismatch(
            Fault::gate(format!("the program's list of crates differs from its source: {what}"))
                .at(format!("{spec} {}", program.path))
                .hint(
                    "build it again with cargo xtask image; a list that still differs was edited \
                       by hand, or built with --features that scan was not given",
                ),
        ),
    })
}

fn revision(inventory: &Inventory) -> Option<&str> {
    inventory.image.config.pointer("/config/Labels/org.opencontainers.image.revision")?.as_str()
}

/// The crates that only one of two lists has; none where the lists are equal.
fn difference(listed: &Audit, linked: &Audit) -> Option<String> {
    let names = |audit: &Audit| {
        let name =
            |one: &rust_workspace::audit::Crate| format!("{} {} ({})", one.name, one.version, one.source);
        audit.linked().map(name).collect::<BTreeSet<_>>()
    };
    let (listed, linked) = (names(listed), names(linked));
    let side = |what: &str, names: Vec<&String>| {
        let shown: Vec<_> = names.iter().take(5).map(|name| name.as_str()).collect();
        let more = if names.len() > shown.len() {
            format!(" and {} more", names.len() - shown.len())
        } else {
            String::new()
        };
        (!names.is_empty()).then(|| format!("{what} {}{more}", shown.join(", ")))
    };
    let parts: Vec<_> = [
        side("the list lacks", linked.difference(&listed).collect()),
        side("the list adds", listed.difference(&linked).collect()),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let audit = |text: &str| Audit::of_tree(text).unwrap();
        let linked = audit("0 app v0.1.0 (/ws)\n1 h2 v0.3.0\n1 bytes v1.0.0\n");
        assert_eq!(difference(&linked, &linked), None);
        for (listed, expected) in [
            ("0 app v0.1.0 (/ws)\n1 bytes v1.0.0\n", "the list lacks h2 0.3.0 (crates.io)"),
            (
                "0 app v0.1.0 (/ws)\n1 h2 v0.4.0\n1 bytes v1.0.0\n",
                "the list lacks h2 0.3.0 (crates.io); the list adds h2 0.4.0 (crates.io)",
            ),
            (
                "0 app v0.1.0 (/ws)\n1 h2 v0.3.0\n1 bytes v1.0.0 (/ws/b)\n",
                "the list lacks bytes 1.0.0 (crates.io); the list adds bytes 1.0.0 (local)",
            ),
        ] {
            assert_eq!(difference(&audit(listed), &linked).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_difference_is_a_mismatch_for_the_same_source() {
        for (revision, same, counts, here) in [
            (Some("abc"), Some(true), true, true),
            (Some("abc"), Some(false), false, false),
            (Some("abc"), None, false, true),
            (Some("abc-dirty"), Some(true), false, true),
            (Some("abc-dirty"), None, false, true),
            (None, Some(true), false, true),
        ] {
            for (made_here, counts) in [(false, counts), (true, here)] {
                let doubt = doubt(revision, made_here, |_| same);
                assert_eq!(doubt.is_none(), counts, "{revision:?} {same:?} {made_here}");
            }
        }
    }
}
