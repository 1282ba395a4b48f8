//! Blobs, manifests and tags on their way in, through everything that can happen to them.

use std::cell::RefCell;

use super::fault_proxy::{Fault, FaultProxy};
use super::live::Live;
use super::*;

fn stage() -> Option<(Live, FaultProxy, Client, Reference)> {
    let live = Live::docker()?;
    let proxy = FaultProxy::start(live.address);
    let registry = proxy.registry();
    let (client, _) = client(&registry, None);
    Some((live, proxy, client, reference(&registry, "a/b:t")))
}

/// The blob with a digest in the registry.
fn pulled(client: &Client, image: &Reference, blob: &[u8]) -> Vec<u8> {
    let mut sink = Vec::new();
    client.blob(image, &Digest::of(blob), blob.len() as u64, &mut sink, &|_| ()).unwrap();
    sink
}

#[test]
fn a_blob_is_sent_once() {
    let Some((_live, proxy, client, image)) = stage() else { return };
    for blob in [bytes(500_000), Vec::new()] {
        let digest = Digest::of(&blob);
        assert!(!client.has_blob(&image, &digest).unwrap());
        let told = RefCell::new(Vec::new());
        let note = |bytes| told.borrow_mut().push(bytes);
        let size = blob.len() as u64;
        let pushed = client.push_blob(&image, &mut open(&blob), &digest, size, &note).unwrap();
        assert_eq!(pushed, Pushed::Sent);
        assert!(told.borrow().is_sorted() && told.borrow().last().copied().unwrap_or(0) == size);
        assert!(client.has_blob(&image, &digest).unwrap());
        assert_eq!(push(&client, &image, &blob).unwrap().1, Pushed::Present);
        assert_eq!(pulled(&client, &image, &blob), blob);
    }
    assert_eq!(proxy.count("PUT", "/blobs/uploads/"), 2);
}

#[test]
fn failures_in_bursts_are_survived() {
    let Some((_live, proxy, client, image)) = stage() else { return };
    let blob = bytes(200_000);
    proxy.on("POST", "/blobs/uploads/", 1, Fault::Answer(500, Vec::new(), ""));
    proxy.on("PUT", "/blobs/uploads/", 2, Fault::Answer(502, Vec::new(), ""));
    let forgotten = r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#;
    proxy.on("PUT", "/blobs/uploads/", 1, Fault::Answer(404, Vec::new(), forgotten));
    proxy.on("HEAD", "/blobs/", 1, Fault::Answer(503, Vec::new(), ""));
    assert_eq!(push(&client, &image, &blob).unwrap().1, Pushed::Sent);
    assert_eq!(pulled(&client, &image, &blob), blob);
}

#[test]
fn a_rate_limit_of_head_is_told_apart_from_a_missing_permission() {
    let Some((_live, proxy, client, image)) = stage() else { return };
    let blob = bytes(1000);
    let (digest, _) = push(&client, &image, &blob).unwrap();
    let limit = r#"{"errors":[{"code":"DENIED","message":"You have exceeded a secondary rate limit"}]}"#;
    let denied = r#"{"errors":[{"code":"DENIED","message":"no such right"}]}"#;
    // HEAD refused and GET not: it has passed. Both limited: waited for.
    proxy.on("HEAD", "/blobs/", 1, Fault::Answer(403, Vec::new(), limit));
    assert!(client.has_blob(&image, &digest).unwrap());
    proxy.on("HEAD", "/blobs/", 1, Fault::Answer(403, Vec::new(), limit));
    proxy.on("GET", "/blobs/", 1, Fault::Answer(403, Vec::new(), limit));
    assert!(client.has_blob(&image, &digest).unwrap());
    proxy.on("HEAD", "/blobs/", 1, Fault::Answer(403, Vec::new(), limit));
    assert!(!client.has_blob(&image, &Digest::of(b"not there")).unwrap());
    proxy.on("HEAD", "/blobs/", 1, Fault::Answer(403, Vec::new(), denied));
    proxy.on("GET", "/blobs/", 1, Fault::Answer(403, Vec::new(), denied));
    // A client that has written nothing cannot tell a refusal from what is not there.
    let (reader, _) = super::client(&proxy.registry(), None);
    let text = shown(&reader.has_blob(&image, &digest).unwrap_err());
    assert!(text.contains("no such right"), "{text}");
}

