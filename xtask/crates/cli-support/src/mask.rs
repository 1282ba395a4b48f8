//! Masks the secrets in use in all output.
//!
//! A registry may echo a password anywhere: in a header, a name, a media type, a URL. So secrets are masked where text
//! leaves this program, not in each message.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Shorter secrets are not masked: they would also match ordinary words.
const MIN_LENGTH: usize = 8;

static SECRETS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Masks this secret from now on, also in its JSON and URL encodings.
pub fn remember(secret: &str) {
    if secret.len() < MIN_LENGTH {
        return;
    }
    let json = serde_json::Value::from(secret).to_string();
    let url: String = secret.bytes().map(in_url).collect();
    let mut secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    secrets.extend([secret.to_owned(), json[1..json.len() - 1].to_owned(), url]);
}

fn in_url(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// Replaces all remembered secrets with `***`.
pub fn mask(text: &str) -> String {
    let secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    // The longest first: a secret may contain another.
    let mut found: Vec<_> = secrets.iter().filter(|secret| text.contains(secret.as_str())).collect();
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
}

/// Whether an address contains a login (`me:password@host`). An `@` before a digest is not one.
pub fn has_login(address: &str) -> bool {
    address.match_indices('@').any(|(at, _)| !address[at + 1..].starts_with("sha256:"))
}

/// The address with its login masked.
pub fn without_login(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((_, host)) if has_login(address) => format!("***@{host}"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_masked() {
        for (address, shown) in [
            ("http://me:hunter2@host/x", "***@host/x"),
            ("http://me:a/b@c@host/x", "***@host/x"),
            ("me:hunter2@host/db:2", "***@host/db:2"),
            ("host/db@sha256:00", "host/db@sha256:00"),
            ("https://host/x", "https://host/x"),
        ] {
            assert_eq!(without_login(address), shown);
            assert_eq!(has_login(address), shown != address);
        }
    }

    #[test]
    fn a_remembered_secret_is_masked_in_every_encoding() {
        remember("short");
        remember("mask-hunter2/\"x\"");
        remember("mask-hunter2");
        for (text, expected) in [
            ("a short word", "a short word"),
            ("x mask-hunter2/\"x\" mask-hunter2", "x *** ***"),
            (r#"{"a":"mask-hunter2/\"x\""}"#, r#"{"a":"***"}"#),
            ("http://r/?t=mask-hunter2%2F%22x%22&b", "http://r/?t=***&b"),
        ] {
            assert_eq!(mask(text), expected);
        }
    }
}
