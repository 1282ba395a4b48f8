//! Listing tags (distribution-spec, "Listing Tags"), and lists in pages in general.

use anyhow::Result;
use serde_json::Value;
use ureq::http::header::LINK;
use ureq::http::{Method, Uri};

use super::client::Client;
use super::pull::pull_scope;
use super::reference::Reference;
use super::retry::RequestError;
use super::session::{Call, Content, Session};
use super::url;
use super::wire::{Redirects, Response};
use cli_support::error::Fault;

/// The most that is read of a list: pages, and bytes in all.
pub(super) const MAX_PAGES: usize = 100;
pub(super) const MAX_LIST_BYTES: u64 = 16 * 1024 * 1024;

impl Client {
    /// All tags of the repository of `reference`, as the registry orders them; none where it does not
    /// know the repository. An error beyond 100 pages or 16 MiB, and where an answer has no list. A name that
    /// no image can have is left out: it may contain terminal control characters.
    pub fn tags(&self, reference: &Reference) -> Result<Vec<String>> {
        self.tags_or_refusal(reference)?
    }

    /// The same; the inner error says that the registry gives no usable list of tags, which it need not be able to
    /// (distribution-spec, "Content Discovery").
    pub fn tags_or_refusal(&self, reference: &Reference) -> Result<Result<Vec<String>>> {
        let mut tags = self.pages_of_tags(reference)?;
        if let Ok(tags) = &mut tags {
            tags.retain(|tag| Reference::is_tag(tag));
        }
        Ok(tags)
    }

    /// Whether a refusal to read a manifest means that there is none, as some registries answer 401 or 403
    /// for a tag that is not there. The list of tags decides; where it says nothing, that the repository took
    /// a write with these credentials.
    pub(super) fn is_absent(&self, reference: &Reference) -> Result<bool> {
        let session = self.session(reference).map_err(|failure| failure.error)?;
        let tags = match reference.digest() {
            None => self.pages_of_tags(reference)?.unwrap_or_default(),
            Some(_) => Vec::new(),
        };
        Ok(match &tags[..] {
            [] => session.is_writable(reference.repository()),
            tags => !tags.contains(&reference.wanted()),
        })
    }

    /// The same with the names that no image can have: an image may have one all the same, where a registry
    /// is not strict.
    pub fn listed_tags(&self, reference: &Reference) -> Result<Vec<String>> {
        self.pages_of_tags(reference)?
    }

    fn pages_of_tags(&self, reference: &Reference) -> Result<Result<Vec<String>>> {
        let session = self.session(reference).map_err(|failure| failure.error)?;
        let url = |query: &str| {
            let url = session.url(&format!("v2/{}/tags/list{query}", reference.repository()));
            url.map_err(|failure| failure.error)
        };
        let plain = url("")?;
        // A list that is wrong or cut short is as good as none.
        let unusable = |what: &str, page: &Uri| Ok(Err(Fault::failed(what).at(url::shown(page)).into()));
        let mut next = Some(url("?n=1000")?);
        let mut tags = Vec::new();
        let mut left = MAX_LIST_BYTES;
        let mut pages = 0;
        while pages < MAX_PAGES {
            let Some(page) = next else { return Ok(Ok(tags)) };
            let scopes = pull_scope(reference);
            let answer = self.retry_or_refusal(|| {
                let mut call = Call {
                    method: Method::GET,
                    url: page.clone(),
                    headers: Vec::new(),
                    scopes: &scopes,
                    content: Content::None,
                    redirects: Redirects::Any,
                };
                let answer = session.expect(&mut call, &[200, 404])?;
                if answer.status.as_u16() == 404 {
                    return Ok((None, None));
                }
                let following = next_page(&session, &page, &answer)?;
                Ok((Some(answer.read(left)?), following))
            })?;
            let (body, following) = match answer {
                Ok(page) => page,
                // Some registries allow fewer entries a page, and say so by a refusal.
                Err(_) if pages == 0 && page != plain => {
                    next = Some(plain.clone());
                    continue;
                }
                Err(refused) => return Ok(Err(refused)),
            };
            pages += 1;
            let Some(body) = body else {
                // Unknown is the repository or nothing: a later page that is gone is a list cut short.
                if tags.is_empty() {
                    return Ok(Ok(tags));
                }
                return unusable("the list of tags breaks off", &page);
            };
            left = left.saturating_sub(body.len() as u64);
            let Some(read) = page_of(&body) else {
                return unusable("the registry answers with something that is no list of tags", &page);
            };
            tags.extend(read);
            next = following;
        }
        unusable(&format!("the list of tags has more than {MAX_PAGES} pages"), &plain)
    }
}

