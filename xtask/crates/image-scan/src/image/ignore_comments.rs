//! Comments that make Trivy ignore findings: `# trivy:ignore:ID`, `tfsec:ignore:ID`.
//!
//! Trivy obeys them in Dockerfiles, Terraform, CloudFormation and Helm charts, in files of an image and in its history,
//! and reports nothing. Trivy 0.74.0 has no flag against them.

use serde_json::Value;

use super::platforms::Image;

/// The longest file that is searched for such comments, in bytes.
pub const MAX_BYTES: u64 = 64 << 20;

/// The first line with such a comment, counted from 1.
pub fn first_line(text: &str) -> Option<usize> {
    let is_comment = |word: &str| {
        ["trivy:", "tfsec:"]
            .iter()
            .any(|prefix| word.split_once(prefix).is_some_and(|(_, rest)| rest.contains("ignore:")))
    };
    let found = text.split('\n').position(|line| line.split_whitespace().any(is_comment));
    found.map(|at| at + 1)
}

/// The first line with such a comment in what Trivy converts to a Dockerfile: history, health check, variables and user
/// of the config.
pub fn in_config(image: &Image) -> Option<usize> {
    let config = &image.config;
    let list = |key: &str| config.pointer(key).and_then(Value::as_array).into_iter().flatten();
    let steps = list("/history").filter_map(|step| step.get("created_by"));
    let settings =
        list("/config/Healthcheck/Test").chain(list("/config/Env")).chain(config.pointer("/config/User"));
    let lines: Vec<_> = steps.chain(settings).filter_map(Value::as_str).collect();
    first_line(&lines.join("\n"))
}

/// Whether Trivy obeys comments in a file of an image, by its name. Templates of a Helm chart have any name; long files
/// in a folder `templates` are not among them.
pub fn may_apply_to(path: &str, size: u64) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let endings = [".tf", ".tf.json", ".tofu", ".tofu.json", ".yaml", ".yml", ".tpl"];
    endings.iter().any(|ending| name.ends_with(ending))
        || ["dockerfile", "containerfile"].iter().any(|part| name.contains(part))
        || path.contains("templates/") && size <= MAX_BYTES
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
