//! Commit, version and state of the source, from git.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use semver::{BuildMetadata, Prerelease, Version};

use crate::version::version_of_git;
use cli_support::error::Fault;
use cli_support::process::{Cmd, find};
use cli_support::threads::joined;

/// The state of the source. Without a repository everything is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitSource {
    /// The full commit hash.
    pub revision: Option<String>,
    /// Whether files differ from the commit.
    pub dirty: bool,
    /// SOURCE_DATE_EPOCH if set, else the commit's time, in seconds since 1970.
    pub time: u64,
    /// The nearest version tag before the commit, and the number of commits after it.
    pub nearest: Option<(Version, u64)>,
    /// Why everything is unknown.
    pub missing: Option<String>,
    /// The number of all commits if there is no version tag; none in a shallow clone.
    pub commits: Option<u64>,
    /// The repository's top folder.
    pub top: Option<PathBuf>,
    /// The files that differ from the commit, or that it does not have: at most `MAX_CHANGED`.
    pub changed: Vec<String>,
    /// Whether the clone is shallow.
    pub shallow: bool,
}

/// The most changed files that are named.
const MAX_CHANGED: usize = 5;

/// Defaults for user settings that change git's output.
const PLAIN: [&str; 7] = [
    "column.ui=never",
    "column.tag=never",
    "color.ui=never",
    "log.showSignature=false",
    "core.quotePath=true",
    "status.showUntrackedFiles=normal",
    "i18n.logOutputEncoding=UTF-8",
];

/// A git command in this folder, for parsing its output.
pub fn command(root: &Path) -> Cmd {
    let settings = PLAIN.iter().flat_map(|setting| ["-c", *setting]);
    // Without optional locks: reading must not write the index.
    Cmd::new("git")
        .arg("--no-pager")
        .args(settings)
        .dir(root)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .limit(Duration::from_mins(1))
}

impl GitSource {
    /// Reads the repository of `root`, if there is one. A repository that git refuses to read is an error: without its
    /// revision the image would have another digest. `run_for` is the tag of the CI run, if it is for one.
    pub fn read(root: &Path, run_for: Option<&str>, prefix: &str) -> Result<Self> {
        let mut source = Self::default();
        if !root.ancestors().any(|dir| dir.join(".git").exists()) {
            source.missing = Some("there is no git repository here".to_owned());
        } else if find("git").is_none() {
            source.missing = Some("git is not on PATH".to_owned());
        } else {
            source.ask(root, run_for, prefix)?;
        }
        if let Some(epoch) = std::env::var_os("SOURCE_DATE_EPOCH") {
            let text = epoch.to_string_lossy();
            let time = text.parse().ok().filter(|time| *time <= cli_support::time::LAST);
            source.time = time.ok_or_else(|| {
                Fault::usage(format!("SOURCE_DATE_EPOCH is '{text}', not a number of seconds since 1970"))
            })?;
        }
        Ok(source)
    }

