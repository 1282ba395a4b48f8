//! Referrers, in registries with and without an API for them.

use serde_json::{Value, json};

use super::fault_proxy::{Fault, FaultProxy};
use super::live::Live;
use super::*;

fn stage() -> Option<(Live, FaultProxy, Client, Reference, Digest)> {
    let live = Live::crane()?;
    let proxy = FaultProxy::start(live.address);
    let (client, _) = client(&proxy.registry(), None);
    let image = reference(&proxy.registry(), "a/b:t");
    let subject = Digest::of(&push_image(&client, &image, b"layer"));
    Some((live, proxy, client, image, subject))
}

/// An artifact that refers to `subject`, its config and layer pushed.
fn artifact(client: &Client, image: &Reference, subject: &Digest, kind: &str, note: &str) -> Vec<u8> {
    push(client, image, b"{}").unwrap();
    let empty =
        json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}"), "size": 2 });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPES[1],
        "artifactType": kind,
        "config": empty,
        "layers": [empty],
        "subject": { "mediaType": MANIFEST_TYPES[1], "digest": subject, "size": 1 },
        "annotations": { "note": note },
    });
    serde_json::to_vec(&manifest).unwrap()
}

fn fallback(image: &Reference, subject: &Digest) -> Reference {
    image.with_tag(&format!("sha256-{}", subject.hex())).unwrap()
}

#[test]
fn without_the_api_the_list_is_kept_under_the_fallback_tag() {
    let Some((_live, _proxy, client, image, subject)) = stage() else { return };
    assert_eq!(client.referrers(&image, &subject, None).unwrap(), []);
    let first = artifact(&client, &image, &subject, "application/one", "1");
    let second = artifact(&client, &image, &subject, "application/two", "2");
    for manifest in [&first, &second, &first] {
        let digest = client.put_referrer(&image, manifest, MANIFEST_TYPES[1]).unwrap();
        assert_eq!(digest, Digest::of(manifest));
    }
    let all = client.referrers(&image, &subject, None).unwrap();
    assert_eq!(
        all.iter().map(|one| one.digest).collect::<Vec<_>>(),
        [Digest::of(&first), Digest::of(&second)]
    );
    assert_eq!(all[0].annotations["note"], "1");
    assert_eq!(all[0].size, first.len() as u64);
    let two = client.referrers(&image, &subject, Some("application/two")).unwrap();
    assert_eq!(two, all[1..]);
    assert_eq!(client.referrers(&image, &subject, Some("application/three")).unwrap(), []);
    let index = client.manifest(&fallback(&image, &subject)).unwrap();
    assert_eq!(index.media_type, MANIFEST_TYPES[0]);
}

#[test]
fn several_are_listed_in_one_go() {
    let Some((_live, proxy, client, image, subject)) = stage() else { return };
    let kinds = ["application/one", "application/two", "application/three"];
    let all = kinds.map(|kind| artifact(&client, &image, &subject, kind, "1"));
    let slices = all.each_ref().map(Vec::as_slice);
    // The registry takes note of the first that comes, and the list has the others.
    proxy.on("PUT", "/manifests/sha256:", 1, Fault::Header("OCI-Subject", subject.to_string()));
    let digests = client.put_referrers(&image, &slices, MANIFEST_TYPES[1]).unwrap();
    assert_eq!(digests, slices.map(Digest::of));
    assert_eq!(client.referrers(&image, &subject, None).unwrap().len(), 2);
    client.put_referrers(&image, &slices, MANIFEST_TYPES[1]).unwrap();
    let listed = client.referrers(&image, &subject, None).unwrap();
    let listed: std::collections::BTreeSet<_> = listed.iter().map(|one| one.digest).collect();
    assert_eq!(listed, digests.iter().copied().collect());
    let other = artifact(&client, &image, &digests[0], "application/one", "1");
    let error = client.put_referrers(&image, &[&all[0], &other], MANIFEST_TYPES[1]).unwrap_err();
    assert!(shown(&error).contains("several subjects"));
}

