//! Secrets that are in use, and text without them: the last thing that happens to all that is shown.
//!
//! A registry is sent a password and may say it back anywhere: in a header, a name, a type, a place. So it
//! is not the texts of errors that are looked through, one by one, but what leaves this program.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Shorter ones would blank out ordinary words and hide nothing.
const SHORTEST: usize = 8;

static SECRETS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// From now on, this is shown nowhere: neither as it is nor as JSON or a URL would have it.
pub fn remember(secret: &str) {
    if secret.len() < SHORTEST {
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

/// The text without what is to be remembered.
pub fn mask(text: &str) -> String {
    let secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    // The longest first: one may be a part of another.
    let mut found: Vec<_> = secrets.iter().filter(|secret| text.contains(secret.as_str())).collect();
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
}

/// Whether an address has a login in it (`me:password@host`), which is shown wherever the address is; an
/// `@` before a digest is none.
pub fn has_login(address: &str) -> bool {
    address.match_indices('@').any(|(at, _)| !address[at + 1..].starts_with("sha256:"))
}

/// An address without the login in it.
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
    fn a_login_is_not_shown() {
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
    fn what_is_remembered_is_shown_in_no_form() {
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
