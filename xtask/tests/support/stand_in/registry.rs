//! The distribution API, with the habits.

use serde_json::{Value, json};

use super::http::{Answer, Asked};
use super::{Habit, Repository, Shared};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// `sha256:` and 64 digits.
fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |out, byte| out + &format!("{byte:02x}"))
}

impl Shared {
    pub(super) fn registry(&self, asked: &Asked) -> Answer {
        if let Some(name) = asked.path.strip_prefix("/storage/") {
            return self.storage(asked, name);
        }
        let Some(rest) = asked.path.strip_prefix("/v2/") else { return Answer::error(404, "NOT_FOUND") };
        for (mark, route) in [
            ("/blobs/uploads/", Self::upload as fn(&Self, &Asked, &str, &str) -> Answer),
            ("/blobs/", Self::blob),
            ("/manifests/", Self::manifest),
            ("/tags/", Self::tags),
            ("/referrers/", Self::referrers),
        ] {
            if let Some((repository, name)) = rest.split_once(mark) {
                return route(self, asked, repository, name);
            }
        }
        Answer::error(404, "NOT_FOUND")
    }

    fn with<T>(&self, repository: &str, look: impl FnOnce(&mut Repository) -> T) -> T {
        look(self.state().repositories.entry(repository.to_owned()).or_default())
    }

    /// The storage behind the registry: no HEAD, and nothing without its signature.
    fn storage(&self, asked: &Asked, name: &str) -> Answer {
        let refused = habit!(self, Habit::HeadRedirects(status) => status);
        if let Some(status) = refused.filter(|_| asked.method == "HEAD") {
            return Answer::new(status).bytes(b"<Error><Code>SignatureDoesNotMatch</Code></Error>");
        }
        let state = self.state();
        let bytes = state.repositories.values().find_map(|known| known.blobs.get(name));
        bytes.map_or(Answer::new(404), |bytes| part(asked, bytes))
    }

    fn blob(&self, asked: &Asked, repository: &str, name: &str) -> Answer {
        let Some(bytes) = self.with(repository, |known| known.blobs.get(name).cloned()) else {
            let status = habit!(self, Habit::MissingBlob(status) => status);
            return Answer::error(status.unwrap_or(404), "BLOB_UNKNOWN");
        };
        if let Some(status) =
            habit!(self, Habit::NoHeadBlob(status) => status).filter(|_| asked.method == "HEAD")
        {
            return Answer::error(status, "UNSUPPORTED");
        }
        if habit!(self, Habit::HeadRedirects(_) => ()).is_some() {
            return Answer::new(307).with("Location", &format!("http://{}/storage/{name}", self.address));
        }
        part(asked, &bytes)
    }

    fn upload(&self, asked: &Asked, repository: &str, name: &str) -> Answer {
        let name = asked.query.get("state").map_or(name, String::as_str).to_owned();
        let patched = habit!(self, Habit::Patch(status) => status);
        let at = |id: &str| match habit!(self, Habit::Location(begin) => begin) {
            Some(".") => format!("x?state={id}&sig=a%2Fb"),
            Some(begin) => format!("{begin}/v2/{repository}/blobs/uploads/x?state={id}&sig=a%2Fb"),
            None => format!("http://{}/v2/{repository}/blobs/uploads/{id}", self.address),
        };
        let goes_on = |status: u16, id: &str, bytes: usize| {
            let answer = Answer::new(patched.unwrap_or(status)).with("Location", &at(id));
            let answer = answer.with("Range", &format!("0-{}", bytes.saturating_sub(1)));
            match habit!(self, Habit::MinChunk(length) => length) {
                Some(length) => answer.with("OCI-Chunk-Min-Length", &length.to_string()),
                None => answer,
            }
        };
        match asked.method.as_str() {
            "POST" if asked.query.contains_key("mount") => {
                let refused = habit!(self, Habit::NoMount(status) => status);
                refused.map_or_else(|| goes_on(202, "0", 0), |status| Answer::error(status, "UNSUPPORTED"))
            }
            "POST" => {
                let id = self.with(repository, |known| {
                    let id = known.uploads.len().to_string();
                    known.uploads.insert(id.clone(), Vec::new());
                    id
                });
                goes_on(202, &id, 0)
            }
            "PUT" => {
                let wanted = asked.query.get("digest").cloned().unwrap_or_default();
                if habit!(self, Habit::BreaksUploads(_) => ()).is_some()
                    && self.breaks(asked, repository, &name)
                {
                    return Answer::none();
                }
                let right = self.with(repository, |known| {
                    let mut bytes = known.uploads.get(&name)?.clone();
                    bytes.extend(&asked.body);
                    (digest(&bytes) == wanted).then(|| known.blobs.insert(wanted, bytes))
                });
                let status = habit!(self, Habit::PutBlob(status) => status).unwrap_or(201);
                right.map_or_else(|| Answer::error(400, "DIGEST_INVALID"), |_| Answer::new(status))
            }
            "DELETE" => Answer::new(if self.has(Habit::NoCancel) { 405 } else { 204 }),
            "GET" => self.with(repository, |known| {
                known.uploads.get(&name).map_or_else(
                    || Answer::error(404, "BLOB_UPLOAD_UNKNOWN"),
                    |bytes| goes_on(204, &name, bytes.len()),
                )
            }),
            "PATCH" => match habit!(self, Habit::BreaksUploads(status) => status) {
                Some(status) => Answer::error(status, "BLOB_UPLOAD_INVALID"),
                None => Answer::error(405, "UNSUPPORTED"),
            },
            _ => Answer::error(405, "UNSUPPORTED"),
        }
    }

