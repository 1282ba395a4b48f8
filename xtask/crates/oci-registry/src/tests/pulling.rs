//! Manifests and blobs, through everything that can happen to them.

use std::cell::RefCell;
use std::net::TcpListener;
use std::time::Duration;

use super::fault_proxy::{Fault, FaultProxy, Guard};
use super::live::Live;
use super::*;
use crate::retry::Policy;
use crate::url;
use crate::wire::{Ask, Payload, Redirects, Wire};

/// A registry with one image in it and a proxy in front; the image's layer and manifest.
struct Stage {
    live: Live,
    proxy: FaultProxy,
    registry: String,
    layer: Vec<u8>,
    manifest: Vec<u8>,
}

impl Stage {
    fn new() -> Option<Self> {
        let live = Live::docker()?;
        let layer = bytes(300_000);
        let direct = live.registry();
        let manifest = push_image(&client(&direct, None).0, &reference(&direct, "a/b:t"), &layer);
        let proxy = FaultProxy::start(live.address);
        let registry = proxy.registry();
        Some(Self { live, proxy, registry, layer, manifest })
    }

    fn image(&self) -> Reference {
        reference(&self.registry, "a/b:t")
    }

    fn pull_layer(&self, client: &Client) -> anyhow::Result<Vec<u8>> {
        let mut sink = Vec::new();
        let size = self.layer.len() as u64;
        client.blob(&self.image(), &Digest::of(&self.layer), size, &mut sink, &|_| ())?;
        Ok(sink)
    }
}

#[test]
fn a_pushed_image_is_pulled_by_tag_and_by_digest() {
    let Some(stage) = Stage::new() else { return };
    let (client, _) = client(&stage.registry, None);
    let by_tag = client.manifest(&stage.image()).unwrap();
    assert_eq!((&by_tag.bytes, by_tag.digest), (&stage.manifest, Digest::of(&stage.manifest)));
    let by_digest = stage.image().with_digest(by_tag.digest);
    assert_eq!(client.manifest(&by_digest).unwrap(), by_tag);
    let head = client.head_manifest(&stage.image()).unwrap().unwrap();
    assert_eq!((head.digest, head.size), (by_tag.digest, by_tag.bytes.len() as u64));
    assert_eq!(head.media_type, by_tag.media_type);
    assert_eq!(stage.pull_layer(&client).unwrap(), stage.layer);
}

#[test]
fn a_missing_manifest_is_none_for_head_and_an_error_for_get() {
    let Some(stage) = Stage::new() else { return };
    let (client, clock) = client(&stage.registry, None);
    let missing = reference(&stage.registry, "a/b:no");
    assert_eq!(client.head_manifest(&missing).unwrap(), None);
    let text = shown(&client.manifest(&missing).unwrap_err());
    assert!(text.contains("no such image") && text.contains("MANIFEST_UNKNOWN"), "{text}");
    assert!(clock.slept.lock().unwrap().is_empty());
}

#[test]
fn a_broken_download_resumes_at_its_offset() {
    let Some(stage) = Stage::new() else { return };
    for broken in [Fault::CutAnswer(100_000), Fault::Reset(100_000)] {
        let (client, _) = client(&stage.registry, None);
        stage.proxy.on("GET", "/blobs/", 2, broken);
        let told = RefCell::new(Vec::new());
        let mut sink = Vec::new();
        let size = stage.layer.len() as u64;
        let note = |bytes| told.borrow_mut().push(bytes);
        client.blob(&stage.image(), &Digest::of(&stage.layer), size, &mut sink, &note).unwrap();
        assert_eq!(sink, stage.layer);
        let told = told.into_inner();
        assert!(told.is_sorted() && told.last() == Some(&size), "{told:?}");
    }
    let ranges: Vec<_> =
        stage.proxy.seen().iter().filter_map(|seen| seen.headers.get("range").cloned()).collect();
    assert_eq!(ranges[..2], ["bytes=100000-", "bytes=200000-"]);
}

#[test]
fn a_server_that_ignores_ranges_is_supported() {
    let Some(stage) = Stage::new() else { return };
    let (client, _) = client(&stage.registry, None);
    stage.proxy.on("GET", "/blobs/", 1, Fault::CutAnswer(100_000));
    stage.proxy.on("GET", "/blobs/", 1, Fault::IgnoreRange);
    assert_eq!(stage.pull_layer(&client).unwrap(), stage.layer);
}

#[test]
fn silence_ends_after_the_idle_time_and_the_rest_is_fetched() {
    let Some(stage) = Stage::new() else { return };
    stage.proxy.on("GET", "/blobs/", 1, Fault::Stall(100_000));
    let idle = Timeouts { connect: Duration::from_secs(10), idle: Duration::from_secs(1) };
    let (client, _) = client(&stage.registry, None);
    let client = Client::new(Options { timeouts: idle, ..client.options.clone() });
    assert_eq!(stage.pull_layer(&client).unwrap(), stage.layer);
    assert!(stage.proxy.count("GET", "/blobs/") >= 2);
}

