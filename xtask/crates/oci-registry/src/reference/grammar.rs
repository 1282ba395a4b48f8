//! The grammar of the parts of an image name.

use super::DOCKER_HUB;

/// The text after `user@` or `user:password@`; none without a user.
pub(super) fn after_user(text: &str) -> Option<&str> {
    let is_digest = |text: &str| {
        text.split_once(':').is_some_and(|(algorithm, hex)| {
            ["sha256", "sha512"].contains(&algorithm) && !hex.contains(['/', '.'])
        })
    };
    let name = text.rsplit_once('@').filter(|(_, digest)| is_digest(digest)).map_or(text, |(name, _)| name);
    name.rsplit_once('@').map(|(_, host)| host)
}

/// Docker's rule: a first part with a dot or a colon, or `localhost`, is a registry.
pub(super) fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some(("index.docker.io" | "registry-1.docker.io", path)) => (DOCKER_HUB, path),
        Some((first, path)) if first == "localhost" || first.contains(['.', ':']) => (first, path),
        _ => (DOCKER_HUB, name),
    }
}

pub(super) fn is_registry(registry: &str) -> bool {
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
pub(super) fn is_path_part(part: &str) -> bool {
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
