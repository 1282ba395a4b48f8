//! Comments by which a file tells Trivy to overlook a finding: `# trivy:ignore:ID:exp:2027-01-31 why`.
//!
//! Trivy obeys them in Dockerfiles, Terraform, CloudFormation and Helm charts, in the files of an image and in
//! its history too (pkg/iac/ignore of 0.74.0), and tells nothing of what they silence. So they are read here as
//! Trivy reads them, and where Trivy is stricter about blanks, as if it were not.

use super::deployed::CHART;
use crate::finding::{Finding, FindingKind};
use cli_support::error::Fault;
use cli_support::time::Date;
use rust_workspace::settings::{proposed, too_far};
use rust_workspace::severity::Severity;

/// The most comments of one file that are kept.
pub const MAX_ENTRIES: usize = 1_000;
/// The longest file that is searched for them, in bytes.
pub const MAX_BYTES: u64 = 64 << 20;
/// The rule that a comment breaks which hides something without saying why, and until when.
const ID: &str = "XT-INLINE-IGNORE";
/// What they begin with.
const PREFIXES: [&str; 2] = ["trivy:", "tfsec:"];
/// Files in which Trivy obeys no such comment, by its own name for their kind.
const DEAF: &str = "kubernetes";

/// One comment, as Trivy understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// The line that it is on, from 1.
    pub line: usize,
    id: String,
    expires: Option<String>,
    reason: String,
}

/// The comments of a text; no more than one over [`MAX_ENTRIES`].
pub fn read(text: &str) -> Vec<Comment> {
    let mut all = Vec::new();
    let speaks = |text: &str| PREFIXES.iter().any(|prefix| text.contains(prefix));
    if !speaks(text) {
        return all;
    }
    for (line, text) in (1..).zip(text.split('\n')).filter(|(_, text)| speaks(text)) {
        all.extend(on_line(line, text));
        if all.len() > MAX_ENTRIES {
            all.truncate(MAX_ENTRIES + 1);
            break;
        }
    }
    all
}

/// The comments of a line. What follows the last of them is the reason of all.
fn on_line(line: usize, text: &str) -> Vec<Comment> {
    let (mut all, mut reason) = (Vec::new(), Vec::new());
    for word in text.split_whitespace() {
        let word = word.trim_start_matches(['#', '/', '*']);
        let sections = PREFIXES.iter().find_map(|prefix| word.strip_prefix(prefix));
        match sections.and_then(|sections| comment(line, sections)) {
            Some(comment) => {
                all.push(comment);
                reason.clear();
            }
            None => reason.push(word),
        }
    }
    let reason = reason.join(" ");
    let reason = reason.trim_end_matches(['*', '/', '-', '>', '}']).trim();
    for comment in &mut all {
        reason.clone_into(&mut comment.reason);
    }
    all
}

/// Pairs of a key and a value with colons between them; the last of a key counts.
fn comment(line: usize, sections: &str) -> Option<Comment> {
    let parts: Vec<_> = sections.split(':').collect();
    let (mut id, mut expires) = (None, None);
    for pair in parts.chunks_exact(2) {
        match pair[0] {
            "ignore" => id = pair[1].split('[').next().filter(|id| !id.is_empty()).or(id),
            "exp" => expires = Some(pair[1].to_owned()),
            _ => {}
        }
    }
    id.map(|id| Comment { line, id: id.to_owned(), expires, reason: String::new() })
}

impl Comment {
    /// What is wrong with it, if anything is.
    fn wrong(&self, today: Date) -> Option<String> {
        let id = &self.id;
        if id.contains('*') {
            return Some(format!("this tells Trivy to overlook '{id}', which is not one id"));
        }
        let Some(day) = &self.expires else {
            return Some(format!("this tells Trivy to overlook {id}, and has no day on which it ends (exp)"));
        };
        let day = match day.parse::<Date>() {
            Ok(day) => day,
            Err(what) => return Some(format!("this tells Trivy to overlook {id}, and {what}")),
        };
        if day <= today {
            return Some(format!("this told Trivy to overlook {id} until {day}"));
        }
        if let Some(what) = too_far(day, today) {
            return Some(format!("this tells Trivy to overlook {id}: {what}"));
        }
        let has_reason = self.reason.chars().any(char::is_alphabetic);
        (!has_reason).then(|| format!("this tells Trivy to overlook {id}, and does not say why"))
    }

