//! The client against real registries, directly and through a proxy that misbehaves.

#[path = "../../../../tests/support/fault_proxy/mod.rs"]
mod fault_proxy;

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../../../tests/support/have.rs"]
mod have;
#[path = "../../../../tests/support/live.rs"]
mod live;
mod pulling;
mod pushing;
mod referring;
mod tokens;

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use super::auth::{Environment, GivenCredential};
use super::pull::MANIFEST_TYPES;
use super::retry::tests::FakeClock;
use super::wire::Timeouts;
use super::{Client, Options, Pushed, Reference, Secret};
use cli_support::digest::Digest;

/// A client that waits on no clock, reads nothing of this machine's, and has these credentials for
/// `registry`.
fn client(registry: &str, user: Option<(&str, &str)>) -> (Client, Arc<FakeClock>) {
    let given = user.map(|(user, secret)| GivenCredential {
        registry: registry.to_owned(),
        user: Some(user.to_owned()),
        secret: Secret::new(secret),
    });
    client_with(Options { given, ..Options::default() })
}

fn client_with(options: Options) -> (Client, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::new(u64::MAX / 2));
    let options = Options {
        environment: Environment::from_variables(|_| None),
        timeouts: Timeouts { connect: Duration::from_secs(10), idle: Duration::from_secs(10) },
        clock: Arc::clone(&clock) as _,
        ..options
    };
    (Client::new(options), clock)
}

fn reference(registry: &str, rest: &str) -> Reference {
    format!("{registry}/{rest}").parse().unwrap()
}

/// Bytes that no part of is like another, so that a wrong place shows.
fn bytes(length: u32) -> Vec<u8> {
    (0..length).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

fn open(bytes: &[u8]) -> impl FnMut() -> io::Result<Box<dyn Read>> + use<> {
    let bytes = bytes.to_vec();
    move || Ok(Box::new(io::Cursor::new(bytes.clone())) as Box<dyn Read>)
}

fn push(client: &Client, reference: &Reference, blob: &[u8]) -> anyhow::Result<(Digest, Pushed)> {
    let digest = Digest::of(blob);
    let pushed = client.push_blob(reference, &mut open(blob), &digest, blob.len() as u64, &|_| ())?;
    Ok((digest, pushed))
}

/// Pushes an image of one layer; gives its manifest's bytes.
fn push_image(client: &Client, reference: &Reference, layer: &[u8]) -> Vec<u8> {
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let (config_digest, _) = push(client, reference, config).unwrap();
    let (layer_digest, _) = push(client, reference, layer).unwrap();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPES[1],
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config_digest,
            "size": config.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer_digest,
            "size": layer.len(),
        }],
    });
    let manifest = serde_json::to_vec(&manifest).unwrap();
    assert_eq!(client.put_manifest(reference, &manifest, MANIFEST_TYPES[1]).unwrap(), Digest::of(&manifest));
    manifest
}

/// The error as a person reads it; never with a secret in it.
fn shown(error: &anyhow::Error) -> String {
    let text = format!("{}\n{error:?}", cli_support::error::render(error));
    assert!(!text.contains("hunter2"), "{text}");
    text
}

/// Text after text from what parsers stumble over; the same on every run.
fn noise() -> impl Iterator<Item = String> {
    const PIECES: [&str; 40] = [
        "a",
        "Z",
        "0",
        "9",
        "18446744073709551616",
        "-",
        "--",
        "_",
        "__",
        ".",
        "..",
        "/",
        "//",
        ":",
        "@",
        "=",
        "==",
        ",",
        ";",
        " ",
        "\t",
        "\n",
        "\"",
        "\\",
        "<",
        ">",
        "?",
        "#",
        "%",
        "[",
        "]",
        "{",
        "}",
        "\u{0}",
        "é",
        "😀",
        "bytes ",
        "sha256:",
        "Bearer ",
        "GMT",
    ];
    let mut state = 7_u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    (0..20_000).map(move |_| (0..next(12)).map(|_| PIECES[next(PIECES.len())]).collect())
}

#[test]
fn no_text_of_a_server_or_a_person_makes_a_parser_panic() {
    let base = super::url::parse("https://r.io/v2/a?x=1").unwrap();
    let now = std::time::SystemTime::now();
    for text in noise() {
        if let Ok(reference) = text.parse::<Reference>() {
            assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference, "{text}");
        }
        for challenge in super::challenge::parse(&text) {
            assert!(!challenge.scheme.is_empty(), "{text}");
        }
        if let Some(joined) = super::url::join(&base, &text) {
            assert!(joined.host().is_some(), "{text}");
        }
        let _ = super::retry::retry_after(&text, now);
        let _ = super::base64::decode(&text);
        let _ = super::token::granted(&text, "a");
        let _ = super::token::read(text.as_bytes(), std::time::Instant::now());
    }
}
