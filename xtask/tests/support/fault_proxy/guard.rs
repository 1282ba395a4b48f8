//! Tokens, as ghcr.io wants them.

use std::net::SocketAddr;

use super::State;
use super::http::{Seen, text};

/// Wants bearer tokens, as ghcr.io does.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    /// Prefix of its secrets: `WORD-password` and `WORD-refresh`, which may push, and `WORD-token-N`.
    pub(crate) word: String,
    /// Requests that a token is good for before it has expired.
    pub(crate) uses: usize,
    /// The value of `expires_in`.
    pub(crate) expires_in: u64,
    /// Whether anyone may pull.
    pub(crate) open: bool,
    /// Whether a user and password are wanted directly, without a token service.
    pub(crate) basic: bool,
    /// The token service; the proxy's own `/token` without one.
    pub(crate) realm: Option<String>,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            word: "hunter2".to_owned(),
            uses: usize::MAX,
            expires_in: 300,
            open: true,
            basic: false,
            realm: None,
        }
    }
}

impl State {
    /// The answer to a request that lacks a token, if it lacks one.
    pub(super) fn check(&mut self, seen: &Seen, address: SocketAddr) -> Option<String> {
        let guard = self.guard.clone()?;
        if seen.target.starts_with("/token") {
            return None;
        }
        let shown = seen.headers.get("authorization").map_or("", String::as_str);
        let reads = seen.method == "GET" || seen.method == "HEAD";
        let challenge = if guard.basic {
            if shown == guard.basic_value() {
                return None;
            }
            r#"Basic realm="registry""#.to_owned()
        } else {
            if let Some((pushes, left)) =
                shown.strip_prefix("Bearer ").and_then(|token| self.tokens.get_mut(token))
                && *left > 0
                && (reads || *pushes)
            {
                *left -= 1;
                return None;
            }
            let realm = guard.realm.unwrap_or_else(|| format!("http://{address}/token"));
            format!(r#"Bearer realm="{realm}",service="proxy",scope="repository:user/image:pull""#)
        };
        let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
        Some(text(401, &[("WWW-Authenticate", challenge)], body))
    }

    /// The token service's answer.
    pub(super) fn issue(&mut self, seen: &Seen, form: &str) -> String {
        let guard = self.guard.clone().unwrap_or_default();
        let shown = seen.headers.get("authorization");
        let known = shown.is_some_and(|shown| *shown == guard.basic_value())
            || seen.method == "POST" && form.contains(&format!("refresh_token={}-refresh", guard.word));
        let asked = if seen.method == "POST" { form } else { &seen.target };
        let pushes = asked.contains("push");
        if !known && (shown.is_some() || seen.method == "POST" || pushes || !guard.open) {
            return text(403, &[], r#"{"errors":[{"code":"DENIED","message":"denied"}]}"#);
        }
        let token = format!("{}-token-{}", guard.word, self.tokens.len());
        self.tokens.insert(token.clone(), (pushes, guard.uses));
        text(200, &[], &format!(r#"{{"token":"{token}","expires_in":{}}}"#, guard.expires_in))
    }
}

impl Guard {
    /// The user and password that may push where nothing else is said.
    #[allow(dead_code, reason = "not every test shows a password")]
    pub(crate) const USER: (&str, &str) = ("user", "hunter2-password");

    fn basic_value(&self) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = "Basic ".to_owned();
        for group in format!("{}:{}-password", Self::USER.0, self.word).as_bytes().chunks(3) {
            let word =
                (0..3).fold(0, |word, i| word << 8 | group.get(i).map_or(0, |byte| usize::from(*byte)));
            for i in 0..4 {
                let digit = char::from(DIGITS[word >> (18 - 6 * i) & 63]);
                out.push(if i <= group.len() { digit } else { '=' });
            }
        }
        out
    }
}
