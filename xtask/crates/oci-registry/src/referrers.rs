//! Referrers of an image: signatures, attestations, SBOMs (distribution-spec, "Listing
//! Referrers" and "Referrers Tag Schema").
//!
//! Registries without the referrers API, ghcr.io among them, keep the list in an index under the tag
//! `sha256-<hex>`, which clients maintain.

mod put;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::http::Method;
use ureq::http::header::ACCEPT;

use super::client::Client;
use super::pull::{MANIFEST_TYPES, Manifest, header_value, pull_scope};
use super::reference::Reference;
use super::session::{Call, Content};
use super::tags::{MAX_LIST_BYTES, MAX_PAGES, next_page};
use super::wire::Redirects;
use cli_support::digest::Digest;
use cli_support::error::Fault;
pub use put::PutReferrers;

const INDEX_TYPE: &str = MANIFEST_TYPES[0];

/// Config types that some tools write if an artifact has no type.
const NO_TYPE: [&str; 2] = ["application/vnd.oci.empty.v1+json", "application/vnd.oci.image.config.v1+json"];

/// How often the API may answer 500.
const TRIES_OF_FAILING: u32 = 3;

/// Maximum number of manifests that are read for one list.
const MAX_INSPECTED: usize = 64;

/// A manifest that refers to another one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Referrer {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// The type of the manifest.
    #[serde(rename = "mediaType")]
    pub media_type: String,
    /// The type of what it holds.
    #[serde(rename = "artifactType")]
    pub artifact_type: Option<String>,
    /// Its annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// The answer of the referrers API.
enum ByApi {
    Listed(Vec<Referrer>),
    /// The registry has no such API.
    Missing,
    /// It answers 500 again and again, as some do that have no such API.
    Fails(anyhow::Error),
}

impl ByApi {
    /// The list of the fallback tag in its place. Where the API fails, a tag that lists nothing says nothing.
    fn or_by_tag(self, by_tag: Result<Vec<Referrer>>) -> Result<Vec<Referrer>> {
        match (self, by_tag) {
            (Self::Fails(error), Ok(listed)) if listed.is_empty() => Err(error),
            (Self::Fails(error), Err(_)) => Err(error),
            (_, by_tag) => by_tag,
        }
    }
}

/// The fields of a manifest that lists of referrers repeat.
#[derive(Deserialize)]
struct About {
    #[serde(rename = "artifactType")]
    artifact_type: Option<String>,
    config: Option<Config>,
    subject: Option<Subject>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "mediaType")]
    media_type: String,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digest,
}

impl About {
    /// `artifactType`, or else the type of the config (distribution-spec, "Listing Referrers").
    fn kind(&self) -> Option<String> {
        let own = self.artifact_type.clone().filter(|text| !text.is_empty());
        own.or_else(|| self.config.as_ref().map(|config| config.media_type.clone()))
    }

    /// The manifest's entry in a list.
    fn entry(self, media_type: &str, digest: &Digest, size: usize) -> Value {
        let mut entry = json!({ "mediaType": media_type, "digest": digest, "size": size });
        if let Some(kind) = self.kind() {
            entry["artifactType"] = Value::from(kind);
        }
        if let Some(annotations) = self.annotations.filter(|annotations| !annotations.is_empty()) {
            entry["annotations"] = json!(annotations);
        }
        entry
    }
}

