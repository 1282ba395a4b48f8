//! Names that are right, and what is said of those that are not.

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn names_are_read_by_dockers_rules_and_print_in_full() {
    let with_digest = format!("alpine:3.20@sha256:{HEX}");
    let in_full = format!("docker.io/library/alpine:3.20@sha256:{HEX}");
    let cases = [
        ("alpine", "docker.io/library/alpine"),
        ("alpine:3.20", "docker.io/library/alpine:3.20"),
        ("owner/app", "docker.io/owner/app"),
        ("docker.io/alpine", "docker.io/library/alpine"),
        ("index.docker.io/library/alpine", "docker.io/library/alpine"),
        ("localhost", "docker.io/library/localhost"),
        ("localhost/x", "localhost/x"),
        ("localhost:5000/x", "localhost:5000/x"),
        ("localhost:5000/x:5000", "localhost:5000/x:5000"),
        ("127.0.0.1:5000/a/b/c:t", "127.0.0.1:5000/a/b/c:t"),
        ("[::1]:5000/x:t", "[::1]:5000/x:t"),
        ("[::1]/x", "[::1]/x"),
        ("ghcr.io/owner/app__a--b.c:V1.0_x-", "ghcr.io/owner/app__a--b.c:V1.0_x-"),
        (&with_digest, &in_full),
    ];
    for (text, full) in cases {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.to_string(), full, "{text}");
        assert_eq!(full.parse::<Reference>().unwrap(), reference, "{text}");
    }
}

#[test]
fn an_invalid_reference_is_refused_with_its_mistake() {
    let long = format!("ghcr.io/{}", "a".repeat(256));
    let long_tag = format!("a:{}", "t".repeat(129));
    let upper_digest = format!("a@sha256:{}", HEX.to_uppercase());
    let cases = [
        ("", "cannot be part of a path"),
        ("/x", "cannot be part of a path"),
        ("a//b", "cannot be part of a path"),
        ("ghcr.io/", "cannot be part of a path"),
        ("ghcr.io/a..b", "cannot be part of a path"),
        ("ghcr.io/a___b", "cannot be part of a path"),
        ("ghcr.io/-a", "cannot be part of a path"),
        ("ghcr.io/a-", "cannot be part of a path"),
        ("ghcr.io/ä", "cannot be part of a path"),
        ("a b", "cannot be part of a path"),
        ("ghcr.io:x/a", "not a host"),
        ("ghcr.io:0/a", "not a host"),
        ("ghcr.io:/a", "not a host"),
        ("ghcr.io:+5/a", "not a host"),
        ("-x.io/a", "not a host"),
        ("[::1/a", "not a host"),
        ("[::1]5/a", "not a host"),
        ("a:", "is not a tag"),
        ("a:.x", "is not a tag"),
        ("a:é", "is not a tag"),
        (&long_tag, "is not a tag"),
        ("a@sha512:00", "is not a digest"),
        ("a@", "before a digest and nothing else"),
        ("a@host", "before a digest and nothing else"),
        (&upper_digest, "is not a digest"),
        (&long, "longer than 255"),
        ("docker://alpine", "starts with a scheme"),
        ("ghcr.io/Owner/App", "no capitals"),
    ];
    for (text, expected) in cases {
        let error = text.parse::<Reference>().unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_token_in_a_name_is_not_repeated() {
    for text in [
        "u:hunter2@ghcr.io/o/a",
        "hunter2@ghcr.io/o/a:1",
        "https://u:hunter2@ghcr.io/o/a",
        &format!("u:hunter2@ghcr.io/o/a@sha256:{HEX}"),
        "u:hunter2@sha256.io/o/a",
        "u:hunter2@sha256:80/o/a",
        "u:hunter2@x@ghcr.io/a",
        "u:hunter2@",
    ] {
        let text = cli_support::error::render(&text.parse::<Reference>().unwrap_err().into());
        assert!(!text.contains("hunter2") && text.contains("--token-stdin"), "{text}");
    }
    let reference: Reference = "ghcr.io/a/b".parse().unwrap();
    assert!(!reference.with_tag("u:hunter2@ghcr.io").unwrap_err().to_string().contains("hunter2"));
}

#[test]
fn capitals_are_answered_with_the_name_in_lower_case() {
    for (text, hint) in [
        ("ghcr.io/Owner/App:V1", "write ghcr.io/owner/app:V1"),
        ("Owner/app", "write owner/app"),
        ("https://ghcr.io/a", "write ghcr.io/a"),
    ] {
        let error: anyhow::Error = text.parse::<Reference>().unwrap_err().into();
        assert!(cli_support::error::render(&error).contains(hint), "{text}");
    }
}

#[test]
fn only_names_of_this_machine_are_loopback() {
    let cases = [
        ("localhost", true),
        ("localhost:5000", true),
        ("127.0.0.1:1", true),
        ("127.8.9.1", true),
        ("[::1]:5000", true),
        ("[::2]", false),
        ("localhost.example.com", false),
        ("127.0.0.1.example.com", false),
        ("10.0.0.1", false),
        ("ghcr.io", false),
    ];
    for (registry, expected) in cases {
        assert_eq!(is_loopback(registry), expected, "{registry}");
    }
}

#[test]
fn a_tag_and_a_digest_replace_each_other() {
    let reference: Reference = "ghcr.io/a/b:t".parse().unwrap();
    let digest = Digest::of(b"");
    assert_eq!(reference.with_digest(digest).to_string(), format!("ghcr.io/a/b@sha256:{HEX}"));
    assert_eq!(reference.with_digest(digest).with_tag("u").unwrap().to_string(), "ghcr.io/a/b:u");
    assert!(reference.with_tag("a/b").is_err());
    for (listed, expected) in
        [("-a+b", true), (&*"t".repeat(200), true), ("..", false), ("", false), ("a/b", false), ("ä", false)]
    {
        assert_eq!(reference.with_listed_tag(listed).is_some(), expected, "{listed}");
    }
    assert_eq!("a".parse::<Reference>().unwrap().wanted(), "latest");
    assert_eq!(reference.with_digest(digest).wanted(), format!("sha256:{HEX}"));
}