    /// That something is left out, and why; what it would have been, Trivy does not tell.
    fn finding(&self, file: &str) -> Finding {
        let until = self.expires.as_deref().unwrap_or_default();
        Finding {
            subject: file.to_owned(),
            place: format!("{file}:{}", self.line),
            note: format!("a comment in line {} tells Trivy to overlook it", self.line),
            ignored: Some(format!("{} (until {until})", self.reason)),
            ..Finding::new(FindingKind::Config, &self.id, Severity::Unknown, super::NAME)
        }
    }
}

/// What the comments of a file of the source come to: findings that are left out, and those that are wrong.
pub fn of_source(file: &str, comments: &[Comment], today: Date) -> (Vec<Finding>, Vec<Fault>) {
    let (mut findings, mut faults) = (Vec::new(), Vec::new());
    for comment in comments {
        match comment.wrong(today) {
            None => findings.push(comment.finding(file)),
            Some(what) => {
                let day = proposed();
                let id = if comment.id.contains('*') { "ID" } else { &comment.id };
                let hint = format!("# trivy:ignore:{id}:exp:{day} and on the same line the reason");
                faults.push(Fault::gate(what).at(format!("{file}:{}", comment.line)).hint(hint));
            }
        }
    }
    if comments.len() > MAX_ENTRIES {
        faults.push(
            Fault::gate(format!("more than {MAX_ENTRIES} comments tell Trivy to overlook something"))
                .at(file),
        );
    }
    (findings, faults)
}

/// The same of an image's file or history, which whoever scans it may be unable to change: what is wrong is a
/// finding there, which the settings can overlook.
pub fn of_image(file: &str, comments: &[Comment], today: Date) -> Vec<Finding> {
    let wrong = comments.iter().filter_map(|one| one.wrong(today).map(|what| (one, what)));
    let bad = wrong.map(|(one, what)| (one.line, what)).next();
    let bad = bad
        .or_else(|| (comments.len() > MAX_ENTRIES).then(|| (0, format!("more than {MAX_ENTRIES} comments"))));
    match bad {
        Some((line, what)) => vec![Finding {
            subject: file.to_owned(),
            place: file.to_owned(),
            note: format!("line {line}: {what}"),
            // What it hides may be anything, and fails whatever the list of severities.
            ..Finding::new(FindingKind::Config, ID, Severity::Critical, super::NAME)
        }],
        None => comments.iter().map(|one| one.finding(file)).collect(),
    }
}

/// Whether a file of an image is, by its name, of a kind in which Trivy obeys comments. A chart's templates may
/// have any name, and so may other things in a folder of theirs, but those are longer.
pub fn may_be_obeyed(path: &str, size: u64) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let endings = [".tf", ".tf.json", ".tofu", ".tofu.json", ".yaml", ".yml", ".tpl"];
    endings.iter().any(|ending| name.ends_with(ending))
        || ["dockerfile", "containerfile"].iter().any(|part| name.contains(part))
        || path.contains("templates/") && size <= MAX_BYTES
}

/// Whether a file is of a chart of Helm; `is_there` says whether a path is one of those that are there. Trivy
/// reads such a file twice, and tells of one reading.
pub fn is_of_chart(path: &str, is_there: impl Fn(&str) -> bool) -> bool {
    let folders = path.match_indices('/').map(|(at, _)| &path[..=at]);
    folders.chain([""]).any(|folder| is_there(&format!("{folder}{CHART}")))
}

