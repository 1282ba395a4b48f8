//! CHANGELOG.md in the form of keepachangelog.com 1.1.0.

use super::level::Commit;

/// The changelog of a project that has none.
const NEW: &str = "# Changelog\n\n## [Unreleased]\n";
const UNRELEASED: &str = "## [Unreleased]";

/// The changelog with a section for a version, dated `day`. The section has what `## [Unreleased]` has; if that is empty,
/// the commits.
pub fn with_version(changelog: Option<&str>, version: &str, day: &str, commits: &[Commit]) -> String {
    let text = changelog.unwrap_or(NEW);
    let (before, after) = match text.find(UNRELEASED) {
        Some(at) => (&text[..at], &text[at + UNRELEASED.len()..]),
        // The newest section comes first.
        None => text.split_at(text.find("\n## ").map_or(text.len(), |at| at + 1)),
    };
    let end = after.find("\n## ").map_or(after.len(), |at| at + 1);
    let (unreleased, older) = if text.contains(UNRELEASED) { after.split_at(end) } else { ("", after) };
    let written = unreleased.trim();
    let entries = if written.is_empty() { of_commits(commits) } else { written.to_owned() };
    let older = if older.is_empty() { String::new() } else { format!("\n{older}") };
    format!("{}\n\n{UNRELEASED}\n\n## [{version}] - {day}\n\n{entries}\n{older}", before.trim_end())
}

/// The commits as entries, by kind.
fn of_commits(commits: &[Commit]) -> String {
    let mut sections = vec![("Changed", Vec::new()), ("Added", Vec::new()), ("Fixed", Vec::new())];
    for commit in commits {
        let place = match commit.kind() {
            _ if commit.breaks() => 0,
            Some("feat") => 1,
            Some("fix") => 2,
            _ => 0,
        };
        let mark = if commit.breaks() { "**Breaking:** " } else { "" };
        sections[place].1.push(format!("- {mark}{}", commit.text()));
    }
    let sections = sections.into_iter().filter(|(_, entries)| !entries.is_empty());
    sections
        .map(|(name, entries)| format!("### {name}\n\n{}", entries.join("\n")))
        .collect::<Vec<_>>()
        .join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commits(subjects: &[&str]) -> Vec<Commit> {
        let commit = |subject: &&str| Commit { subject: (*subject).to_owned(), body: String::new() };
        subjects.iter().map(commit).collect()
    }

    #[test]
    fn unreleased_changes_become_the_section_of_the_version() {
        let old = "# Changelog\n\nIntro.\n\n## [Unreleased]\n\n### Added\n\n- one\n\n## [1.0.0] - 2026-01-01\n\n- old\n";
        let new = with_version(Some(old), "1.1.0", "2026-02-03", &commits(&["ignored"]));
        assert_eq!(
            new,
            "# Changelog\n\nIntro.\n\n## [Unreleased]\n\n## [1.1.0] - 2026-02-03\n\n### Added\n\n- one\n\n\
             ## [1.0.0] - 2026-01-01\n\n- old\n"
        );
    }

    #[test]
    fn commits_become_entries_where_nothing_is_written() {
        let expected = "# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-02-03\n\n### Changed\n\n- Words\n- **Breaking:** c\n\n\
                        ### Added\n\n- a\n\n### Fixed\n\n- b\n";
        let all = commits(&["feat: a", "fix(x): b", "Words", "feat!: c"]);
        assert_eq!(with_version(None, "0.1.0", "2026-02-03", &all), expected);
        let other = "# Changes\n\n## 0.0.1\n\n- old\n";
        let new = with_version(Some(other), "0.1.0", "2026-02-03", &commits(&["fix: b"]));
        assert_eq!(
            new,
            "# Changes\n\n## [Unreleased]\n\n## [0.1.0] - 2026-02-03\n\n### Fixed\n\n- b\n\n## 0.0.1\n\n- old\n"
        );
    }
}