impl Client {
    /// The referrers of the manifest `subject` in the repository of `reference`, of one artifact type or of
    /// all. Reads the fallback tag if the referrers API is missing or lists none.
    pub fn referrers(
        &self,
        reference: &Reference,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Referrer>> {
        // All of them, whatever is wanted: a registry that mistakes the types would filter by the wrong ones.
        let mut found = match self.referrers_by_api(reference, subject)? {
            ByApi::Listed(listed) if !listed.is_empty() => listed,
            by_api => by_api.or_by_tag(self.referrers_by_tag(reference, subject))?,
        };
        self.look_into(reference, &mut found)?;
        if let Some(wanted) = artifact_type {
            found.retain(|referrer| referrer.artifact_type.as_deref() == Some(wanted));
        }
        let mut seen = BTreeSet::new();
        found.retain(|referrer| seen.insert(referrer.digest));
        Ok(found)
    }

    /// The API's list.
    fn referrers_by_api(&self, reference: &Reference, subject: &Digest) -> Result<ByApi> {
        let session = self.session(reference).map_err(|failure| failure.error)?;
        let scopes = pull_scope(reference);
        let first = session.url(&format!("v2/{}/referrers/{subject}", reference.repository()));
        let mut next = Some(first.map_err(|failure| failure.error)?);
        let mut found = Vec::new();
        let mut left = MAX_LIST_BYTES;
        for _ in 0..MAX_PAGES {
            let Some(page) = next else { return Ok(ByApi::Listed(found)) };
            let mut failed = 0;
            let read = self.retry(|| {
                let mut call = Call {
                    method: Method::GET,
                    url: page.clone(),
                    headers: vec![(ACCEPT, header_value(INDEX_TYPE)?)],
                    scopes: &scopes,
                    content: Content::None,
                    // GitHub answers with a redirect to pages for browsers, which count requests.
                    redirects: Redirects::None,
                };
                let answer = session.send(&mut call)?;
                if answer.status.is_redirection() {
                    return Ok(Err(ByApi::Missing));
                }
                let status = answer.status.as_u16();
                if status != 200 {
                    // Every permanent refusal: registries without the API answer in many ways, and
                    // the request for the tag shows whether read permission is missing.
                    let refused = session.refused(answer, &call);
                    failed += u32::from(status == 500);
                    return match refused.transient {
                        None => Ok(Err(ByApi::Missing)),
                        Some(_) if failed == TRIES_OF_FAILING => Ok(Err(ByApi::Fails(refused.error))),
                        Some(_) => Err(refused),
                    };
                }
                let following = next_page(&session, &page, &answer)?;
                Ok(Ok((answer.read(left)?, following)))
            })?;
            let (body, following) = match read {
                Ok(page) => page,
                Err(by_api) => return Ok(by_api),
            };
            left = left.saturating_sub(body.len() as u64);
            // Registries that know nothing of the API may answer with a page of their own.
            let Some(entries) = entries(&body) else { return Ok(ByApi::Missing) };
            found.extend(entries);
            next = following;
        }
        let what = format!("the list of referrers has more than {MAX_PAGES} pages");
        Err(Fault::failed(what).at(reference.with_digest(*subject)).into())
    }

    fn referrers_by_tag(&self, reference: &Reference, subject: &Digest) -> Result<Vec<Referrer>> {
        let tagged = self.manifest_if_any(&fallback(reference, subject)?)?;
        let Some(index) = tagged.filter(|manifest| is_fallback(manifest, subject)) else {
            return Ok(Vec::new());
        };
        Ok(entries(&index.bytes).unwrap_or_default())
    }

    /// Fills in types and annotations from the manifests themselves: some tools have written lists without
    /// what belongs there, and some registries list the config's type for the artifact's.
    fn look_into(&self, reference: &Reference, found: &mut [Referrer]) -> Result<()> {
        let vague = |entry: &&mut Referrer| {
            entry.artifact_type.as_deref().is_none_or(|kind| kind.is_empty() || NO_TYPE.contains(&kind))
        };
        for entry in found.iter_mut().filter(vague).take(MAX_INSPECTED) {
            let Some(manifest) = self.manifest_if_any(&reference.with_digest(entry.digest))? else {
                continue;
            };
            let Ok(about) = serde_json::from_slice::<About>(&manifest.bytes) else { continue };
            entry.artifact_type = about.kind().or(entry.artifact_type.take());
            for (name, value) in about.annotations.unwrap_or_default() {
                entry.annotations.entry(name).or_insert(value);
            }
        }
        Ok(())
    }
}

/// The fields of manifests with one subject, and that subject.
fn about(reference: &Reference, manifests: &[&[u8]]) -> Result<(Digest, Vec<About>)> {
    let read =
        |bytes: &&[u8]| serde_json::from_slice::<About>(bytes).context("read the manifest to be pushed");
    let abouts = manifests.iter().map(read).collect::<Result<Vec<_>>>()?;
    let mut subjects = abouts.iter().map(|about| Some(about.subject.as_ref()?.digest));
    let Some(Some(subject)) = subjects.next() else {
        return Err(Fault::failed("the manifest to be pushed refers to no subject")
            .at(reference.name())
            .into());
    };
    if subjects.any(|other| other != Some(subject)) {
        return Err(Fault::failed("the manifests to be pushed refer to several subjects, or to none")
            .at(reference.name())
            .into());
    }
    Ok((subject, abouts))
}

/// The fallback tag of a manifest.
fn fallback(reference: &Reference, subject: &Digest) -> Result<Reference, Fault> {
    reference.with_tag(&format!("sha256-{}", subject.hex()))
}

/// Whether what has the fallback tag is a list of referrers. Some registries take `sha256-<hex>` for the
/// digest and give the subject itself; and the tag may be of an image, whose index says for which
/// platforms its entries are, or what it is itself. A list does neither (distribution-spec, "Referrers Tag
/// Schema").
fn is_fallback(manifest: &Manifest, subject: &Digest) -> bool {
    let of_image = |entry: &Value| entry.get("platform").is_some_and(|platform| !platform.is_null());
    let is_list = |index: Value| {
        let says = |key: &str| index.get(key).is_some_and(|value| !value.is_null());
        let entries = index.get("manifests").and_then(Value::as_array);
        !says("artifactType")
            && !says("subject")
            && !entries.is_some_and(|entries| entries.iter().any(of_image))
    };
    manifest.media_type == INDEX_TYPE
        && manifest.digest != *subject
        && serde_json::from_slice(&manifest.bytes).is_ok_and(is_list)
}

/// The entries of an index that can be read; none where it is no index.
fn entries(index: &[u8]) -> Option<Vec<Referrer>> {
    #[derive(Deserialize)]
    struct Index {
        manifests: Option<Vec<Value>>,
    }
    let Index { manifests } = serde_json::from_slice(index).ok()?;
    Some(manifests?.into_iter().filter_map(|entry| serde_json::from_value(entry).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(digest: char, more: &str) -> Value {
        let digest = digest.to_string().repeat(64);
        serde_json::from_str(&format!(r#"{{"mediaType":"m","digest":"sha256:{digest}","size":1{more}}}"#))
            .unwrap()
    }

    #[test]
    fn entries_are_read_one_by_one() {
        let index = json!({ "manifests": [entry('a', ""), { "digest": "md5:x" }, 5, entry('b', r#","annotations":{"k":"v"}"#)] });
        let found = entries(index.to_string().as_bytes()).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].artifact_type.as_deref(), found[1].annotations["k"].as_str()), (None, "v"));
        for no_index in ["<html>", "{}", "[]", r#"{"manifests":null}"#] {
            assert_eq!(entries(no_index.as_bytes()), None, "{no_index}");
        }
    }

    #[test]
    fn an_image_is_no_list_of_referrers() {
        let platform = r#","platform":{"os":"linux","architecture":"amd64"}"#;
        for (index, media_type, expected) in [
            (json!({ "manifests": [entry('a', ""), entry('b', r#","platform":null"#)] }), INDEX_TYPE, true),
            (json!({ "manifests": [], "annotations": {} }), INDEX_TYPE, true),
            (json!({ "manifests": [entry('a', "")] }), MANIFEST_TYPES[1], false),
            (json!({ "manifests": [entry('a', ""), entry('b', platform)] }), INDEX_TYPE, false),
            (json!({ "manifests": [], "artifactType": "x" }), INDEX_TYPE, false),
            (json!({ "manifests": [], "subject": {} }), INDEX_TYPE, false),
        ] {
            let bytes = index.to_string().into_bytes();
            let digest = Digest::of(&bytes);
            let manifest = Manifest { bytes, media_type: media_type.to_owned(), digest };
            assert_eq!(is_fallback(&manifest, &Digest::of(b"subject")), expected, "{index}");
            assert!(!is_fallback(&manifest, &digest), "{index}");
        }
    }

    #[test]
    fn the_kind_is_the_artifacts_or_the_configs() {
        let kind = |text: &str| serde_json::from_str::<About>(text).unwrap().kind();
        assert_eq!(kind(r#"{"artifactType":"a","config":{"mediaType":"c"}}"#).unwrap(), "a");
        assert_eq!(kind(r#"{"artifactType":"","config":{"mediaType":"c"}}"#).unwrap(), "c");
        assert_eq!(kind("{}"), None);
    }
}
