//! Pushing what refers to an image, and keeping the index under the fallback tag.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::super::client::Client;
use super::super::pull::Manifest;
use super::super::reference::Reference;
use super::{About, ByApi, INDEX_TYPE, Referrer, about, fallback, is_fallback};
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::threads::{at_once, joined};

/// How long a list is left alone before it is asked for again, growing.
const BETWEEN: Duration = Duration::from_millis(100);

/// How often the fallback index is written when others write it at the same time.
const ROUNDS: u32 = 5;

/// Referrers that were put, and what is still to be done so that they are listed.
#[derive(Debug)]
pub struct PutReferrers {
    /// Their digests, in the order of the manifests.
    pub digests: Vec<Digest>,
    subject: Digest,
    /// Entries for the fallback index: the registry did not confirm their subject.
    entries: Vec<Value>,
    /// The manifest of the fallback tag at that time.
    tagged: Option<Manifest>,
}

/// Whether the fallback index has the entries.
enum Round {
    Complete,
    Wrote,
    Refused(anyhow::Error),
}

impl Client {
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
        let put = self.put_referrers_unlisted(reference, manifests, media_type)??;
        if !put.entries.is_empty() {
            self.list_by_tag(reference, &put.subject, &put.entries)??;
        }
        Ok(put.digests)
    }

    /// Pushes manifests with the same `subject`, which need not be there yet, and asks for the fallback index at
    /// the same time. [`Client::list_referrers`] is the next step, [`Client::keep_referrers`] the last one. The
    /// inner error says that the registry takes no referrers.
    pub fn put_referrers_unlisted(
        &self,
        reference: &Reference,
        manifests: &[&[u8]],
        media_type: &str,
    ) -> Result<Result<PutReferrers>> {
        let (subject, abouts) = about(reference, manifests)?;
        let tag = fallback(reference, &subject)?;
        let (put, tagged) = std::thread::scope(|scope| {
            let tagged = scope.spawn(|| self.manifest_if_any(&tag));
            let put = at_once(manifests, |bytes| {
                self.put_always(&reference.with_digest(Digest::of(bytes)), bytes, media_type)
            });
            (put, joined(tagged))
        });
        let put = match put?.into_iter().collect::<Result<Vec<_>>>() {
            Ok(put) => put,
            Err(refused) => return Ok(Err(refused)),
        };
        let mut entries = Vec::new();
        for ((bytes, about), (digest, noted)) in manifests.iter().zip(abouts).zip(&put) {
            if noted.as_ref().is_none_or(|noted| noted.trim() != subject.to_string()) {
                entries.push(about.entry(media_type, digest, bytes.len()));
            }
        }
        // The index matters only where the subject was not noted.
        let tagged = if entries.is_empty() { None } else { tagged? };
        let digests = put.into_iter().map(|(digest, _)| digest).collect();
        Ok(Ok(PutReferrers { digests, subject, entries, tagged }))
    }

    /// Writes the fallback index where the registry took no note of the subject, and does not read it again. The
    /// inner error says why the registry keeps no such index.
    pub fn list_referrers(&self, reference: &Reference, put: &PutReferrers) -> Result<Result<()>> {
        if put.entries.is_empty() {
            return Ok(Ok(()));
        }
        let tag = fallback(reference, &put.subject)?;
        Ok(match self.list_round(&tag, &put.subject, &put.entries, put.tagged.clone(), false)? {
            Round::Complete | Round::Wrote => Ok(()),
            Round::Refused(why) => Err(why),
        })
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
            let (listed, has_api) = self.listed(reference, &subject)?;
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

    /// The digests that are listed as referrers of `subject`, in one round trip.
    pub fn listed_referrers(&self, reference: &Reference, subject: &Digest) -> Result<Vec<Digest>> {
        let (listed, _) = self.listed(reference, subject)?;
        Ok(listed.into_iter().map(|referrer| referrer.digest).collect())
    }

    /// The list of the referrers API, or else that of the fallback tag; both are asked for at the same time. Also
    /// whether it is that of the API.
    fn listed(&self, reference: &Reference, subject: &Digest) -> Result<(Vec<Referrer>, bool)> {
        std::thread::scope(|scope| {
            let by_tag = scope.spawn(|| self.referrers_by_tag(reference, subject));
            let by_api = self.referrers_by_api(reference, subject);
            let by_tag = joined(by_tag);
            match by_api? {
                ByApi::Listed(listed) if !listed.is_empty() => Ok((listed, true)),
                by_api => Ok((by_api.or_by_tag(by_tag)?, false)),
            }
        })
    }

    /// Adds these entries to the index under the fallback tag. The inner error says why the registry keeps no
    /// such index.
    fn list_by_tag(&self, reference: &Reference, subject: &Digest, entries: &[Value]) -> Result<Result<()>> {
        let tag = fallback(reference, subject)?;
        let mut wrote = false;
        for _ in 0..ROUNDS {
            let current = self.manifest_if_any(&tag)?;
            match self.list_round(&tag, subject, entries, current, wrote)? {
                Round::Complete => return Ok(Ok(())),
                Round::Refused(why) => return Ok(Err(why)),
                Round::Wrote => wrote = true,
            }
        }
        Err(Fault::failed("other runs kept writing this index, and what was added is not in it")
            .at(&tag)
            .hint("run it again when nothing else is published")
            .into())
    }

    /// Adds these entries to the index `current`, which has the fallback tag. `wrote` is whether it was written
    /// before.
    fn list_round(
        &self,
        tag: &Reference,
        subject: &Digest,
        entries: &[Value],
        mut current: Option<Manifest>,
        wrote: bool,
    ) -> Result<Round> {
        let no_list = |why: &str| {
            Fault::failed(format!("the registry has no referrers API, and {why}"))
                .at(tag)
                .hint("use a registry with the referrers API, or publish with --attach never")
        };
        let refused = |why: &str| Ok(Round::Refused(no_list(why).into()));
        if current.as_ref().is_some_and(|current| current.digest == *subject) {
            // Some registries read the tag as the digest that it is made of, and keep nothing under it.
            let is_tag = self.tags_or_refusal(tag)?.is_ok_and(|tags| tags.contains(&tag.wanted()));
            if !is_tag {
                if wrote {
                    return refused("takes the tag for it as the digest of the image");
                }
                current = None;
            }
        }
        if current.as_ref().is_some_and(|current| !is_fallback(current, subject)) {
            return refused("the tag for it names another manifest");
        }
        if wrote && current.is_none() {
            return refused("does not keep the tag for it");
        }
        let current = current.as_ref().map(|manifest| manifest.bytes.as_slice());
        let Some(updated) = with_entries(current, entries).context(format!("add to the index {tag}"))? else {
            return Ok(Round::Complete);
        };
        Ok(match self.put_always(tag, &updated, INDEX_TYPE)? {
            Ok(_) => Round::Wrote,
            Err(why) => Round::Refused(why.context(no_list("refuses the tag for it"))),
        })
    }
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
}