#[test]
fn a_broken_upload_restarts_if_the_registry_reports_no_offset() {
    let Some((_live, proxy, client, image)) = stage() else { return };
    let blob = bytes(400_000);
    proxy.on("PUT", "/blobs/uploads/", 1, Fault::CutRequest(150_000));
    assert_eq!(push(&client, &image, &blob).unwrap().1, Pushed::Sent);
    assert_eq!(pulled(&client, &image, &blob), blob);
    assert_eq!((proxy.count("POST", "/uploads/"), proxy.count("PUT", "/uploads/")), (2, 2));
}

#[test]
fn a_broken_upload_resumes_in_chunks_if_the_registry_reports_its_offset() {
    let Some((_live, proxy, client, image)) = stage() else { return };
    let blob = bytes(9_500_000);
    proxy.resumable();
    proxy.on("PUT", "/blobs/uploads/", 1, Fault::CutRequest(1_000_000));
    proxy.on("PATCH", "/blobs/uploads/", 1, Fault::CutRequest(500_000));
    assert_eq!(push(&client, &image, &blob).unwrap().1, Pushed::Sent);
    assert_eq!(pulled(&client, &image, &blob), blob);
    let patches: Vec<_> = proxy.seen().into_iter().filter(|seen| seen.method == "PATCH").collect();
    let ranges: Vec<_> = patches.iter().map(|seen| seen.headers["content-range"].as_str()).collect();
    assert_eq!(ranges, ["1000000-4999999", "1500000-5499999", "5500000-9499999"]);
    assert_eq!(proxy.count("POST", "/uploads/"), 1);
}

#[test]
fn an_upload_with_a_lost_answer_is_not_sent_again() {
    let Some((_live, proxy, client, image)) = stage() else { return };
    proxy.on("PUT", "/blobs/uploads/", 1, Fault::LoseAnswer);
    assert_eq!(push(&client, &image, &bytes(1000)).unwrap().1, Pushed::Sent);
    assert_eq!(proxy.count("PUT", "/uploads/"), 1);
}

#[test]
fn a_source_that_fails_is_named_and_not_tried_again() {
    let Some((_live, proxy, client, image)) = stage() else { return };
    let short = bytes(100);
    let error = client.push_blob(&image, &mut open(&short), &Digest::of(b"x"), 200, &|_| ()).unwrap_err();
    let text = shown(&error);
    assert!(text.contains("cannot read what is to be sent: it ends 100 bytes early"), "{text}");
    let mut gone = || Err(io::Error::other("the file is gone"));
    let error = client.push_blob(&image, &mut gone, &Digest::of(b"x"), 200, &|_| ()).unwrap_err();
    assert!(shown(&error).contains("the file is gone"));
    let error = client.push_blob(&image, &mut open(&short), &Digest::of(b"x"), 100, &|_| ()).unwrap_err();
    assert!(shown(&error).contains("DIGEST_INVALID"));
    assert_eq!(proxy.count("PUT", "/uploads/"), 2);
}

#[test]
fn a_blob_is_mounted_from_a_repository_that_has_it() {
    let Some((_live, _proxy, client, image)) = stage() else { return };
    let (digest, _) = push(&client, &image, b"shared").unwrap();
    let other = reference(image.registry(), "c/d:t");
    assert!(client.mount_blob(&other, &image, &digest).unwrap());
    assert!(client.has_blob(&other, &digest).unwrap());
    assert!(!client.mount_blob(&other, &image, &Digest::of(b"no such")).unwrap());
    assert!(!client.mount_blob(&other, &reference("ghcr.io", "a/b"), &digest).unwrap());
}

