//! What refers to an image: signatures, attestations, lists of parts (distribution-spec, "Listing
//! Referrers" and "Referrers Tag Schema").
//!
//! Registries without the referrers API, ghcr.io among them, keep the list in an index under the tag
//! `sha256-<hex>`, which clients maintain.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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
use cli_support::threads::each;

const INDEX_TYPE: &str = MANIFEST_TYPES[0];

/// What some tools write for the artifact type where they mean that there is none to be seen.
const NO_TYPE: [&str; 2] = ["application/vnd.oci.empty.v1+json", "application/vnd.oci.image.config.v1+json"];

/// Entries of one list whose manifests are looked into.
const MAX_INSPECTED: usize = 64;

/// How long a list is left alone before it is asked for again, growing.
const BETWEEN: Duration = Duration::from_millis(100);

/// How often the fallback index is written when others write it at the same time.
const ROUNDS: u32 = 5;

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

/// What a manifest says of itself, as far as lists of referrers repeat it.
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
    /// What refers to the manifest `subject` in the repository of `reference`, of one artifact type or of
    /// all. Asks the referrers API, and the fallback tag where that is missing or knows of nothing.
    pub fn referrers(
        &self,
        reference: &Reference,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Referrer>> {
        // All of them, whatever is wanted: a registry that mistakes the types would filter by the wrong ones.
        let listed = self.referrers_by_api(reference, subject)?.unwrap_or_default();
        let mut found = if listed.is_empty() { self.referrers_by_tag(reference, subject)? } else { listed };
        self.look_into(reference, &mut found)?;
        if let Some(wanted) = artifact_type {
            found.retain(|referrer| referrer.artifact_type.as_deref() == Some(wanted));
        }
        let mut seen = BTreeSet::new();
        found.retain(|referrer| seen.insert(referrer.digest));
        Ok(found)
    }

    /// The API's list; none where the registry has no such API.
    fn referrers_by_api(&self, reference: &Reference, subject: &Digest) -> Result<Option<Vec<Referrer>>> {
        let session = self.session(reference).map_err(|trouble| trouble.error)?;
        let scopes = pull_scope(reference);
        let first = session.url(&format!("v2/{}/referrers/{subject}", reference.repository()));
        let mut next = Some(first.map_err(|trouble| trouble.error)?);
        let mut found = Vec::new();
        let mut left = MAX_LIST_BYTES;
        for _ in 0..MAX_PAGES {
            let Some(page) = next else { return Ok(Some(found)) };
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
                    return Ok(None);
                }
                if answer.status.as_u16() != 200 {
                    // Whatever is not about this moment: registries without the API answer in many ways, and
                    // the tag tells whether it is the right to read that is missing.
                    let refused = session.refused(answer, &call);
                    return if refused.transient.is_some() { Err(refused) } else { Ok(None) };
                }
                let following = next_page(&session, &page, &answer)?;
                Ok(Some((answer.read(left)?, following)))
            })?;
            let Some((body, following)) = read else { return Ok(None) };
            left = left.saturating_sub(body.len() as u64);
            // Registries that know nothing of the API may answer with a page of their own.
            let Some(entries) = entries(&body) else { return Ok(None) };
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

    /// Pushes a manifest with a `subject`, as [`Client::put_referrers`] does.
    pub fn put_referrer(&self, reference: &Reference, bytes: &[u8], media_type: &str) -> Result<Digest> {
        let digests = self.put_referrers(reference, &[bytes], media_type)?;
        Ok(digests.first().copied().unwrap_or_else(|| Digest::of(bytes)))
    }

    /// Pushes manifests with the same `subject`, so that [`Client::referrers`] of that subject finds them
    /// (distribution-spec, "Pushing Manifests with Subject"); gives their digests.
    ///
    /// Where the registry takes no note of the subject, the fallback index is read, added to, written, and
    /// read again until the entries are in it; every other entry stays as it is. Registries know no
    /// conditional writes: of two that write at the very same moment, one may still lose its entries.
    pub fn put_referrers(
        &self,
        reference: &Reference,
        manifests: &[&[u8]],
        media_type: &str,
    ) -> Result<Vec<Digest>> {
        self.put_referrers_or_refusal(reference, manifests, media_type)?
    }

    /// The same; the inner error says that the registry takes no referrers, or keeps no list of them.
    pub fn put_referrers_or_refusal(
        &self,
        reference: &Reference,
        manifests: &[&[u8]],
        media_type: &str,
    ) -> Result<Result<Vec<Digest>>> {
        let (subject, abouts) = about(reference, manifests)?;
        let put = each(manifests, |bytes| {
            self.put_always(&reference.with_digest(Digest::of(bytes)), bytes, media_type)
        })?;
        let put = match put.into_iter().collect::<Result<Vec<_>>>() {
            Ok(put) => put,
            Err(refused) => return Ok(Err(refused)),
        };
        let mut entries = Vec::new();
        for ((bytes, about), (digest, noted)) in manifests.iter().zip(abouts).zip(&put) {
            if noted.as_ref().is_none_or(|noted| noted.trim() != subject.to_string()) {
                entries.push(about.entry(media_type, digest, bytes.len()));
            }
        }
        if !entries.is_empty()
            && let Err(refused) = self.list_by_tag(reference, &subject, &entries)?
        {
            return Ok(Err(refused));
        }
        Ok(Ok(put.into_iter().map(|(digest, _)| digest).collect()))
    }

    /// Sees to it that what [`Client::put_referrers`] has put is listed a while later: others who wrote the
    /// fallback index at the same moment may have left it out, and a registry may say that it took note of a
    /// subject and have no list.
    pub fn keep_referrers(&self, reference: &Reference, manifests: &[&[u8]], media_type: &str) -> Result<()> {
        let (subject, abouts) = about(reference, manifests)?;
        let of_manifest = |(bytes, about): (&&[u8], About)| {
            let digest = Digest::of(bytes);
            (digest, about.entry(media_type, &digest, bytes.len()))
        };
        let wanted: Vec<_> = manifests.iter().zip(abouts).map(of_manifest).collect();
        // Runs that disturbed each other go on at different moments.
        let apart = Duration::from_millis(u64::from(std::process::id() % 50));
        for round in 0..ROUNDS {
            std::thread::sleep((BETWEEN + apart) * round);
            let by_api = self.referrers_by_api(reference, &subject)?.filter(|listed| !listed.is_empty());
            let has_api = by_api.is_some();
            let listed = by_api.map_or_else(|| self.referrers_by_tag(reference, &subject), Ok)?;
            let is_listed = |digest: &Digest| listed.iter().any(|one| one.digest == *digest);
            let lacking = wanted.iter().filter(|(digest, _)| !is_listed(digest));
            let lacking: Vec<_> = lacking.map(|(_, entry)| entry.clone()).collect();
            if lacking.is_empty() {
                return Ok(());
            }
            if !has_api {
                self.list_by_tag(reference, &subject, &lacking)??;
            }
        }
        Err(Fault::failed("the registry accepted the referrers of this image but does not list them")
            .at(reference.with_digest(subject))
            .hint("run it again when nothing else is published; report it to the registry's operator if it stays so")
            .into())
    }

    /// Adds these entries to the index under the fallback tag. The inner error says why the registry keeps no
    /// such index.
    fn list_by_tag(&self, reference: &Reference, subject: &Digest, entries: &[Value]) -> Result<Result<()>> {
        let tag = fallback(reference, subject)?;
        let no_list = |why: &str| {
            Fault::failed(format!("the registry has no referrers API, and {why}"))
                .at(&tag)
                .hint("use a registry with the referrers API, or publish with --attach never")
        };
        let mut wrote = false;
        for _ in 0..ROUNDS {
            let mut current = self.manifest_if_any(&tag)?;
            if current.as_ref().is_some_and(|current| current.digest == *subject) {
                // Some registries read the tag as the digest that it is made of, and keep nothing under it.
                let is_tag = self.tags_or_refusal(reference)?.is_ok_and(|tags| tags.contains(&tag.wanted()));
                if !is_tag {
                    if wrote {
                        return Ok(Err(no_list("takes the tag for it as the digest of the image").into()));
                    }
                    current = None;
                }
            }
            if current.as_ref().is_some_and(|current| !is_fallback(current, subject)) {
                return Ok(Err(no_list("the tag for it names another manifest").into()));
            }
            if wrote && current.is_none() {
                return Ok(Err(no_list("does not keep the tag for it").into()));
            }
            let current = current.as_ref().map(|manifest| manifest.bytes.as_slice());
            let Some(updated) = with_entries(current, entries).context(format!("add to the index {tag}"))?
            else {
                return Ok(Ok(()));
            };
            if let Err(refused) = self.put_always(&tag, &updated, INDEX_TYPE)? {
                return Ok(Err(refused.context(no_list("refuses the tag for it"))));
            }
            wrote = true;
        }
        Err(Fault::failed("other runs kept writing this index, and what was added is not in it")
            .at(&tag)
            .hint("run it again when nothing else is published")
            .into())
    }
}