/// The tags of one answer, which must have a list of them; some registries give null for an empty one.
fn page_of(body: &[u8]) -> Option<Vec<String>> {
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    match answer.get_mut("tags")?.take() {
        Value::Null => Some(Vec::new()),
        tags => serde_json::from_value(tags).ok(),
    }
}

/// The page after `page`. A registry behind a proxy may name a host or a path that only it knows: what counts
/// of a link is its query, for the path that was asked for.
pub(super) fn next_page(
    session: &Session,
    page: &Uri,
    answer: &Response,
) -> Result<Option<Uri>, RequestError> {
    let mut links = answer.headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let Some(target) = links.find_map(next_link) else { return Ok(None) };
    let next = url::join(page, target).and_then(|next| match next.query() {
        Some(query) => url::join(page, &format!("?{query}")),
        None => session.own(&next).ok(),
    });
    let Some(next) = next else {
        let what = format!("the list goes on at something that is no URL: '{target}'");
        return Err(RequestError::permanent(Fault::failed(what).at(url::shown(&answer.url))));
    };
    if next == *page {
        let what = "the list goes on at the page that was just read";
        return Err(RequestError::permanent(Fault::failed(what).at(url::shown(&answer.url))));
    }
    Ok(Some(next))
}

/// The target of the link with the relation `next` (RFC 8288, section 3).
fn next_link(value: &str) -> Option<&str> {
    let mut rest = value;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        // A parameter ends the link at a comma outside of quotes.
        let mut quoted = false;
        let end = after.find(|c: char| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        let (params, following) = after.split_at(end.unwrap_or(after.len()));
        let is_next = |param: &str| {
            param.split_once('=').is_some_and(|(name, value)| {
                name.trim().eq_ignore_ascii_case("rel")
                    && value.trim().trim_matches('"').split(' ').any(|one| one.eq_ignore_ascii_case("next"))
            })
        };
        if params.split(';').any(is_next) {
            return Some(target);
        }
        rest = following;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_list_is_told_apart_from_other_json() {
        for (body, expected) in [
            (r#"{"name":"a","tags":["1","2"]}"#, Some(2)),
            (r#"{"tags":[]}"#, Some(0)),
            (r#"{"tags":["1.2.3","9.9.9+x","\u001b[31m","","a/b"]}"#, Some(5)),
            (r#"{"name":"a","tags":null}"#, Some(0)),
            ("{}", None),
            (r#"{"errors":[]}"#, None),
            (r#"{"tags":"1"}"#, None),
            (r#"{"tags":[1]}"#, None),
            ("[]", None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(page_of(body.as_bytes()).map(|tags| tags.len()), expected, "{body}");
        }
    }

    #[test]
    fn the_next_page_is_found_among_links() {
        let cases = [
            (r#"</v2/a/tags/list?n=2&last=b>; rel="next""#, Some("/v2/a/tags/list?n=2&last=b")),
            ("</x>; rel=next", Some("/x")),
            (r#"</a>; rel="prev"; title="a, <b>", </c?x,y>; rel="last next""#, Some("/c?x,y")),
            (r#"</a>; REL="NEXT""#, Some("/a")),
            (r#"</a>; rel="prev""#, None),
            ("</a", None),
            ("", None),
        ];
        for (value, expected) in cases {
            assert_eq!(next_link(value), expected, "{value}");
        }
    }
}