#[test]
fn a_download_below_the_minimum_throughput_is_retried() {
    let Some(stage) = Stage::new() else { return };
    stage.proxy.on("GET", "/blobs/", 1, Fault::Drip(20));
    let idle = Timeouts { connect: Duration::from_secs(10), idle: Duration::from_millis(200) };
    let (client, _) = client(&stage.registry, None);
    let client = Client::new(Options { timeouts: idle, ..client.options.clone() });
    let started = std::time::Instant::now();
    assert_eq!(stage.pull_layer(&client).unwrap(), stage.layer);
    assert!(started.elapsed() < Duration::from_mins(1));
    assert!(stage.proxy.count("GET", "/blobs/") >= 2);
}

#[test]
fn wrong_bytes_are_fetched_again_once_and_then_are_an_error() {
    let Some(stage) = Stage::new() else { return };
    let (client, _) = client(&stage.registry, None);
    stage.proxy.on("GET", "/blobs/", 1, Fault::Corrupt(7));
    assert_eq!(stage.pull_layer(&client).unwrap(), stage.layer);
    stage.proxy.on("GET", "/blobs/", 9, Fault::Corrupt(7));
    let text = shown(&stage.pull_layer(&client).unwrap_err());
    assert!(text.contains("sends other bytes than sha256:"), "{text}");
    assert_eq!(stage.proxy.count("GET", "/blobs/"), 4);

    let other = Digest::of(b"other").to_string();
    stage.proxy.on("GET", "/manifests/", 9, Fault::Header("Docker-Content-Digest", other));
    let text = shown(&client.manifest(&stage.image()).unwrap_err());
    assert!(text.contains("the manifest should be sha256:"), "{text}");
    assert_eq!(stage.proxy.count("GET", "/manifests/"), 2);
}

#[test]
fn a_blob_of_another_size_is_refused_before_it_is_read() {
    let Some(stage) = Stage::new() else { return };
    let (client, _) = client(&stage.registry, None);
    for size in [stage.layer.len() as u64 - 1, stage.layer.len() as u64 + 1] {
        let mut sink = Vec::new();
        let digest = Digest::of(&stage.layer);
        let error = client.blob(&stage.image(), &digest, size, &mut sink, &|_| ()).unwrap_err();
        assert!(shown(&error).contains("the registry sends 300000 bytes"), "{error:?}");
        assert!(sink.is_empty());
    }
}

#[test]
fn refusals_that_pass_are_waited_for_and_others_are_not() {
    let Some(stage) = Stage::new() else { return };
    let limit = r#"{"errors":[{"code":"DENIED","message":"You have exceeded a secondary rate limit."}]}"#;
    let after = |value: &str| vec![("Retry-After", value.to_owned())];
    for (fault, waited) in [
        (Fault::Answer(429, after("7"), ""), 7_000),
        (Fault::Answer(429, after("880.092µs"), ""), 0),
        (Fault::Answer(403, after("3"), "{}"), 3_000),
        (Fault::Answer(403, Vec::new(), limit), 0),
        (Fault::Answer(503, after("Tue, 14 Nov 2023 22:13:25 GMT"), "<html>"), 5_000),
        (Fault::Answer(500, Vec::new(), ""), 0),
        (Fault::Answer(408, Vec::new(), ""), 0),
        (Fault::CutAnswer(20), 0),
        (Fault::LoseAnswer, 0),
    ] {
        let (client, clock) = client(&stage.registry, None);
        stage.proxy.on("GET", "/manifests/", 2, fault.clone());
        client.manifest(&stage.image()).unwrap();
        let slept = clock.slept.lock().unwrap().clone();
        let [first, second] = slept[..] else { panic!("{fault:?}: {slept:?}") };
        let jitter = first.checked_sub(Duration::from_millis(waited)).unwrap();
        assert!(jitter <= Duration::from_millis(501) && second > first, "{fault:?}: {slept:?}");
    }
    let (client, clock) = client(&stage.registry, None);
    let denied = r#"{"errors":[{"code":"DENIED","message":"permission_denied: read_package"}]}"#;
    stage.proxy.on("GET", "/manifests/", 1, Fault::Answer(403, Vec::new(), denied));
    let text = shown(&client.manifest(&stage.image()).unwrap_err());
    assert!(text.contains("403") && text.contains("read_package") && text.contains("help:"), "{text}");
    assert!(clock.slept.lock().unwrap().is_empty());
}