    /// Whether the upload of a blob breaks off in its middle: the first one of each blob does.
    fn breaks(&self, asked: &Asked, repository: &str, name: &str) -> bool {
        let wanted = asked.query.get("digest").cloned().unwrap_or_default();
        self.with(repository, |known| {
            let is_first = !known.broken.contains(&wanted);
            if is_first {
                known.broken.push(wanted);
                let half = asked.body[..asked.body.len() / 2].to_vec();
                known.uploads.insert(name.to_owned(), half);
            }
            is_first
        })
    }

    fn manifest(&self, asked: &Asked, repository: &str, name: &str) -> Answer {
        match asked.method.as_str() {
            "PUT" => self.put(asked, repository, name),
            "DELETE" => {
                if let Some(status) = habit!(self, Habit::NoDelete(status) => status) {
                    return Answer::error(status, "UNSUPPORTED");
                }
                Answer::new(if self.with(repository, |known| known.remove(name)) { 202 } else { 404 })
            }
            "HEAD" => {
                let refused = habit!(self, Habit::NoHead(status) => status);
                refused.map_or_else(|| self.get(repository, name), Answer::new)
            }
            _ => self.get(repository, name),
        }
    }

    fn get(&self, repository: &str, name: &str) -> Answer {
        let as_digest = name.strip_prefix("sha256-").map(|hex| format!("sha256:{hex}"));
        let reads_digest = habit!(self, Habit::TagIsDigest { .. } => ());
        let found = self.with(repository, |known| {
            let tagged = known.tags.get(name).cloned();
            let wanted =
                tagged.or(as_digest.filter(|_| reads_digest.is_some())).unwrap_or_else(|| name.to_owned());
            known.manifests.iter().find(|(digest, _, _)| *digest == wanted).cloned()
        });
        let Some((digest, media_type, bytes)) = found else {
            let status = habit!(self, Habit::Missing(status) => status);
            return Answer::error(status.unwrap_or(404), "MANIFEST_UNKNOWN");
        };
        let served = habit!(self, Habit::ServedAs(kind) => kind).unwrap_or(&media_type);
        let answer = Answer::new(200).with("Content-Type", served).bytes(&bytes);
        if self.has(Habit::NoDigest) { answer } else { answer.with("Docker-Content-Digest", &digest) }
    }

    fn put(&self, asked: &Asked, repository: &str, name: &str) -> Answer {
        let own = digest(&asked.body);
        let manifest: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        let subject = manifest["subject"]["digest"].as_str().map(str::to_owned);
        if let Some(status) = habit!(self, Habit::RefusesSubject(status) => status)
            && subject.is_some()
        {
            return Answer::error(status, "MANIFEST_INVALID");
        }
        if let Some(status) = habit!(self, Habit::NeedsSubject(status) => status)
            && let Some(subject) = &subject
            && !self.with(repository, |known| known.manifests.iter().any(|(digest, _, _)| digest == subject))
        {
            return Answer::error(status, "MANIFEST_UNKNOWN");
        }
        let is_list = name.starts_with("sha256-");
        let refused = habit!(self, Habit::RefusesListTag(status) => status)
            .or(habit!(self, Habit::TagIsDigest { keeps: false } => 400));
        if let Some(status) = refused.filter(|_| is_list) {
            return Answer::error(status, "DIGEST_INVALID");
        }
        let lacks = self.with(repository, |known| {
            let parts =
                [&manifest["config"]].into_iter().chain(manifest["layers"].as_array().into_iter().flatten());
            let mut digests = parts.filter_map(|part| part["digest"].as_str());
            digests.any(|digest| !known.blobs.contains_key(digest))
        });
        if lacks {
            return Answer::error(404, "MANIFEST_BLOB_UNKNOWN");
        }
        self.with(repository, |known| {
            known.manifests.retain(|(digest, _, _)| *digest != own);
            known.manifests.push((own.clone(), asked.header("content-type").to_owned(), asked.body.clone()));
            if !name.starts_with("sha256:") {
                known.tags.insert(name.to_owned(), own.clone());
            }
        });
        let put = habit!(self, Habit::PutManifest(status) => status);
        let mut answer = Answer::new(put.unwrap_or(201));
        if !self.has(Habit::NoDigest) {
            answer = answer.with("Docker-Content-Digest", &own);
        }
        match subject.filter(|_| self.no_referrers().is_none()) {
            Some(subject) => answer.with("OCI-Subject", &subject),
            None => answer,
        }
    }