#[test]
fn a_referrer_missing_from_the_list_is_listed_again() {
    let Some((_live, proxy, client, image, subject)) = stage() else { return };
    let [ours, theirs] =
        ["application/one", "application/two"].map(|kind| artifact(&client, &image, &subject, kind, "1"));
    let listed = || {
        let all = client.referrers(&image, &subject, None).unwrap();
        all.iter().map(|one| one.digest).collect::<Vec<_>>()
    };
    // The registry says that it took note, and has no list.
    proxy.on("PUT", "/manifests/sha256:", 1, Fault::Header("OCI-Subject", subject.to_string()));
    client.put_referrers(&image, &[&ours], MANIFEST_TYPES[1]).unwrap();
    assert_eq!(listed(), []);
    client.keep_referrers(&image, &[&ours], MANIFEST_TYPES[1]).unwrap();
    assert_eq!(listed(), [Digest::of(&ours)]);
    // Another run read the list before and writes it afterwards.
    let tag = fallback(&image, &subject);
    let before = json!({ "schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "manifests": [] });
    client.put_manifest(&tag, before.to_string().as_bytes(), MANIFEST_TYPES[0]).unwrap();
    client.put_referrers(&image, &[&theirs], MANIFEST_TYPES[1]).unwrap();
    client.keep_referrers(&image, &[&ours], MANIFEST_TYPES[1]).unwrap();
    assert_eq!(listed(), [Digest::of(&theirs), Digest::of(&ours)]);
    // A list of the registry's own that never has it.
    let other = r#"{"schemaVersion":2,"manifests":[{"mediaType":"m","size":1,"artifactType":"t",
        "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}"#;
    let index = || vec![("Content-Type", MANIFEST_TYPES[0].to_owned())];
    proxy.on("GET", "/referrers/", 9, Fault::Answer(200, index(), other));
    let error = client.keep_referrers(&image, &[&ours], MANIFEST_TYPES[1]).unwrap_err();
    assert!(shown(&error).contains("does not list them"), "{}", shown(&error));
}

#[test]
fn with_the_api_no_tag_is_written() {
    let Some((_live, proxy, client, image, subject)) = stage() else { return };
    let manifest = artifact(&client, &image, &subject, "application/one", "1");
    proxy.on("PUT", "/manifests/", 1, Fault::Header("OCI-Subject", subject.to_string()));
    client.put_referrer(&image, &manifest, MANIFEST_TYPES[1]).unwrap();
    assert_eq!(client.head_manifest(&fallback(&image, &subject)).unwrap(), None);
    let list = r#"{"schemaVersion":2,"manifests":[{"mediaType":"m","size":1,"artifactType":"t",
        "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}"#;
    let index = || vec![("Content-Type", MANIFEST_TYPES[0].to_owned())];
    proxy.on("GET", "/referrers/", 2, Fault::Answer(200, index(), list));
    let found = client.referrers(&image, &subject, None).unwrap();
    assert_eq!(found[0].digest, Digest::of(b""));
    assert_eq!(client.referrers(&image, &subject, Some("other")).unwrap(), []);
}

#[test]
fn a_registry_without_the_referrers_api_gets_the_fallback_tag() {
    let Some((_live, proxy, client, image, subject)) = stage() else { return };
    let manifest = artifact(&client, &image, &subject, "application/one", "1");
    client.put_referrer(&image, &manifest, MANIFEST_TYPES[1]).unwrap();
    let away = vec![("Location", "https://192.0.2.1/browser".to_owned())];
    let empty = r#"{"schemaVersion":2,"manifests":[]}"#;
    for fault in [
        Fault::Answer(404, Vec::new(), "404 page not found"),
        Fault::Answer(303, away, ""),
        Fault::Answer(200, Vec::new(), "<html>"),
        Fault::Answer(200, Vec::new(), empty),
        Fault::Answer(405, Vec::new(), ""),
        Fault::Answer(401, Vec::new(), ""),
        Fault::Answer(403, Vec::new(), ""),
        Fault::Answer(410, Vec::new(), ""),
    ] {
        proxy.on("GET", "/referrers/", 1, fault.clone());
        let found = client.referrers(&image, &subject, Some("application/one")).unwrap();
        assert_eq!(found.len(), 1, "{fault:?}");
    }
    // The list of tags has the list's tag: it is the right to read that is missing.
    proxy.on("GET", "/referrers/", 1, Fault::Answer(403, Vec::new(), ""));
    proxy.on("GET", "/manifests/sha256-", 1, Fault::Answer(403, Vec::new(), ""));
    assert!(client.referrers(&image, &subject, None).is_err());
}

#[test]
fn lists_of_other_tools_are_understood_and_kept() {
    let Some((_live, _proxy, client, image, subject)) = stage() else { return };
    let bare = artifact(&client, &image, &subject, "application/one", "1");
    let by_digest = image.with_digest(Digest::of(&bare));
    client.put_manifest(&by_digest, &bare, MANIFEST_TYPES[1]).unwrap();
    let entry = json!({
        "mediaType": MANIFEST_TYPES[1],
        "digest": Digest::of(&bare),
        "size": bare.len(),
        "artifactType": "application/vnd.oci.empty.v1+json",
        "x-other": 5,
    });
    let list =
        json!({ "schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "manifests": [entry], "x-top": 1 });
    let tag = fallback(&image, &subject);
    client.put_manifest(&tag, list.to_string().as_bytes(), MANIFEST_TYPES[0]).unwrap();
    let found = client.referrers(&image, &subject, Some("application/one")).unwrap();
    assert_eq!((found.len(), found[0].annotations["note"].as_str()), (1, "1"));

    let ours = artifact(&client, &image, &subject, "application/two", "2");
    client.put_referrer(&image, &ours, MANIFEST_TYPES[1]).unwrap();
    let index: Value = serde_json::from_slice(&client.manifest(&tag).unwrap().bytes).unwrap();
    assert_eq!((&index["manifests"][0], &index["x-top"]), (&entry, &json!(1)));
    assert_eq!(index["manifests"][1]["artifactType"], "application/two");
}

#[test]
fn a_tag_that_is_no_list_is_neither_read_nor_overwritten() {
    let Some((_live, _proxy, client, image, subject)) = stage() else { return };
    let tag = fallback(&image, &subject);
    let manifest = client.manifest(&image).unwrap();
    client.put_manifest(&tag, &manifest.bytes, &manifest.media_type).unwrap();
    assert_eq!(client.referrers(&image, &subject, None).unwrap(), []);
    let ours = artifact(&client, &image, &subject, "application/one", "1");
    let text = shown(&client.put_referrer(&image, &ours, MANIFEST_TYPES[1]).unwrap_err());
    assert!(text.contains("the tag for it names another manifest"), "{text}");
    assert_eq!(client.manifest(&tag).unwrap(), manifest);
    // Somebody's image of several platforms is no list either.
    let entry = json!({
        "mediaType": MANIFEST_TYPES[1], "digest": manifest.digest, "size": manifest.bytes.len(),
        "platform": { "os": "linux", "architecture": "amd64" },
    });
    let index = json!({ "schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "manifests": [entry] });
    client.put_manifest(&tag, index.to_string().as_bytes(), MANIFEST_TYPES[0]).unwrap();
    assert_eq!(client.referrers(&image, &subject, None).unwrap(), []);
    let text = shown(&client.put_referrer(&image, &ours, MANIFEST_TYPES[1]).unwrap_err());
    assert!(text.contains("the tag for it names another manifest"), "{text}");
    let error = client.put_referrer(&image, &manifest.bytes, MANIFEST_TYPES[1]).unwrap_err();
    assert!(shown(&error).contains("refers to no subject"));
}
