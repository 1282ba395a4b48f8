//! Names of images: `registry/repository:tag@digest`, by Docker's rules.

mod grammar;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use cli_support::digest::Digest;
use cli_support::error::Fault;
use grammar::{after_user, is_path_part, is_registry, split_registry};

/// The default registry.
const DOCKER_HUB: &str = "docker.io";

/// The longest repository name and the longest tag (distribution-spec, "Pulling manifests").
const MAX_REPOSITORY_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 128;

/// Maximum length of a requested tag; other registries may list longer ones.
const MAX_LISTED_TAG_BYTES: usize = 2048;

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
        let right = tag.bytes().all(right) && tag.len() <= MAX_LISTED_TAG_BYTES;
        let named = right && tag.bytes().any(|byte| byte != b'.');
        named.then(|| Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The name of the manifest in a request: the digest, else the tag, else `latest`.
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
            return Err(Fault::usage(what).hint(
                "digests read sha256:<64 hex digits>; a user and a token are no part of a name: docker login, or \
                 --token-stdin --user NAME",
            ));
        }
        let wrong = |what: &str| Fault::usage(format!("'{text}' is not an image name: {what}"));
        if let Some((scheme, rest)) = text.split_once("://") {
            return Err(wrong(&format!("it starts with a scheme, {scheme}://")).hint(format!("write {rest}")));
        }
        let (before, digest) = match text.split_once('@') {
            Some((before, digest)) => {
                let parsed = digest.parse().map_err(|_| {
                    wrong(&format!("'{digest}' is not a digest")).hint("digests read sha256:<64 hex digits>")
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
            return Err(wrong("names of images have no capitals").hint(format!("write {lower}")));
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
                .hint("parts are a-z and 0-9, joined by '.', '_', '__' or dashes"));
        }
        if repository.len() > MAX_REPOSITORY_BYTES {
            return Err(wrong(&format!("the path is longer than {MAX_REPOSITORY_BYTES} characters")));
        }
        if let Some(tag) = tag {
            check_tag(tag, text)?;
        }
        Ok(Self { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
    }
}

fn check_tag(tag: &str, text: &str) -> Result<(), Fault> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let right = tag.bytes().next().is_some_and(word)
        && tag.len() <= MAX_TAG_BYTES
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
        .hint("tags are up to 128 letters, digits, '_', '.' and '-', and start with none of the last two"))
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
mod tests;
