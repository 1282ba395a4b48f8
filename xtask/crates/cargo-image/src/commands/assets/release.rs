//! The release on GitHub (REST API, "Releases" and "Release assets").
//!
//! A new release stays a draft until all files are there, so that nobody sees a part of it, and a repository with immutable
//! releases accepts it. The files of a published release are never replaced.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::work::{Asset, BUNDLE, SUMS};
use cli_support::error::Fault;
use cli_support::ui::Progress;
use oci_registry::{GithubAnswer, GithubRepository};

/// The most pages of releases that are searched, 100 releases each.
const MAX_PAGES: usize = 10;
const PERMISSION: &str = "grant the job 'permissions: contents: write'";

/// A release that may not be there yet.
#[derive(Debug)]
pub struct Draft {
    /// Its tag.
    pub tag: String,
    /// Its text; GitHub lists the commits where there is none.
    pub notes: Option<String>,
    /// Whether its version is a pre-release.
    pub prerelease: bool,
}

/// The section of a version in a changelog.
pub fn notes(changelog: &str, version: &str) -> Option<String> {
    let head = |line: &&str| {
        let name = line.strip_prefix("## ").map(|rest| rest.trim_start_matches('['));
        let rest = name.and_then(|name| name.strip_prefix(version));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([']', ' ']))
    };
    let mut lines = changelog.lines().skip_while(|line| !head(line));
    lines.next()?;
    let lines: Vec<_> = lines.take_while(|line| !line.starts_with("## ")).collect();
    Some(lines.join("\n").trim().to_owned()).filter(|text| !text.is_empty())
}

/// Checks that GitHub has the tag, and that it names the commit of the image. Otherwise GitHub would make the tag.
pub fn check_tag(github: &GithubRepository, tag: &str, revision: Option<&str>) -> Result<String> {
    let answer = github.get(&format!("commits/tags/{tag}"))?;
    if matches!(answer.status, 404 | 422) {
        let what = format!("GitHub has no tag {tag} in {}", github.name());
        return Err(Fault::gate(what).hint(format!("git push origin {tag}")).into());
    }
    let commit = answer.value()?["sha"].as_str().unwrap_or_default().to_owned();
    match revision {
        Some(revision) if revision == commit => Ok(commit),
        other => {
            let image = other.unwrap_or("unknown");
            let what = format!("the tag {tag} names {commit}, and the image's commit is {image}");
            Err(Fault::gate(what).at(github.name()).hint("build the image of the tag's commit").into())
        }
    }
}

/// Uploads the files of `folder` to the release, publishes it, and gives its page. Sets the state of each file.
pub fn publish(
    github: &GithubRepository,
    draft: &Draft,
    folder: &Path,
    assets: &mut [Asset],
    progress: &Progress,
) -> Result<String> {
    let release = find_or_create(github, draft)?;
    let id = release["id"].as_u64().context("GitHub's answer has no id of the release")?;
    let upload = release["upload_url"].as_str().context("GitHub's answer has no upload_url")?;
    let upload = upload.split('{').next().unwrap_or(upload);
    let is_draft = release["draft"] == true;
    let there = release["assets"].as_array().cloned().unwrap_or_default();
    let find = |name: &str| there.iter().find(|one| one["name"] == name);
    // An upload that broke off leaves a file of another state.
    let whole = |name: &str| find(name).filter(|one| one["state"] == "uploaded");
    let has_same = |asset: &Asset| {
        whole(&asset.name).is_some_and(|one| one["digest"] == asset.digest.to_string().as_str())
    };
    let same_sums = assets.iter().any(|asset| asset.name == SUMS && has_same(asset));
    // All differences are found before the first upload.
    let signed = same_sums && whole(BUNDLE).is_some();
    let keeps = |asset: &Asset| has_same(asset) || asset.name == BUNDLE && signed;
    let differs = |asset: &&Asset| !is_draft && !keeps(asset) && whole(&asset.name).is_some();
    if let Some(asset) = assets.iter().find(differs) {
        let what = format!("the release {} is published with another {}", draft.tag, asset.name);
        return Err(Fault::gate(what)
            .at(github.name())
            .hint("files of a published release do not change: release a new version")
            .into());
    }
    for asset in assets {
        if keeps(asset) {
            asset.state = Some("unchanged");
            continue;
        }
        if let Some(old) = find(&asset.name).and_then(|one| one["id"].as_u64()) {
            accepted(github.delete(&format!("releases/assets/{old}"))?)?;
        }
        progress.detail(&asset.name);
        let path = folder.join(&asset.name);
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        let answer = accepted(github.upload(upload, &asset.name, kind(&asset.name), &bytes)?)
            .with_context(|| format!("upload {}", asset.name))?;
        check(asset, &answer)?;
        asset.state = Some("uploaded");
    }
    let release = if is_draft {
        accepted(github.patch(
            &format!("releases/{id}"),
            // By version and date: a patch of an older version does not become the latest one.
            &json!({ "draft": false, "make_latest": if draft.prerelease { "false" } else { "legacy" } }),
        )?)?
    } else {
        release
    };
    Ok(release["html_url"].as_str().unwrap_or_default().to_owned())
}

/// The release of the tag. A draft has no address by its tag, so the list is searched.
fn find_or_create(github: &GithubRepository, draft: &Draft) -> Result<Value> {
    let list = github.list("releases", MAX_PAGES, |page| page.as_array().cloned())?;
    if let Some(found) = list.into_iter().find(|release| release["tag_name"] == draft.tag.as_str()) {
        return Ok(found);
    }
    let mut release = json!({
        "tag_name": draft.tag, "name": draft.tag, "draft": true, "prerelease": draft.prerelease,
    });
    match &draft.notes {
        Some(notes) => release["body"] = notes.as_str().into(),
        None => release["generate_release_notes"] = true.into(),
    }
    accepted(github.post("releases", &release)?)
}

/// The media type of a file by its name.
fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("gz") => "application/gzip",
        Some("json") => "application/json",
        _ => "text/plain",
    }
}

fn accepted(answer: GithubAnswer) -> Result<Value> {
    let lacks = matches!(answer.status, 401 | 403 | 404);
    Ok(answer.value().map_err(|fault| if lacks { fault.hint(PERMISSION) } else { fault })?)
}

/// Compares GitHub's answer to an upload with the file.
fn check(asset: &Asset, answer: &Value) -> Result<(), Fault> {
    let digest = answer["digest"].as_str().is_none_or(|digest| digest == asset.digest.to_string());
    if digest && answer["name"] == asset.name.as_str() && answer["size"] == asset.bytes {
        return Ok(());
    }
    let (name, size) = (&answer["name"], &answer["size"]);
    let what = format!("GitHub stored {name} with {size} bytes, and the file has {}", asset.bytes);
    Err(Fault::failed(what).at(&asset.name).hint("run it again; delete the draft if that does not help"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notes_are_the_section_of_the_version() {
        let text = "# Changelog\n\n## [Unreleased]\n\n- next\n\n## [1.2.3] - 2026-01-01\n\n### Added\n\n- one\n\n## 1.2\n\n- old\n\n## [1.0.0]\n";
        for (version, expected) in
            [("1.2.3", Some("### Added\n\n- one")), ("1.2", Some("- old")), ("1.0.0", None), ("1", None)]
        {
            assert_eq!(notes(text, version).as_deref(), expected, "{version}");
        }
    }
}
