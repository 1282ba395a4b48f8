//! Reads the RustSec advisory database from a clone of its repository, or from a tar of it.
//!
//! An advisory is a Markdown file that begins with a block of TOML. Its text is not copied, because it has authors with
//! a copyright.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use semver::VersionReq;
use toml::de::{DeTable, DeValue};

use crate::engines::builtin::advisory_db::{Advisory, AdvisoryDb};
use cli_support::error::Fault;
use cli_support::time::Date;
use rust_workspace::git;

/// The longest advisory and the longest uncompressed database, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
const MAX_DATABASE_BYTES: u64 = 256 << 20;
/// The zeros that end a tar, in bytes (POSIX ustar).
const END_OF_TAR: usize = 1024;

/// Reads a folder with the database's folder `crates`, or a bare clone of it.
pub fn of_folder(dir: &Path, source: &str) -> Result<AdvisoryDb> {
    let crates = dir.join("crates");
    if !crates.exists() && dir.join("objects").is_dir() {
        let tar = git::command(dir).args(["archive", "--format=tar", "HEAD"]).read_raw()?;
        return of_tar(&tar, source);
    }
    let at = || crates.display().to_string();
    let mut advisories = Vec::new();
    for package in crates.read_dir().with_context(at)? {
        for file in package?.path().read_dir().with_context(at)? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let at = || path.display().to_string();
                let mut text = String::new();
                let file = File::open(&path).with_context(at)?;
                file.take(MAX_FILE_BYTES).read_to_string(&mut text).with_context(at)?;
                advisories.push(advisory(&text).with_context(at)?);
            }
        }
    }
    let commit = || git::command(dir).args(["log", "-1", "--format=%H"]).read().ok();
    let commit = dir.join(".git").exists().then(commit).flatten();
    finish(source, commit.map(|id| id.trim().to_owned()), advisories)
}

/// Reads a tar, gzip-compressed or not, with the database's folder `crates` at any depth.
pub fn of_tar(bytes: &[u8], source: &str) -> Result<AdvisoryDb> {
    let reader: Box<dyn Read> =
        if bytes.starts_with(&[0x1f, 0x8b]) { Box::new(GzDecoder::new(bytes)) } else { Box::new(bytes) };
    let mut unpacked = Vec::new();
    reader
        .take(MAX_DATABASE_BYTES + 1)
        .read_to_end(&mut unpacked)
        .context("the tar is damaged or truncated")?;
    if unpacked.len() as u64 > MAX_DATABASE_BYTES {
        let what = format!("the uncompressed tar is over the limit of {MAX_DATABASE_BYTES} bytes");
        return Err(Fault::failed(what).at(source).into());
    }
    // A tar that is truncated between two entries has no other error.
    let end = unpacked.len().checked_sub(END_OF_TAR).and_then(|from| unpacked.get(from..));
    if !end.is_some_and(|end| end.iter().all(|byte| *byte == 0)) {
        let what = "the tar is truncated: it does not end with two empty blocks";
        return Err(Fault::failed(what).at(source).hint("download it again").into());
    }
    let mut tar = tar::Archive::new(&unpacked[..]);
    let (mut advisories, mut commit) = (Vec::new(), None);
    for entry in tar.entries().context("not a tar")? {
        let mut entry = entry.context("the tar is damaged")?;
        if entry.header().entry_type().is_pax_global_extensions() {
            // git archive, which GitHub uses, stores the commit here.
            let mut text = String::new();
            entry.by_ref().take(4096).read_to_string(&mut text).context("the tar's first entry")?;
            commit = text.split_once("comment=").map(|(_, rest)| rest.trim().to_owned());
            continue;
        }
        let path = entry.path().context("a name in the tar")?.into_owned();
        let parts: Vec<_> = path.iter().filter_map(|part| part.to_str()).collect();
        let markdown = path.extension().is_some_and(|extension| extension == "md");
        let wanted = markdown && matches!(parts[..], [.., "crates", _, _]);
        if wanted && entry.header().entry_type().is_file() {
            let at = || path.display().to_string();
            let mut text = String::new();
            entry.by_ref().take(MAX_FILE_BYTES).read_to_string(&mut text).with_context(at)?;
            advisories.push(advisory(&text).with_context(at)?);
        }
    }
    finish(source, commit, advisories)
}

fn finish(source: &str, commit: Option<String>, mut advisories: Vec<Advisory>) -> Result<AdvisoryDb> {
    advisories.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(pair) = advisories.windows(2).find(|pair| pair[0].id == pair[1].id) {
        return Err(Fault::failed(format!("two advisories have the id {}", pair[0].id)).into());
    }
    let newest = advisories.iter().map(|advisory| advisory.date).max();
    let Some(newest) = newest else {
        return Err(Fault::failed("no advisory found (crates/NAME/ID.md)").at(source).into());
    };
    // Times of files and commits are not used: they are new where an old database was packed again.
    Ok(AdvisoryDb::new(source.to_owned(), commit, newest.min(Date::today()), advisories))
}

