//! What git knows of the source that an image is made from.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use semver::{BuildMetadata, Prerelease, Version};

use crate::version::version_of;
use cli_support::error::Fault;
use cli_support::process::{Cmd, find};
use cli_support::threads::joined;

/// The source's place in history. Without a repository all of it is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitSource {
    /// The commit, in full.
    pub revision: Option<String>,
    /// Whether files differ from that commit.
    pub dirty: bool,
    /// The commit's time, in seconds since 1970; SOURCE_DATE_EPOCH where that is set.
    pub time: u64,
    /// The version tag nearest below the commit, and the number of commits since.
    pub nearest: Option<(Version, u64)>,
    /// Why nothing is known, where nothing is.
    pub missing: Option<String>,
    /// Commits in all, where no version tag is below; none where the clone is shallow and cannot count.
    pub commits: Option<u64>,
    /// Whether history is cut off somewhere below the commit.
    pub shallow: bool,
}

/// Settings of people that change what git prints or counts, as they are where nobody has set them.
const PLAIN: [&str; 6] = [
    "column.ui=never",
    "column.tag=never",
    "color.ui=never",
    "log.showSignature=false",
    "core.quotePath=true",
    "status.showUntrackedFiles=normal",
];

/// Git in this folder, whose output is read by a program.
pub fn command(root: &Path) -> Cmd {
    let settings = PLAIN.iter().flat_map(|setting| ["-c", *setting]);
    // A look must not write the index, nor meet the lock of somebody who does.
    Cmd::new("git")
        .arg("--no-pager")
        .args(settings)
        .dir(root)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .limit(Duration::from_mins(1))
}

impl GitSource {
    /// Reads the repository that tracks `root`, if there is one. A repository that git refuses to read
    /// is an error: the image would lose its revision and get another digest in silence. `run_for` is the tag
    /// that this run is for, where it is for one.
    pub fn read(root: &Path, run_for: Option<&str>) -> Result<Self> {
        let mut source = Self::default();
        if !root.ancestors().any(|dir| dir.join(".git").exists()) {
            source.missing = Some("there is no git repository here".to_owned());
        } else if find("git").is_none() {
            source.missing = Some("git is not on PATH".to_owned());
        } else {
            source.ask(root, run_for)?;
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

    /// Asks git; what does not hang on each other is asked at the same time.
    fn ask(&mut self, root: &Path, run_for: Option<&str>) -> Result<()> {
        let run = |args: &[&str]| command(root).args(args.iter().copied()).read();
        let git = |args: &[&str]| run(args).ok();
        let repository = run(&["rev-parse", "--git-dir", "--is-shallow-repository"])
            .context(Fault::failed("git refuses to read this repository").hint(
            "git status says why; variables such as GIT_DIR and GIT_CONFIG_COUNT are not passed on to git",
        ))?;
        let shallow = repository.lines().last() == Some("true");
        let (tracked, changes, (nearest, commits), head) = std::thread::scope(|scope| {
            let tracked = scope.spawn(|| git(&["ls-files", "--error-unmatch", crate::paths::SETTINGS]));
            let changes = scope.spawn(|| git(&["status", "--porcelain"]));
            let place = scope.spawn(|| {
                let nearest = nearest(git, run_for);
                // Counted over all of history, and needed where no tag begins the count.
                let count = (!shallow && nearest.is_none()).then(|| git(&["rev-list", "--count", "HEAD"]));
                (nearest, count.flatten().and_then(|count| count.parse().ok()))
            });
            let head = git(&["rev-parse", "--verify", "--quiet", "HEAD"]);
            let head = head.map(|_| run(&["log", "-1", "--format=%H %ct"]));
            (joined(tracked), joined(changes), joined(place), head)
        });
        let head = match (head, tracked) {
            (Some(head), Some(_)) => head?,
            (None, _) => {
                self.missing = Some("there is no commit yet".to_owned());
                return Ok(());
            }
            // A folder that a repository around it ignores has nothing to do with that repository.
            (Some(_), None) => {
                self.missing = Some(format!("git does not track {}", crate::paths::SETTINGS));
                return Ok(());
            }
        };
        let (revision, time) = head.split_once(' ').unwrap_or_default();
        let hex = revision.len() >= 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        let time = time.parse().ok().filter(|_| hex);
        self.time = time
            .ok_or_else(|| Fault::failed(format!("git log answers '{head}', not a commit and its time")))?;
        self.revision = Some(revision.to_owned());
        self.dirty = changes.is_none_or(|changes| !changes.is_empty());
        (self.nearest, self.commits, self.shallow) = (nearest, commits, shallow);
        Ok(())
    }

    /// Why the version may be wrong, and what to do about it.
    pub fn doubt(&self) -> Option<&'static str> {
        let is_tagged = self.nearest.as_ref().is_some_and(|(_, ahead)| *ahead == 0);
        (self.shallow && !is_tagged).then_some(
            "this clone is shallow: version tags and commits are missing, and the version is made of what is \
             left; in a workflow give actions/checkout 'fetch-depth: 0', elsewhere git fetch --unshallow --tags",
        )
    }

    /// The commit, marked where the files differ from it.
    pub fn revision(&self) -> Option<String> {
        let mark = if self.dirty { "-dirty" } else { "" };
        self.revision.as_ref().map(|revision| format!("{revision}{mark}"))
    }

    /// The version tag on this commit; else the next patch's `-dev.N+gSHA`, N commits after the nearest
    /// tag, or after the first commit where there is none; else the crate's own version.
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
        let count = ahead.map_or_else(String::new, |ahead| format!(".{ahead}"));
        let before = if version.pre.is_empty() { String::new() } else { format!("{}.", version.pre) };
        let mark = if self.dirty { ".dirty" } else { "" };
        let short = &revision[..revision.len().min(7)];
        // Both are made of characters that semver allows; the tag alone stands if that ever fails.
        version.pre = Prerelease::new(&format!("{before}dev{count}")).unwrap_or_default();
        version.build = BuildMetadata::new(&format!("g{short}{mark}")).unwrap_or_default();
        version
    }
}

