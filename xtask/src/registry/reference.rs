//! Names of images: `registry/repository:tag@digest`, by Docker's rules.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::digest::Digest;
use crate::error::Fault;

/// The registry that a name without one means.
const DOCKER_HUB: &str = "docker.io";

/// The longest repository name and the longest tag (distribution-spec, "Pulling manifests").
const LONGEST_REPOSITORY: usize = 255;
const LONGEST_TAG: usize = 128;

/// The longest tag that is asked for: registries of others may list longer ones.
const LONGEST_LISTED_TAG: usize = 2048;

/// Where an image is: a registry, a repository in it, and at most a tag and a digest.
///
/// Reads and prints the full form, so that `alpine` becomes `docker.io/library/alpine`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Host and port as in the name: `ghcr.io`, `localhost:5000`, `docker.io`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path below the registry: `owner/app`, `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where one is given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where one is given; it wins over the tag.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// `registry/repository`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Whether an image can have this tag (distribution-spec, "Pulling manifests").
    pub fn is_tag(tag: &str) -> bool {
        check_tag(tag, tag).is_ok()
    }

    /// The same repository with this tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, Fault> {
        check_tag(tag, tag)?;
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository with a tag that the registry lists, which may break the rules for tags; none
    /// where no path of a URL can have it.
    pub fn with_listed_tag(&self, tag: &str) -> Option<Self> {
        let right = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=@".contains(&byte);
        let right = tag.bytes().all(right) && tag.len() <= LONGEST_LISTED_TAG;
        let named = right && tag.bytes().any(|byte| byte != b'.');
        named.then(|| Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// What a request for the manifest names: the digest, else the tag, else `latest`.
    pub(super) fn wanted(&self) -> String {
        self.digest.map_or_else(|| self.tag().unwrap_or("latest").to_owned(), |digest| digest.to_string())
    }

    /// Host and port that requests go to; Docker Hub's API is not at `docker.io`.
    pub(super) fn authority(&self) -> &str {
        if self.registry == DOCKER_HUB { "registry-1.docker.io" } else { &self.registry }
    }
}

/// Whether a registry is on this machine, by its name alone: `localhost`, 127.0.0.0/8 or `[::1]`.
pub fn is_loopback(registry: &str) -> bool {
    let host = host_of(registry);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn host_of(registry: &str) -> &str {
    match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    }
}

impl FromStr for Reference {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        if let Some(host) = after_user(text) {
            let what =
                format!("'***@{host}' is not an image name: '@' stands before a digest and nothing else");
            return Err(Fault::usage(what).cure(
                "digests read sha256:<64 hex digits>; a user and a token are no part of a name: docker login, or \
                 --token-stdin --user NAME",
            ));
        }
        let wrong = |what: &str| Fault::usage(format!("'{text}' is not an image name: {what}"));
        if let Some((scheme, rest)) = text.split_once("://") {
            return Err(wrong(&format!("it starts with a scheme, {scheme}://")).cure(format!("write {rest}")));
        }
        let (before, digest) = match text.split_once('@') {
            Some((before, digest)) => {
                let parsed = digest.parse().map_err(|_| {
                    wrong(&format!("'{digest}' is not a digest")).cure("digests read sha256:<64 hex digits>")
                })?;
                (before, Some(parsed))
            }
            None => (text, None),
        };
        // A colon after the last slash starts a tag; one before it, a port.
        let name_end = before.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match before[name_end..].rfind(':') {
            Some(colon) => (&before[..name_end + colon], Some(&before[name_end + colon + 1..])),
            None => (before, None),
        };
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            let lower = format!("{}{}", name.to_ascii_lowercase(), &text[name.len()..]);
            return Err(wrong("names of images have no capitals").cure(format!("write {lower}")));
        }
        let (registry, repository) = split_registry(name);
        if !is_registry(registry) {
            return Err(wrong(&format!("'{registry}' is not a host with an optional port")));
        }
        let repository = match repository {
            path if registry == DOCKER_HUB && !path.contains('/') => format!("library/{path}"),
            path => path.to_owned(),
        };
        if let Some(bad) = repository.split('/').find(|part| !is_path_part(part)) {
            return Err(wrong(&format!("'{bad}' cannot be part of a path"))
                .cure("parts are a-z and 0-9, joined by '.', '_', '__' or dashes"));
        }
        if repository.len() > LONGEST_REPOSITORY {
            return Err(wrong(&format!("the path is longer than {LONGEST_REPOSITORY} characters")));
        }
        if let Some(tag) = tag {
            check_tag(tag, text)?;
        }
        Ok(Self { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
    }
}

/// What comes behind a user, and perhaps a password, as a URL has them; none where there is no user.
fn after_user(text: &str) -> Option<&str> {
    let is_digest = |text: &str| {
        text.split_once(':').is_some_and(|(algorithm, hex)| {
            ["sha256", "sha512"].contains(&algorithm) && !hex.contains(['/', '.'])
        })
    };
    let name = text.rsplit_once('@').filter(|(_, digest)| is_digest(digest)).map_or(text, |(name, _)| name);
    name.rsplit_once('@').map(|(_, host)| host)
}

/// Docker's rule: a first part with a dot or a colon, or `localhost`, is a registry.
fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some(("index.docker.io" | "registry-1.docker.io", path)) => (DOCKER_HUB, path),
        Some((first, path)) if first == "localhost" || first.contains(['.', ':']) => (first, path),
        _ => (DOCKER_HUB, name),
    }
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = if registry.starts_with('[') {
        match registry.split_once(']') {
            Some((_, "")) => (registry, None),
            Some((_, port)) => {
                (&registry[..registry.len() - port.len()], port.strip_prefix(':').or(Some("")))
            }
            None => return false,
        }
    } else {
        registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port)))
    };
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let host_is_right = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(label),
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    host_is_right && port.is_none_or(|port| digits(port) && port.parse::<u16>().is_ok_and(|port| port != 0))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (distribution-spec, "Pulling manifests").
fn is_path_part(part: &str) -> bool {
    let mut rest = part;
    loop {
        let word = rest.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit())).unwrap_or(rest.len());
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        if rest.is_empty() {
            return true;
        }
        let dashes = rest.len() - rest.trim_start_matches('-').len();
        let joint = match rest {
            _ if dashes > 0 => dashes,
            _ if rest.starts_with("__") => 2,
            _ if rest.starts_with(['.', '_']) => 1,
            _ => return false,
        };
        rest = &rest[joint..];
    }
}