#[test]
fn a_manifest_is_stored_unchanged() {
    let Some((_live, proxy, client, image)) = stage() else { return };
    let manifest = push_image(&client, &image, b"layer");
    let digest = Digest::of(&manifest);
    assert_eq!(client.manifest(&image).unwrap().bytes, manifest);
    let by_digest = reference(image.registry(), "a/b").with_digest(digest);
    assert_eq!(client.put_manifest(&by_digest, &manifest, MANIFEST_TYPES[1]).unwrap(), digest);
    let other = by_digest.with_digest(Digest::of(b"other"));
    let error = client.put_manifest(&other, &manifest, MANIFEST_TYPES[1]).unwrap_err();
    assert!(shown(&error).contains(&format!("has the digest {digest}")));
    let wrong = Digest::of(b"other").to_string();
    proxy.on("PUT", "/manifests/", 1, Fault::Header("Docker-Content-Digest", wrong));
    let error = client.put_manifest(&image, &manifest, MANIFEST_TYPES[1]).unwrap_err();
    assert!(shown(&error).contains("and the registry stored"));
    let elsewhere = reference(image.registry(), "x/y:t");
    let error = client.put_manifest(&elsewhere, &manifest, MANIFEST_TYPES[1]).unwrap_err();
    assert!(shown(&error).contains("MANIFEST_BLOB_UNKNOWN"), "{error:?}");
}

#[test]
fn tags_are_listed_over_all_pages() {
    let Some((_live, proxy, client, image)) = stage() else { return };
    assert!(client.tags(&image).unwrap().is_empty());
    push_image(&client, &image, b"layer");
    push_image(&client, &image.with_tag("u").unwrap(), b"layer");
    assert_eq!(client.tags(&image).unwrap(), ["t", "u"]);
    let link = |target: &str| vec![("Link", format!(r#"<{target}>; rel="next""#))];
    let page = r#"{"name":"a/b","tags":["s","9.9.9+x"]}"#;
    proxy.on("GET", "n=1000", 2, Fault::Answer(200, link("/v2/a/b/tags/list?n=2&last=s"), page));
    assert_eq!(client.tags(&image).unwrap(), ["s", "t", "u"]);
    assert_eq!(client.listed_tags(&image).unwrap(), ["s", "9.9.9+x", "t", "u"]);
    // A host and a path that only the registry knows.
    proxy.on("GET", "n=1000", 1, Fault::Answer(200, link("http://127.0.0.2:1/x/tags/list?last=t"), page));
    assert_eq!(client.tags(&image).unwrap(), ["s", "t", "u"]);
    proxy.on("GET", "n=1000", 1, Fault::Answer(400, Vec::new(), "n is too large"));
    assert_eq!(client.tags(&image).unwrap(), ["t", "u"]);
    proxy.on("GET", "/tags/list", 999, Fault::Answer(200, link("?n=1000"), page));
    let error = client.tags(&image).unwrap_err();
    assert!(shown(&error).contains("the page that was just read"));
}

#[test]
fn a_manifest_is_deleted_where_the_registry_does_that() {
    let Some((_live, _proxy, client, image)) = stage() else { return };
    let digest = Digest::of(&push_image(&client, &image, b"layer"));
    let by_digest = image.with_digest(digest);
    assert!(client.delete_manifest(&image).is_err());
    assert!(client.delete_manifest(&by_digest).unwrap());
    assert!(!client.delete_manifest(&by_digest).unwrap());

    let Some(keeper) = Live::docker_with("", false) else { return };
    let image = reference(&keeper.registry(), "a/b:t");
    push_image(&client, &image, b"layer");
    let error = client.delete_manifest(&image.with_digest(digest)).unwrap_err();
    assert!(shown(&error).contains("does not support this operation"));
}