    /// Runs git several times, in parallel.
    fn ask(&mut self, root: &Path, run_for: Option<&str>, prefix: &str) -> Result<()> {
        let run = |args: &[&str]| command(root).args(args.iter().copied()).read();
        let git = |args: &[&str]| run(args).ok();
        let (repository, tracked, changes, (nearest, commits), head) = std::thread::scope(|scope| {
            let repository =
                scope.spawn(|| run(&["rev-parse", "--is-shallow-repository", "--show-toplevel"]));
            let tracked = scope.spawn(|| git(&["ls-files", "--error-unmatch", crate::paths::settings()]));
            let changes = scope.spawn(|| git(&["status", "--porcelain"]));
            let place = scope.spawn(|| {
                let nearest = nearest(git, run_for, prefix);
                // Slow in a long history, and needed only without a tag.
                let count = nearest.is_none().then(|| git(&["rev-list", "--count", "HEAD"]));
                (nearest, count.flatten().and_then(|count| count.parse().ok()))
            });
            let head = match run(&["log", "-1", "--format=%H %ct"]) {
                Err(_) if git(&["rev-parse", "--verify", "--quiet", "HEAD"]).is_none() => None,
                head => Some(head),
            };
            (joined(repository), joined(tracked), joined(changes), joined(place), head)
        });
        let repository = repository.context(Fault::failed("git refuses to read this repository").hint(
            "git status says why; variables such as GIT_DIR and GIT_CONFIG_COUNT are not passed on to git",
        ))?;
        let mut answers = repository.lines();
        let shallow = answers.next() == Some("true");
        let commits: Option<u64> = if shallow { None } else { commits };
        self.top = answers.next().map(PathBuf::from);
        let head = match (head, tracked) {
            (Some(head), Some(_)) => head?,
            (None, _) => {
                self.missing = Some("there is no commit yet".to_owned());
                return Ok(());
            }
            // The outer repository ignores this folder.
            (Some(_), None) => {
                self.missing = Some(format!("git does not track {}", crate::paths::settings()));
                return Ok(());
            }
        };
        let (revision, time) = head.split_once(' ').unwrap_or_default();
        let hex = revision.len() >= 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        let time = time.parse().ok().filter(|_| hex);
        self.time = time
            .ok_or_else(|| Fault::failed(format!("git log answers '{head}', not a commit and its time")))?;
        self.revision = Some(revision.to_owned());
        self.dirty = changes.as_ref().is_none_or(|changes| !changes.is_empty());
        self.changed = changes.unwrap_or_default().lines().take(MAX_CHANGED).map(changed).collect();
        (self.nearest, self.commits, self.shallow) = (nearest, commits, shallow);
        Ok(())
    }

    /// A warning that names the files that make the version dirty. `root` is the workspace's.
    pub fn dirt(&self) -> Option<String> {
        let more = if self.changed.len() == MAX_CHANGED { ", …" } else { "" };
        self.dirty.then(|| {
            format!(
                "files differ from the commit, which the version says (.dirty): {}{more}; commit them, or list files that \
                 git does not track in .gitignore",
                self.changed.join(", ")
            )
        })
    }

    /// A warning that the version may be wrong.
    pub fn doubt(&self) -> Option<&'static str> {
        let is_tagged = self.nearest.as_ref().is_some_and(|(_, ahead)| *ahead == 0);
        (self.shallow && !is_tagged).then_some(
            "this clone is shallow: version tags and commits are missing, and the version may be wrong; \
             in a workflow give actions/checkout 'fetch-depth: 0', elsewhere git fetch --unshallow --tags",
        )
    }

    /// The commit hash, with a mark if files differ from it.
    pub fn revision(&self) -> Option<String> {
        let mark = if self.dirty { "-dirty" } else { "" };
        self.revision.as_ref().map(|revision| format!("{revision}{mark}"))
    }

    /// The version tag on this commit; else the next patch version with `-dev.N+gSHA`, N commits after the nearest tag, or
    /// after the first commit; without git the crate's version.
    pub fn version(&self, of_crate: &Version) -> Version {
        let Some(revision) = &self.revision else { return of_crate.clone() };
        let (mut version, ahead) = match &self.nearest {
            Some((tagged, 0)) if !self.dirty => return tagged.clone(),
            Some((tagged, ahead)) => (tagged.clone(), Some(*ahead)),
            None => (of_crate.clone(), self.commits),
        };
        if self.nearest.is_some() && version.pre.is_empty() {
            version.patch = version.patch.saturating_add(1);
        }
        // Cargo.toml already has the next version.
        if version < *of_crate {
            version = Version { build: BuildMetadata::EMPTY, ..of_crate.clone() };
        }
        let count = ahead.map_or_else(String::new, |ahead| format!(".{ahead}"));
        let before = if version.pre.is_empty() { String::new() } else { format!("{}.", version.pre) };
        let mark = if self.dirty { ".dirty" } else { "" };
        let short = &revision[..revision.len().min(7)];
        // Both have only characters that semver allows, so the default is never used.
        version.pre = Prerelease::new(&format!("{before}dev{count}")).unwrap_or_default();
        version.build = BuildMetadata::new(&format!("g{short}{mark}")).unwrap_or_default();
        version
    }
}