/// What manifests that refer to the same subject say of themselves, and that subject.
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
/// digest and give the subject itself; and somebody may have put an image there, whose index says for which
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

/// An index with these entries, the others unchanged; none where they are in it already.
fn with_entries(index: Option<&[u8]>, entries: &[Value]) -> Result<Option<Vec<u8>>> {
    let mut index: Value = match index {
        Some(bytes) => serde_json::from_slice(bytes).context("read it")?,
        None => json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [] }),
    };
    let manifests = index.get_mut("manifests").and_then(Value::as_array_mut);
    let manifests = manifests.ok_or_else(|| Fault::failed("it has no list of manifests"))?;
    let lacking: Vec<_> = entries.iter().filter(|entry| !manifests.contains(entry)).collect();
    if lacking.is_empty() {
        return Ok(None);
    }
    for entry in lacking {
        manifests.retain(|other| other.get("digest") != entry.get("digest"));
        manifests.push(entry.clone());
    }
    Ok(Some(serde_json::to_vec(&index)?))
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
    fn an_entry_is_added_once_and_others_stay_as_they_are() {
        let first = entry('a', r#","artifactType":"t","x-unknown":[1]"#);
        let index = with_entries(None, std::slice::from_ref(&first)).unwrap().unwrap();
        let second = entry('b', "");
        let both = with_entries(Some(&index), std::slice::from_ref(&second)).unwrap().unwrap();
        assert_eq!(with_entries(Some(&both), std::slice::from_ref(&second)).unwrap(), None);
        let better = entry('b', r#","artifactType":"u""#);
        let both = with_entries(Some(&both), std::slice::from_ref(&better)).unwrap().unwrap();
        let read: Value = serde_json::from_slice(&both).unwrap();
        assert_eq!(read["manifests"], json!([first, better]));
        assert_eq!((&read["schemaVersion"], &read["mediaType"]), (&json!(2), &json!(INDEX_TYPE)));
        for bad in ["{}", "[]", "x", r#"{"manifests":{}}"#] {
            assert!(with_entries(Some(bad.as_bytes()), std::slice::from_ref(&second)).is_err(), "{bad}");
        }
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