    fn tags(&self, asked: &Asked, repository: &str, _: &str) -> Answer {
        if let Some(status) = habit!(self, Habit::NoTags(status) => status) {
            return Answer::error(status, "UNSUPPORTED");
        }
        if let Some(body) = habit!(self, Habit::TagsPage(body) => body) {
            return Answer::new(200).with("Content-Type", "text/html").bytes(body.as_bytes());
        }
        let wanted = asked.query.get("n").and_then(|text| text.parse::<usize>().ok());
        if habit!(self, Habit::MaxPage(most) => most)
            .is_some_and(|most| wanted.is_some_and(|wanted| wanted > most))
        {
            return Answer::error(400, "PAGINATION_NUMBER_INVALID");
        }
        let tags: Vec<_> = self.with(repository, |known| known.tags.keys().cloned().collect());
        if tags.is_empty() {
            return Answer::error(404, "NAME_UNKNOWN");
        }
        let after = asked.query.get("last").cloned().unwrap_or_default();
        let left: Vec<_> = tags.into_iter().filter(|tag| *tag > after).collect();
        let pages = habit!(self, Habit::Pages(most, begin) => (most, begin));
        let (most, begin) = pages.unwrap_or((usize::MAX, ""));
        let page: Vec<_> = left.iter().take(most).collect();
        let answer = Answer::new(200).json(&json!({ "name": repository, "tags": page }).to_string());
        if self.has(Habit::EndlessTags) {
            let seen = asked.query.get("page").and_then(|page| page.parse::<u32>().ok()).unwrap_or(0);
            let next = format!("</v2/{repository}/tags/list?page={}>; rel=\"next\"", seen + 1);
            return answer.with("Link", &next);
        }
        match page.last().filter(|_| left.len() > most) {
            Some(last) => answer.with(
                "Link",
                &format!("<{begin}/v2/{repository}/tags/list?last={last}&n={most}>; rel=\"next\""),
            ),
            None => answer,
        }
    }

    /// The answer to requests of a missing referrers API.
    fn no_referrers(&self) -> Option<u16> {
        habit!(self, Habit::NoReferrers(status) => status)
            .or(habit!(self, Habit::TagIsDigest { .. } | Habit::RefusesListTag(_) => 404))
            .or(habit!(self, Habit::ReferrersPage(_) => 404))
    }

    fn referrers(&self, _: &Asked, repository: &str, subject: &str) -> Answer {
        if let Some(body) = habit!(self, Habit::ReferrersPage(body) => body) {
            return Answer::new(200).with("Content-Type", "text/html").bytes(body.as_bytes());
        }
        if let Some(status) = self.no_referrers() {
            return Answer::error(status, "NOT_FOUND");
        }
        let entries: Vec<_> = self.with(repository, |known| {
            let of = |(digest, media_type, bytes): &(String, String, Vec<u8>)| {
                let manifest: Value = serde_json::from_slice(bytes).ok()?;
                (manifest["subject"]["digest"] == subject).then(|| {
                    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len(),
                        "artifactType": manifest["artifactType"],
                        "annotations": manifest.get("annotations").unwrap_or(&json!({})) })
                })
            };
            known.manifests.iter().filter_map(of).collect()
        });
        let entries = if self.has(Habit::LosesReferrers) { Vec::new() } else { entries };
        let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
        Answer::new(200).with("Content-Type", INDEX).bytes(list.to_string().as_bytes())
    }
}

impl Repository {
    /// Removes a manifest by its digest, with its tags, or a tag.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let before = self.manifests.len() + self.tags.len();
        self.manifests.retain(|(digest, _, _)| digest != name);
        self.tags.retain(|tag, digest| tag != name && digest != name);
        before != self.manifests.len() + self.tags.len()
    }
}

/// A blob, or the part of it that was asked for.
fn part(asked: &Asked, bytes: &[u8]) -> Answer {
    let range = asked.header("range").strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    match range {
        Some((from, to)) => {
            let from: usize = from.parse().unwrap_or(0);
            let to = to.parse().map_or(bytes.len(), |to: usize| (to + 1).min(bytes.len()));
            let range = format!("bytes {from}-{}/{}", to.saturating_sub(1), bytes.len());
            Answer::new(206).with("Content-Range", &range).bytes(&bytes[from.min(to)..to])
        }
        None => Answer::new(200).bytes(bytes),
    }
}
