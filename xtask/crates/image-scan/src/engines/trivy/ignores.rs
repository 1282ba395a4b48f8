//! Trivy's own ignores: ignore files, and comments such as `# trivy:ignore:ID`. Trivy reports nothing of what they hide, so
//! they are refused: `[[scan.ignore]]` is the one list of exceptions.
//!
//! Trivy 0.74.0 has no flag against comments. It obeys them in configuration files and in an image's history.

use std::path::Path;

use serde_json::Value;

use super::answer::HISTORY;
use super::coverage::critical;
use crate::finding::Finding;
use crate::image::platforms::Image;
use cli_support::error::Fault;
use rust_workspace::settings::file;

/// Trivy's ignore files in the workspace's root.
const FILES: [&str; 2] = [".trivyignore", ".trivyignore.yaml"];
/// The rule about comments in an image's history.
const IGNORE_COMMENT: &str = "XT-INLINE-IGNORE";

/// Refuses ignore files in the workspace's root.
pub fn check_files(root: &Path) -> Result<(), Fault> {
    match FILES.iter().find(|name| root.join(name).symlink_metadata().is_ok()) {
        Some(name) => Err(Fault::gate("Trivy's ignore files are not used").at(name).hint(format!(
            "move its entries to [[scan.ignore]] in {}: the same ids, with reason and expires",
            file()
        ))),
        None => Ok(()),
    }
}

/// A fault where a configuration file has such a comment.
pub(super) fn in_file(text: &str, name: &str) -> Option<Fault> {
    let hint =
        format!("remove it; [[scan.ignore]] in {} excepts the same id, with reason and expires", file());
    let fault = Fault::gate("this comment makes Trivy ignore findings without a report").hint(hint);
    first_line(text).map(|line| fault.at(format!("{name}:{line}")))
}

/// A finding where what Trivy converts to a Dockerfile has such a comment: history, health check, variables and user of the
/// config. It is critical, because any other finding may be missing.
pub(super) fn in_config(image: &Image) -> Option<Finding> {
    let config = &image.config;
    let list = |key: &str| config.pointer(key).and_then(Value::as_array).into_iter().flatten();
    let steps = list("/history").filter_map(|step| step.get("created_by"));
    let settings =
        list("/config/Healthcheck/Test").chain(list("/config/Env")).chain(config.pointer("/config/User"));
    let lines: Vec<_> = steps.chain(settings).filter_map(Value::as_str).collect();
    let line = first_line(&lines.join("\n"))?;
    let note = format!("line {line}: a comment makes Trivy ignore findings without a report");
    Some(critical(IGNORE_COMMENT, HISTORY.to_owned(), &note, HISTORY).on(&image.platform.to_string()))
}

/// The first line with such a comment, counted from 1.
fn first_line(text: &str) -> Option<usize> {
    let is_comment = |word: &str| {
        ["trivy:", "tfsec:"]
            .iter()
            .any(|prefix| word.split_once(prefix).is_some_and(|(_, rest)| rest.contains("ignore:")))
    };
    let found = text.split('\n').position(|line| line.split_whitespace().any(is_comment));
    found.map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_that_trivy_obeys_are_found() {
        for (text, line) in [
            ("# trivy:ignore:DS-1", Some(1)),
            ("x\n  //tfsec:ignore:a:exp:2026-12-31 it is so */", Some(2)),
            ("USER root\t#trivy:ignore:DS-1", Some(1)),
            ("# trivy:exp:2026-02-01:ignore:A why", Some(1)),
            ("#/*#trivy:ignore:DS-1", Some(1)),
            ("/bin/sh -c #(nop)#trivy:ignore:*", Some(1)),
            ("/bin/sh -c#trivy:ignore:DS-0001", Some(1)),
            ("RUN x # trivy:ignore:DS-0001 # buildkit", Some(1)),
            ("COPY aquasec/trivy:0.74 /x # buildkit", None),
            ("trivy ignore", None),
            ("Trivy:ignore:A", None),
            ("trivy:x:A", None),
            ("", None),
        ] {
            assert_eq!(first_line(text), line, "{text}");
        }
    }
}
