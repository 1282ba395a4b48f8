//! Credentials in an image, found by the prefixes that their issuers chose for this.

use std::collections::BTreeSet;
use std::io::{self, Read};

/// Bytes that are searched at a time.
const PIECE: usize = 1 << 18;
/// The longest first line of a PEM block.
const MAX_LINE_BYTES: usize = 256;
/// Bytes that two pieces share. No pattern is longer, so a secret is whole in one of them.
const OVERLAP: usize = 512;

/// The kinds of secret in a file of `size` bytes. Their values are not kept.
pub fn find(path: &str, size: u64, content: &mut dyn Read) -> io::Result<Vec<&'static str>> {
    let mut found = BTreeSet::new();
    let name = path.rsplit('/').next().unwrap_or(path);
    let by_name = match name {
        "id_rsa" | "id_ecdsa" | "id_ed25519" | "id_dsa" => Some("an SSH private key"),
        ".git-credentials" | ".netrc" | ".pgpass" | ".npmrc" | ".pypirc" if size > 0 => {
            Some("a file of credentials")
        }
        _ => None,
    };
    found.extend(by_name);
    let (mut piece, mut before) = (Vec::new(), b' ');
    loop {
        let read = content.take(PIECE as u64).read_to_end(&mut piece)?;
        let is_last = read < PIECE;
        let end = if is_last { piece.len() } else { piece.len().saturating_sub(OVERLAP) };
        found.extend(beginning(&piece, end, before));
        if is_last {
            return Ok(found.into_iter().collect());
        }
        before = piece[..end].last().copied().unwrap_or(before);
        piece.drain(..end);
    }
}

/// The kinds of secret in a text.
pub fn in_text(content: &[u8]) -> Vec<&'static str> {
    beginning(content, content.len(), b' ')
}

/// The kinds of secret that begin before `end`; `before` is the byte in front of `content`.
fn beginning(content: &[u8], end: usize, before: u8) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut at = 0;
    // Two bytes are matched by index: xtask is built without optimisation, which makes iterators and slice comparisons
    // ten times slower.
    while at + 1 < content.len() && at < end {
        let place = at;
        at += 1;
        match content[place] {
            b'A' => match content[at] {
                b'K' | b'S' | b'I' => {}
                _ => continue,
            },
            b'g' => match content[at] {
                b'h' | b'i' | b'l' => {}
                _ => continue,
            },
            b'x' if content[at] == b'o' => {}
            b's' if content[at] == b'k' => {}
            b'n' if content[at] == b'p' => {}
            b'-' if content[at] == b'-' => {}
            _ => continue,
        }
        let rest = &content[place..];
        // Inside a longer word, such as base64, a prefix is a coincidence.
        let before = if place == 0 { before } else { content[place - 1] };
        if !before.is_ascii_alphanumeric() {
            let kinds = TOKENS.iter().filter(|(prefix, length, charset, _)| {
                let token = rest.strip_prefix(prefix.as_bytes()).and_then(|token| token.get(..*length));
                token.is_some_and(|token| token.iter().all(|byte| charset(*byte)))
            });
            found.extend(kinds.map(|(_, _, _, what)| *what));
        }
        if is_private_key(rest) {
            found.push("a private key");
        }
    }
    found
}

type Charset = fn(u8) -> bool;

/// Tokens: prefix, least number of characters behind it, their character set, kind.
const TOKENS: [(&str, usize, Charset, &str); 12] = [
    ("AKIA", 16, upper_or_digit, "an AWS access key"),
    ("ASIA", 16, upper_or_digit, "an AWS access key"),
    ("ghp_", 36, alphanumeric, "a GitHub token"),
    ("gho_", 36, alphanumeric, "a GitHub token"),
    ("ghs_", 36, alphanumeric, "a GitHub token"),
    ("github_pat_", 60, word, "a GitHub token"),
    ("glpat-", 20, word, "a GitLab token"),
    ("xoxb-", 20, word, "a Slack token"),
    ("xoxp-", 20, word, "a Slack token"),
    ("sk_live_", 24, alphanumeric, "a Stripe key"),
    ("AIza", 35, word, "a Google API key"),
    ("npm_", 36, alphanumeric, "an npm token"),
];

fn upper_or_digit(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Whether a PEM block of a private key (RFC 7468) starts here. The first line alone is not enough.
fn is_private_key(text: &[u8]) -> bool {
    if !text.starts_with(b"-----BEGIN ") {
        return false;
    }
    let text = &text[..text.len().min(MAX_LINE_BYTES + 64)];
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_key = line.trim_ascii_end().ends_with(b"PRIVATE KEY-----");
    let body = text.get(line.len() + 1..).unwrap_or_default();
    is_key && body.iter().take(64).filter(|byte| alphanumeric(**byte)).count() >= 40
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_apart_from_similar_text() {
        let key = format!("-----BEGIN EC PRIVATE KEY-----\n{}\n", "A".repeat(64));
        // In two parts, so that scanners of this repository find no token.
        let aws = format!("id = {}{}", "AKIA", "ABCDEFGHIJKLMNOP");
        let github = format!("{}{}", "ghp_", "a".repeat(36));
        let cases: [(&str, &str, &[&str]); 7] = [
            ("a", &key, &["a private key"]),
            ("a", "-----BEGIN PRIVATE KEY-----\", \"-----END", &[]),
            ("a", &aws, &["an AWS access key"]),
            ("a", "xAKIAABCDEFGHIJKLMNOP", &[]),
            ("a", &github, &["a GitHub token"]),
            ("root/.ssh/id_ed25519", "", &["an SSH private key"]),
            ("a", "-----BEGIN CERTIFICATE-----\nAAAA", &[]),
        ];
        for (path, content, expected) in cases {
            let size = content.len() as u64;
            let found = find(path, size, &mut content.as_bytes()).unwrap();
            assert_eq!(found, expected, "{path} {content}");
        }
    }

    #[test]
    fn every_token_is_found() {
        for (prefix, length, _, kind) in TOKENS {
            let token = format!("\"{prefix}{}\"", "A".repeat(length));
            assert_eq!(in_text(token.as_bytes()), [kind], "{prefix}");
        }
    }

    #[test]
    fn secrets_across_two_pieces_are_found() {
        let key = format!("-----BEGIN EC PRIVATE KEY-----\n{}\n", "A".repeat(64));
        let github = format!("{}{}", "ghp_", "a".repeat(36));
        for (secret, kind) in [(&key, "a private key"), (&github, "a GitHub token")] {
            for piece in [PIECE - OVERLAP, PIECE] {
                for shift in (0..OVERLAP + 100).step_by(17) {
                    let mut text = vec![b' '; piece + 100 - shift];
                    text.extend_from_slice(secret.as_bytes());
                    text.resize(text.len() + shift, b'.');
                    let found = find("a", text.len() as u64, &mut &text[..]).unwrap();
                    assert_eq!(found, [kind], "{piece} {shift}");
                }
            }
        }
        // A prefix inside a word that spans two pieces.
        let mut text = vec![b'x'; PIECE - OVERLAP];
        text.extend_from_slice(github.as_bytes());
        text.resize(2 * PIECE, b' ');
        assert_eq!(find("a", 1, &mut &text[..]).unwrap(), [""; 0]);
    }
}