/// Parses one advisory.
fn advisory(text: &str) -> Result<Advisory> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let front = text.trim_start().strip_prefix("```toml\n").and_then(|rest| rest.split_once("\n```"));
    let (front, _) = front.ok_or_else(|| Fault::failed("the file does not begin with a block of TOML"))?;
    let root = DeTable::parse(front).map_err(|error| Fault::failed(error.to_string()))?;
    let get = |path: &str| {
        let (table, key) = path.split_once('/')?;
        let table = root.get_ref().get(table)?.get_ref().as_table()?;
        Some(table.get(key)?.get_ref())
    };
    let text = |path: &str| get(path).and_then(DeValue::as_str).map(str::to_owned);
    let wanted = |path: &str| text(path).ok_or_else(|| Fault::failed(format!("{path} is missing")));
    let list = |path: &str| -> Result<Vec<String>, Fault> {
        let wrong = || Fault::failed(format!("{path} is not a list of strings"));
        let Some(list) = get(path) else { return Ok(Vec::new()) };
        let list = list.as_array().ok_or_else(wrong)?;
        list.iter().map(|item| item.get_ref().as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    };
    let ranges = |path: &str| -> Result<Vec<VersionReq>> {
        list(path)?.iter().map(|range| range.parse().with_context(|| format!("{path}: '{range}'"))).collect()
    };
    let date = |text: String| text.parse::<Date>().map_err(Fault::failed);
    Ok(Advisory {
        id: wanted("advisory/id")?,
        package: wanted("advisory/package")?,
        date: date(wanted("advisory/date")?)?,
        aliases: list("advisory/aliases")?,
        patched: ranges("versions/patched")?,
        unaffected: ranges("versions/unaffected")?,
        cvss: text("advisory/cvss"),
        informational: text("advisory/informational"),
        withdrawn: text("advisory/withdrawn").map(date).transpose()?,
        os: list("affected/os")?,
        arch: list("affected/arch")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use crate::engines::builtin::cvss_score;
    use rust_workspace::severity::Severity;

    #[test]
    fn an_advisory_is_parsed() {
        let text = "```toml\n[advisory]\nid = \"RUSTSEC-2024-0001\"\npackage = \"x\"\ndate = \"2024-01-02\"\n\
            informational = \"unsound\"\n[affected]\nos = [\"windows\"]\n[versions]\npatched = [\"1.2\"]\n```\n# Prose\n";
        let advisory = advisory(text).unwrap();
        assert_eq!(
            (advisory.id.as_str(), &advisory.os[..]),
            ("RUSTSEC-2024-0001", &["windows".to_owned()][..])
        );
        assert_eq!(advisory.patched, [VersionReq::parse("^1.2").unwrap()]);
        for bad in [
            "",
            "```toml\n[advisory]\n```",
            &text.replace("\"1.2\"", "\"one\""),
            &text.replace("-02\"", "-40\""),
        ] {
            assert!(super::advisory(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_date_in_the_future_is_not_used() {
        let text = "```toml\n[advisory]\nid = \"A-1\"\npackage = \"x\"\ndate = \"2999-01-02\"\n```\n";
        let day = finish("here", None, vec![advisory(text).unwrap()]).unwrap().header.date;
        assert!(day <= Date::today(), "{day}");
    }

    #[test]
    fn truncated_tars_are_refused_and_file_times_not_used() {
        let mut tar = tar::Builder::new(Vec::new());
        for (id, day) in [("A-1", "2020-01-02"), ("A-2", "2021-03-04")] {
            let text =
                format!("```toml\n[advisory]\nid = \"{id}\"\npackage = \"x\"\ndate = \"{day}\"\n```\n");
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            header.set_mtime(4_000_000_000);
            tar.append_data(&mut header, format!("db/crates/x/{id}.md"), text.as_bytes()).unwrap();
        }
        let tar = tar.into_inner().unwrap();
        let database = of_tar(&tar, "here").unwrap();
        assert_eq!((database.all().count(), database.header.date.to_string()), (2, "2021-03-04".to_owned()));
        for at in [1024, tar.len() - 1024] {
            let error = of_tar(&tar[..at], "here").unwrap_err().to_string();
            assert!(error.contains("truncated"), "{at}: {error}");
        }
    }

    #[test]
    fn the_advisory_file_of_this_repository_is_valid_with_all_ratings() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap();
        let database = AdvisoryDb::read(root).unwrap();
        assert!(database.all().count() >= 1205);
        for advisory in database.all() {
            let score = advisory.cvss.as_deref().map(cvss_score::score);
            assert!(score != Some(None), "{}: {:?}", advisory.id, advisory.cvss);
        }
        let mut counts = BTreeMap::new();
        database.all().for_each(|advisory| *counts.entry(advisory.severity()).or_insert(0) += 1);
        assert!(counts[&Severity::Critical] >= 80, "{counts:?}");
    }
}