/// Whether Trivy took a file for what has no such comments, and for nothing else; `kinds` are its names for
/// what it took the file for.
pub fn is_deaf<'a>(mut kinds: impl Iterator<Item = &'a str>) -> bool {
    kinds.next() == Some(DEAF) && kinds.all(|kind| kind == DEAF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        let today = "2026-01-10".parse().unwrap();
        let comments = read(text);
        let (findings, faults) = of_source("f", &comments, today);
        let findings =
            findings.iter().map(|one| format!("{} {} {}", one.place, one.id, one.ignored.clone().unwrap()));
        findings.chain(faults.iter().map(ToString::to_string)).collect()
    }

    #[test]
    fn a_comment_says_what_until_when_and_why() {
        for (text, expected) in [
            ("# trivy:ignore:DS-1:exp:2026-01-11 binds port 80", "f:1 DS-1 binds port 80 (until 2026-01-11)"),
            ("x\n  //tfsec:ignore:a:exp:2026-12-31 it is so */", "f:2 a it is so (until 2026-12-31)"),
            ("USER root\t#trivy:ignore:DS-1:exp:2026-02-01 why", "f:1 DS-1 why (until 2026-02-01)"),
            ("#trivy:ignore:A[x=y]:exp:2026-02-01:ws:dev why", "f:1 A why (until 2026-02-01)"),
            ("#trivy:ws:dev:ignore:A:exp:2026-02-01 why\r", "f:1 A why (until 2026-02-01)"),
            ("# trivy:ignore:DS-1", "f:1: this tells Trivy to overlook DS-1, and has no day"),
            ("# trivy:ignore:DS-1 why", "and has no day"),
            ("why # trivy:ignore:DS-1:exp:2026-02-01", "does not say why"),
            ("# trivy:ignore:DS-1:exp:2026-02-01 -- */", "does not say why"),
            ("# trivy:ignore:*:exp:2026-02-01 why", "'*', which is not one id"),
            ("# trivy:ignore:AVD-*:exp:2026-02-01 why", "which is not one id"),
            ("# trivy:ignore:DS-1:exp:2026-01-10 why", "until 2026-01-10"),
            ("# trivy:ignore:DS-1:exp:soon why", "is not a day"),
            ("# trivy:ignore:DS-1:exp:2027-02-01 why", "387 days from now; 366 are the most"),
            ("# trivy:ignore:DS-1:exp:2026-02-01:exp:9999-01-01 why", "366 are the most"),
            ("# trivy:exp:2026-02-01:ignore:A:ignore:* why", "'*', which"),
            ("#/*#trivy:ignore:DS-1", "has no day"),
        ] {
            let told = told(text);
            assert!(told.len() == 1 && told[0].contains(expected), "{text}: {told:?}");
        }
        let two = told("# trivy:ignore:A:exp:2026-02-01 tfsec:ignore:B why");
        assert!(two[0].contains("A why") && two[1].contains("overlook B, and has no day"), "{two:?}");
    }

    #[test]
    fn what_trivy_does_not_obey_is_none() {
        for text in [
            "",
            "trivy ignore",
            "# xtrivy:ignore:A",
            "# trivy:ignore",
            "# trivy:ignore:",
            "trivy:x:A",
            "Trivy:ignore:A",
        ] {
            assert!(read(text).is_empty(), "{text}");
        }
        assert_eq!(read(&"#trivy:ignore:A\n".repeat(5_000)).len(), MAX_ENTRIES + 1);
        assert!(
            told(&"#trivy:ignore:A:exp:2026-02-01 x\n".repeat(5_000)).last().unwrap().contains("more than")
        );
    }

    #[test]
    fn of_an_image_what_is_wrong_is_a_finding() {
        let today = "2026-01-10".parse().unwrap();
        let of = |text: &str| of_image("/f", &read(text), today);
        assert_eq!(of("# trivy:ignore:A")[0].id, ID);
        assert_eq!(of("# trivy:ignore:A:exp:2026-02-01 x")[0].id, "A");
        assert_eq!(of("# trivy:ignore:A:exp:2026-02-01 x\n#trivy:ignore:B").len(), 1);
        let chart = |path: &str| is_of_chart(path, |one| ["a/Chart.yaml"].contains(&one));
        assert!(chart("a/x.yaml") && chart("a/templates/x.yaml") && !chart("x.yaml") && !chart("ab/x.yaml"));
        assert!(is_of_chart("x.yaml", |one| one == "Chart.yaml"));
        assert!(is_deaf(["kubernetes", "kubernetes"].into_iter()));
        assert!(!is_deaf(["kubernetes", "helm"].into_iter()) && !is_deaf(std::iter::empty()));
    }
}