#[test]
fn endless_failures_end_with_the_number_of_attempts() {
    let Some(stage) = Stage::new() else { return };
    let (client, _) = client(&stage.registry, None);
    stage.proxy.on("GET", "/manifests/", 99, Fault::Answer(502, Vec::new(), "bad gateway"));
    let text = shown(&client.manifest(&stage.image()).unwrap_err());
    assert!(text.contains("gave up after 6 tries") && text.contains("502"), "{text}");
    assert_eq!(stage.proxy.count("GET", "/manifests/"), 6);

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = reference(&free.to_string(), "a:t");
    let text = shown(&client.manifest(&nobody).unwrap_err());
    assert!(text.contains("gave up after 3 tries") && text.contains("nothing listens there"), "{text}");
}

#[test]
fn a_redirect_to_another_host_gets_no_credentials() {
    let Some(stage) = Stage::new() else { return };
    let storage = FaultProxy::start(stage.live.address);
    stage.proxy.guard(Guard { open: false, ..Guard::default() });
    stage.proxy.on("GET", "/blobs/", 1, Fault::Redirect(storage.registry()));
    let (client, _) = client(&stage.registry, Some(Guard::USER));
    assert_eq!(stage.pull_layer(&client).unwrap(), stage.layer);
    let at_storage = &storage.seen()[0];
    assert!(at_storage.target.contains("/blobs/") && !at_storage.headers.contains_key("authorization"));
    assert!(stage.proxy.seen().iter().any(|seen| seen.headers.contains_key("authorization")));

    // Nor are its credentials for asking when the other host wants some.
    storage.guard(Guard::default());
    stage.proxy.on("GET", "/blobs/", 6, Fault::Redirect(storage.registry()));
    let text = shown(&stage.pull_layer(&client).unwrap_err());
    assert!(text.contains("the registry's storage refused (status 401"), "{text}");
    assert_eq!(storage.count("GET", "/token"), 0);
    // It is asked for a new place each time.
    stage.proxy.on("GET", "/blobs/", 1, Fault::Redirect(storage.registry()));
    assert_eq!(stage.pull_layer(&client).unwrap(), stage.layer);

    stage.proxy.on("GET", "/blobs/", 99, Fault::Redirect(stage.registry.clone()));
    let text = shown(&stage.pull_layer(&client).unwrap_err());
    assert!(text.contains("more than 5 redirects"), "{text}");
}

#[test]
fn manifests_that_are_too_long_too_old_or_no_manifests_are_refused() {
    let Some(stage) = Stage::new() else { return };
    let json = |text: &str| vec![("Content-Type", text.to_owned())];
    for (fault, expected) in [
        (Fault::Header("Content-Length", "5000000".into()), "longer than 4198400 bytes"),
        (Fault::Answer(200, json("application/vnd.docker.distribution.manifest.v1+json"), "{}"), "schema 1"),
        (Fault::Answer(200, json("text/html"), "<html>"), "not a JSON object"),
        (Fault::Answer(200, json(MANIFEST_TYPES[0]), r#"{"mediaType":"x"}"#), "it calls itself x"),
    ] {
        let (client, _) = client(&stage.registry, None);
        stage.proxy.on("GET", "/manifests/", 1, fault);
        let text = shown(&client.manifest(&stage.image()).unwrap_err());
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn tls_is_spoken_with_trusted_servers_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output();
    let Ok(made) = made else {
        eprintln!("skipped: openssl is not installed");
        return;
    };
    assert!(made.status.success(), "{made:?}");
    let tls = format!("  tls:\n    certificate: {}\n    key: {}\n", cert.display(), key.display());
    let Some(live) = Live::docker_with(&tls, true) else { return };
    let Some(plain) = Live::docker() else { return };
    let ask = |wire: &Wire, url: &str| {
        let answer = wire.send(Ask {
            method: ureq::http::Method::GET,
            url: url::parse(url).unwrap(),
            headers: Vec::new(),
            authorization: None,
            payload: Payload::None,
            redirects: Redirects::Any,
        });
        answer.map(|answer| answer.status.as_u16())
    };
    let trusting = Wire::new(Timeouts::default(), Some(cert));
    let url = format!("https://{}/v2/", live.address);
    assert_eq!(ask(&trusting, &url).unwrap(), 200);
    let failure = ask(&Wire::new(Timeouts::default(), None), &url).unwrap_err();
    let text = shown(&failure.error);
    assert!(failure.transient.is_none(), "{text}");
    assert!(text.contains("UnknownIssuer") && text.contains("SSL_CERT_FILE"), "{text}");
    let failure = ask(&trusting, &format!("https://{}/v2/", plain.address)).unwrap_err();
    let text = shown(&failure.error);
    assert!(text.contains("does not look like TLS"), "{text}");
}

#[test]
fn a_policy_of_one_try_does_not_retry() {
    let Some(stage) = Stage::new() else { return };
    let (client, _) =
        client_with(Options { policy: Policy { attempts: 1, ..Policy::default() }, ..Options::default() });
    stage.proxy.on("GET", "/manifests/", 1, Fault::Answer(502, Vec::new(), ""));
    let text = shown(&client.manifest(&stage.image()).unwrap_err());
    assert!(text.contains("502") && !text.contains("gave up"), "{text}");
}
