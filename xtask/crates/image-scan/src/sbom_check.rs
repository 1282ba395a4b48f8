//! Whether the list that a program carries is the one that this workspace's source gives. A list is easily
//! written by hand, and one without the bad crates would pass every other check.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::inventory::Inventory;
use cli_support::error::Fault;
use oci_image::platform::Platform;
use rust_workspace::audit::Audit;
use rust_workspace::binary::linked;

/// What decides which crates are linked, as git's pathspecs.
const DECIDES: [&str; 3] = ["Cargo.lock", ":(glob)**/Cargo.toml", ".cargo"];

/// The workspace's program, as it should be in an image.
#[derive(Clone, Debug)]
pub struct Own {
    /// The package that it is of.
    pub package: String,
    /// The title of its images (image-spec annotations.md).
    pub title: String,
    /// Its path in the image.
    pub path: String,
    /// Whether the image was made here (`target/image`).
    pub here: bool,
}

/// What the list of a platform is worth.
#[derive(Debug)]
pub enum SbomCheck {
    /// The source gives the same list.
    Verified,
    /// Nobody here can say, and why.
    Unverified(String),
    /// It is of this source, which gives another list.
    Mismatch(Fault),
}

impl SbomCheck {
    /// One word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unverified(_) => "unverified",
            Self::Mismatch(_) => "mismatch",
        }
    }
}

/// Why a list that differs proves nothing; none where it proves that the list is wrong: where the image's
/// commit has the same Cargo.lock and manifests as are here. `same` says that of a commit, or that nobody
/// knows it.
///
/// An image that was made `here` is of the files that are here, whatever it says: one that differs is old, or
/// somebody else's. Only a commit of before, with other manifests, explains another list.
fn doubt(revision: Option<&str>, here: bool, same: impl Fn(&str) -> Option<bool>) -> Option<String> {
    let Some(name) = revision else {
        return (!here).then(|| "the image names no commit that it was made from".to_owned());
    };
    if name.ends_with("-dirty") {
        return (!here).then(|| "the image was made from files that differ from their commit".to_owned());
    }
    match same(name) {
        Some(true) => None,
        Some(false) => {
            Some("Cargo.lock or a Cargo.toml is not the one of the commit that the image is of".to_owned())
        }
        None if here => None,
        None => Some(format!("the image is of {}, which is no commit of this workspace", short(name))),
    }
}

/// Whether the files of these pathspecs are here as they are in a commit; none where git does not know the
/// commit.
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

/// Holds the list of a platform's program against what cargo says is linked.
pub fn compare(root: &Path, own: &Own, inventory: &Inventory) -> Result<SbomCheck> {
    let doubt = doubt(revision(inventory), own.here, |commit| same_as(root, commit, &DECIDES));
    if let Some(why) = doubt.as_ref().filter(|_| !own.here) {
        return Ok(SbomCheck::Unverified(why.clone()));
    }
    let spec = &inventory.image.platform;
    let path = inventory.rootfs.resolve(&own.path).map(|(path, _)| format!("/{path}"));
    let audit = inventory.audited().find(|(program, _)| Some(&program.path) == path.as_ref());
    let platform = Platform::ALL.into_iter().find(|platform| spec.is(*platform));
    let (Some((program, listed)), Some(platform)) = (audit, platform) else {
        return Ok(SbomCheck::Unverified(format!("there is no program with a list at {}", own.path)));
    };
    let mut first = None;
    // Where musl's target could not be added, the machine's own one was built.
    for triple in [platform.musl_target(), platform.gnu_target()] {
        let audit = Audit::of_tree(&linked(root, &own.package, triple).read()?)?;
        let differs = difference(listed, &audit);
        match differs {
            None => return Ok(SbomCheck::Verified),
            Some(what) => drop(first.get_or_insert(what)),
        }
    }
    let what = first.unwrap_or_default();
    Ok(match doubt {
        Some(why) => SbomCheck::Unverified(format!("{why}, and its list is another: {what}")),
        None => SbomCheck::Mismatch(
            Fault::gate(format!("the program's list is not the one that its source gives: {what}"))
                .at(format!("{spec} {}", program.path))
                .hint(
                    "cargo xtask image makes it anew; if the list stays another, somebody wrote it by hand",
                ),
        ),
    })
}

fn revision(inventory: &Inventory) -> Option<&str> {
    inventory.image.config.pointer("/config/Labels/org.opencontainers.image.revision")?.as_str()
}

/// The crates that only one of two lists has, in words; none where both have the same.
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
        side("it lacks", linked.difference(&listed).collect()),
        side("nothing links", listed.difference(&linked).collect()),
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
    fn crates_that_one_list_alone_has_are_named() {
        let audit = |text: &str| Audit::of_tree(text).unwrap();
        let linked = audit("0 app v0.1.0 (/ws)\n1 h2 v0.3.0\n1 bytes v1.0.0\n");
        assert_eq!(difference(&linked, &linked), None);
        for (listed, expected) in [
            ("0 app v0.1.0 (/ws)\n1 bytes v1.0.0\n", "it lacks h2 0.3.0 (crates.io)"),
            (
                "0 app v0.1.0 (/ws)\n1 h2 v0.4.0\n1 bytes v1.0.0\n",
                "it lacks h2 0.3.0 (crates.io); nothing links h2 0.4.0 (crates.io)",
            ),
            (
                "0 app v0.1.0 (/ws)\n1 h2 v0.3.0\n1 bytes v1.0.0 (/ws/b)\n",
                "it lacks bytes 1.0.0 (crates.io); nothing links bytes 1.0.0 (local)",
            ),
        ] {
            assert_eq!(difference(&audit(listed), &linked).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_difference_counts_where_the_source_is_the_images() {
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