fn check_tag(tag: &str, text: &str) -> Result<(), Fault> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let right = tag.bytes().next().is_some_and(word)
        && tag.len() <= LONGEST_TAG
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-');
    if right {
        return Ok(());
    }
    // Before the sign there may be a password.
    let shown = |text: &str| match text.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        None => text.to_owned(),
    };
    let (text, tag) = (shown(text), shown(tag));
    Err(Fault::usage(format!("'{text}': '{tag}' is not a tag"))
        .cure("tags are up to 128 letters, digits, '_', '.' and '-', and start with none of the last two"))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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
    fn wrong_names_say_what_is_wrong() {
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
            let text = crate::error::render(&text.parse::<Reference>().unwrap_err().into());
            assert!(!text.contains("hunter2") && text.contains("--token-stdin"), "{text}");
        }
        let reference: Reference = "ghcr.io/a/b".parse().unwrap();
        assert!(!reference.with_tag("u:hunter2@ghcr.io").unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn capitals_are_answered_with_the_name_in_lower_case() {
        for (text, cure) in [
            ("ghcr.io/Owner/App:V1", "write ghcr.io/owner/app:V1"),
            ("Owner/app", "write owner/app"),
            ("https://ghcr.io/a", "write ghcr.io/a"),
        ] {
            let error: anyhow::Error = text.parse::<Reference>().unwrap_err().into();
            assert!(crate::error::render(&error).contains(cure), "{text}");
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
        for (listed, expected) in [
            ("-a+b", true),
            (&*"t".repeat(200), true),
            ("..", false),
            ("", false),
            ("a/b", false),
            ("ä", false),
        ] {
            assert_eq!(reference.with_listed_tag(listed).is_some(), expected, "{listed}");
        }
        assert_eq!("a".parse::<Reference>().unwrap().wanted(), "latest");
        assert_eq!(reference.with_digest(digest).wanted(), format!("sha256:{HEX}"));
    }
}
