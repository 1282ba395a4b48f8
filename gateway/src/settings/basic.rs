//! Reads `basic` of an authenticator.

use std::time;

use super::kinds::{Count, Duration, Parsed, Switch, Text, count};
use super::reader::Reader;
use super::report::{Placed, Report};
use super::{Basic, FileKind};

/// Reads the table of the authenticator with this name.
pub fn read(mut table: Reader<'_, '_>, name: &str) -> Basic {
    let report = table.report;
    let has_users = table.has("file") || table.has("variable");
    let file = table.placed(
        "file",
        Text,
        "none",
        "a file with a user in each line: `NAME:HASH` or `NAME:HASH:GROUP,GROUP`, as `htpasswd -B` writes it",
    );
    let file = file.map(|path| report.file(FileKind::Credentials, &path));
    let variable = table.get("variable", Text, "none", "an environment variable with the same content");
    if !has_users {
        table.lacks("file", "\"/etc/gateway/users\", or 'variable'");
    }
    let kind = Parsed { label: "text", pattern: Some(r"^[ !#-\[\]-~]+$"), read: realm };
    let realm =
        table.get("realm", kind, "the name of the authenticator", "what a browser asks a password for");
    let (mut forward, mut remember, mut max_waiting) = (false, time::Duration::from_mins(5), 64);
    table.set(&mut forward, "forward", Switch, "whether name and password are forwarded");
    table.set(
        &mut remember,
        "remember",
        Duration::OrZero,
        "how long a right password counts without another hash; `\"0s\"` for a hash with each request",
    );
    let waiting: Count<usize> = count(1..=100_000);
    table.set(
        &mut max_waiting,
        "max_waiting",
        waiting,
        "requests that wait for a hash at a time; further ones get 503 with `Retry-After`",
    );
    table.finish();
    let realm = realm.unwrap_or_else(|| name.chars().filter(|&one| is_plain(one)).collect());
    Basic { realm, file, variable, forward, remember, max_waiting }
}

/// Whether a character needs no escape in a quoted string (RFC 9110 section 5.6.4).
fn is_plain(one: char) -> bool {
    matches!(one, ' '..='~') && !matches!(one, '"' | '\\')
}

fn realm(text: &Placed<String>, report: &Report<'_>) -> Option<String> {
    let is_good = text.value.chars().all(is_plain);
    if !is_good {
        report.add(&text.span, "'realm' must be of ASCII without quotes, backslashes and control characters");
    }
    is_good.then(|| text.value.clone())
}