/// The version tag nearest below the commit, and the commits since. Of several on one commit it is `wanted`,
/// the one that the run is for, else the highest.
fn nearest(git: impl Fn(&[&str]) -> Option<String>, wanted: Option<&str>) -> Option<(Version, u64)> {
    let on = |commit: &str| {
        let tags = git(&["tag", "--points-at", commit])?;
        let wanted = wanted.filter(|wanted| tags.lines().any(|tag| tag == *wanted)).and_then(version_of);
        wanted.or_else(|| tags.lines().filter_map(version_of).max())
    };
    if let Some(version) = on("HEAD") {
        return Some((version, 0));
    }
    // What only looks like a version would hide those below it.
    let names = ["v[0-9]*", "[0-9]*"];
    let below = git(&["tag", "--merged", "HEAD", "--list", names[0], names[1]])?;
    let (versions, others): (Vec<_>, Vec<_>) = below.lines().partition(|tag| version_of(tag).is_some());
    if versions.is_empty() {
        return None;
    }
    let others: Vec<_> = others.into_iter().map(|tag| format!("--exclude={tag}")).collect();
    let mut args =
        vec!["describe", "--tags", "--long", "--abbrev=7", "--match", names[0], "--match", names[1]];
    args.extend(others.iter().map(String::as_str));
    let described = git(&args)?;
    let (tag, ahead) = parse_describe(&described)?;
    Some((on(&format!("refs/tags/{tag}^{{commit}}"))?, ahead))
}

/// `v1.2.3-4-gabcdef0`: a tag, the commits since, the commit.
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
                nearest: parse_describe(described).and_then(|(tag, ahead)| Some((version_of(tag)?, ahead))),
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
        ] {
            assert_eq!(at(described, dirty, commits), expected, "{described}");
        }
        assert_eq!(GitSource::default().version(&of_crate), of_crate);
    }
}