/// The file of a line of `git status --porcelain`.
fn changed(line: &str) -> String {
    match line.trim_start().split_once(' ') {
        Some(("??", path)) => format!("{path} (not tracked)"),
        Some((_, path)) => path.trim_start().to_owned(),
        None => line.to_owned(),
    }
}

/// The nearest version tag before the commit, and the number of commits after it. Of several tags on one commit it is
/// `wanted`, else the highest.
fn nearest(
    git: impl Fn(&[&str]) -> Option<String>,
    wanted: Option<&str>,
    prefix: &str,
) -> Option<(Version, u64)> {
    let version_of = |tag: &str| version_of_git(tag, prefix);
    let on = |commit: &str| {
        let tags = git(&["tag", "--points-at", commit])?;
        let wanted = wanted.filter(|wanted| tags.lines().any(|tag| tag == *wanted)).and_then(version_of);
        wanted.or_else(|| tags.lines().filter_map(version_of).max())
    };
    if let Some(version) = on("HEAD") {
        return Some((version, 0));
    }
    // `git describe` would stop at tags that only look like versions.
    let names = ["v[0-9]*", "[0-9]*"].map(|name| format!("{prefix}{name}"));
    let below = git(&["tag", "--merged", "HEAD", "--list", &names[0], &names[1]])?;
    let (versions, others): (Vec<_>, Vec<_>) = below.lines().partition(|tag| version_of(tag).is_some());
    if versions.is_empty() {
        return None;
    }
    let others: Vec<_> = others.into_iter().map(|tag| format!("--exclude={tag}")).collect();
    let mut args =
        vec!["describe", "--tags", "--long", "--abbrev=7", "--match", &names[0], "--match", &names[1]];
    args.extend(others.iter().map(String::as_str));
    let described = git(&args)?;
    let (tag, ahead) = parse_describe(&described)?;
    Some((on(&format!("refs/tags/{tag}^{{commit}}"))?, ahead))
}

/// Parses `v1.2.3-4-gabcdef0`: tag, commits after it, commit.
fn parse_describe(text: &str) -> Option<(&str, u64)> {
    let (rest, _) = text.rsplit_once("-g")?;
    let (tag, ahead) = rest.rsplit_once('-')?;
    Some((tag, ahead.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let of_crate = Version::new(0, 1, 0);
        let at = |described: &str, dirty, commits| {
            let source = GitSource {
                revision: Some("0123456789abcdef".to_owned()),
                dirty,
                nearest: parse_describe(described)
                    .and_then(|(tag, ahead)| Some((version_of_git(tag, "")?, ahead))),
                commits,
                ..GitSource::default()
            };
            source.version(&of_crate).to_string()
        };
        for (described, dirty, commits, expected) in [
            ("v1.2.3-0-gabc", false, None, "1.2.3"),
            ("v1.2.3-0-gabc", true, None, "1.2.4-dev.0+g0123456.dirty"),
            ("v1.2.3-4-gabc", false, None, "1.2.4-dev.4+g0123456"),
            ("v2.0.0-rc.1-4-gabc", false, None, "2.0.0-rc.1.dev.4+g0123456"),
            ("", false, Some(9), "0.1.0-dev.9+g0123456"),
            ("", true, None, "0.1.0-dev+g0123456.dirty"),
            ("v1-0-gabc", false, Some(1), "0.1.0-dev.1+g0123456"),
            ("v0.0.9-2-gabc", false, None, "0.1.0-dev.2+g0123456"),
        ] {
            assert_eq!(at(described, dirty, commits), expected, "{described}");
        }
        assert_eq!(GitSource::default().version(&of_crate), of_crate);
    }
}
