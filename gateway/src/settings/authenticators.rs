//! Reads `[authenticators.NAME]`.

use std::time;

use super::kinds::{Count, Duration, List, Parsed, ParsedBy, Switch, Text, count, size, words};
use super::reader::Reader;
use super::record::Otherwise;
use super::report::{Placed, Report};
use super::routes::method;
use super::upstreams::TOKEN;
use super::{
    ApiKey, AuthMethod, Authenticator, CertificateName, ClientCertificate, Credential, FileKind, ForwardAuth,
    Jwt, KeySource, KeyUrl, NamedFile, NamedKey, edits, warning,
};
use crate::fetch::Url;
use crate::http::path::hex;
use crate::http::token::is_token;
use crate::jose::Algorithm;

/// Reads all authenticators in the file.
pub fn read(root: &mut Reader<'_, '_>) -> Vec<Authenticator> {
    let tables = root
        .named("authenticators", "ways in which clients prove who they are, for the routes that name them");
    tables.into_iter().filter_map(|(name, table)| authenticator(name, table)).collect()
}

fn authenticator(name: Placed<String>, mut table: Reader<'_, '_>) -> Option<Authenticator> {
    const KINDS: [&str; 5] = ["api_key", "basic", "jwt", "client_certificate", "forward_auth"];
    let report = table.report;
    table.one_of(&KINDS);
    let given: Vec<&str> = KINDS.into_iter().filter(|key| table.has(key)).collect();
    match given[..] {
        [] => table.lacks("jwt", "{ … }, or 'api_key', 'basic', 'client_certificate' or 'forward_auth'"),
        [_] => {}
        [first, second, ..] => {
            report.add(
                &table.span,
                format!("an authenticator has one of '{first}' and '{second}'; remove one"),
            );
        }
    }
    let keys = table.table("api_key", "none", "by a key in a field, in the query or in a cookie");
    let keys = keys.map(|table| AuthMethod::ApiKey(api_key(table)));
    let basic = table.table("basic", "none", "by a name and a password (RFC 7617)");
    let basic = basic.map(|table| AuthMethod::Basic(super::basic::read(table, &name.value)));
    let jwt = table.table("jwt", "none", "by a signed token (RFC 7519)");
    let jwt = jwt.and_then(self::jwt).map(|jwt| AuthMethod::Jwt(Box::new(jwt)));
    let shown = table.table("client_certificate", "none", "by the certificate that the listener verified");
    let shown = shown.map(|table| AuthMethod::Certificate(certificate(table)));
    let forward = table.table("forward_auth", "none", "a service decides");
    let forward = forward.and_then(forward_auth).map(|settings| AuthMethod::ForwardAuth(Box::new(settings)));
    let headers = table.values(
        "headers",
        Text,
        "fields of the forwarded request and the claim in each: `sub` is the subject of any identity, `groups` the groups of a key, a name or a pointer such as `/realm_access/roles` a claim of a token",
        |_| false,
    );
    let headers = headers
        .into_iter()
        .filter_map(|(name, claim)| edits::name(&name, report).zip(claim.map(|claim| claim.value)))
        .collect();
    let place = report.place(&name.span);
    table.finish();
    let method = keys.or(basic).or(jwt).or(shown).or(forward)?;
    Some(Authenticator { name: name.value, place, method, headers })
}

/// The name of a header field, in lower case.
fn field(text: &Placed<String>, report: &Report<'_>) -> Option<String> {
    if !is_token(text.value.as_bytes()) {
        report.add(&text.span, format!("'{}' is not the name of a field", text.value.escape_debug()));
        return None;
    }
    Some(text.value.to_ascii_lowercase())
}

fn cookie(text: &Placed<String>, report: &Report<'_>) -> Option<String> {
    let known = is_token(text.value.as_bytes());
    if !known {
        report.add(&text.span, format!("'{}' is not the name of a cookie", text.value.escape_debug()));
    }
    known.then(|| text.value.clone())
}

/// Reads `header`, `query` and `cookie`; `otherwise` describes the default.
fn places(table: &mut Reader<'_, '_>, otherwise: &'static str) -> Vec<Credential> {
    let name = Parsed { label: "name", pattern: Some(TOKEN), read: field };
    let header = table.get("header", name, otherwise, "the field in which it stands");
    let query = table.get("query", Text, otherwise, "the parameter of the query in which it stands");
    let name = Parsed { label: "name", pattern: Some(TOKEN), read: cookie };
    let cookie = table.get("cookie", name, otherwise, "the cookie in which it stands");
    let places =
        [header.map(Credential::Header), query.map(Credential::Query), cookie.map(Credential::Cookie)];
    places.into_iter().flatten().collect()
}

/// Reads a list of texts.
fn texts(
    table: &mut Reader<'_, '_>,
    key: &'static str,
    otherwise: &'static str,
    doc: &'static str,
) -> Vec<String> {
    values(table.get(key, List(Text), otherwise, doc))
}

fn values<T>(list: Option<Vec<Placed<T>>>) -> Vec<T> {
    list.unwrap_or_default().into_iter().map(|item| item.value).collect()
}

fn api_key(mut table: Reader<'_, '_>) -> ApiKey {
    let report = table.report;
    let has_place = ["header", "query", "cookie"].iter().any(|key| table.has(key));
    let has_keys = ["keys", "file", "variable"].iter().any(|key| table.has(key));
    let places = places(&mut table, "none");
    if !has_place {
        table.lacks("header", "\"X-API-Key\", or 'query' or 'cookie'");
    }
    let keys = table.tables("keys", "keys", Otherwise::Words("none"), "keys in the settings");
    let keys = keys.into_iter().filter_map(named_key).collect();
    let file = table.placed(
        "file",
        Text,
        "none",
        "a file with a key in each line: `NAME:SHA256` or `NAME:SHA256:GROUP,GROUP`",
    );
    let file = file.map(|path| report.file(FileKind::Credentials, &path));
    let variable = table.get("variable", Text, "none", "an environment variable with the same content");
    if !has_keys {
        table.lacks("keys", "[{ name = \"ci\", sha256 = \"…\" }], or 'file' or 'variable'");
    }
    let mut forward = false;
    table.set(&mut forward, "forward", Switch, "whether the key is forwarded");
    table.finish();
    ApiKey { places, keys, file, variable, forward }
}

fn named_key(mut table: Reader<'_, '_>) -> Option<NamedKey> {
    let name = table.need("name", Text, "\"ci\"", "its name in logs and to limits");
    let kind = Parsed { label: "64 hexadecimal digits", pattern: Some("^[0-9A-Fa-f]{64}$"), read: digest };
    let hash = table.need(
        "sha256",
        kind,
        "\"…\", made by 'gateway hash-key'",
        "the SHA-256 of the key, as `gateway hash-key` prints it",
    );
    let groups = texts(&mut table, "groups", "none", "groups of which the key is a member");
    table.finish();
    Some(NamedKey { name: name?.value, sha256: hash?.value, groups })
}

fn digest(text: &Placed<String>, report: &Report<'_>) -> Option<[u8; 32]> {
    let hash = sha256(&text.value);
    if hash.is_none() {
        // The value is not shown, since it may be the key.
        report.add(&text.span, "'sha256' must be 64 hexadecimal digits; make them with 'gateway hash-key'");
    }
    hash
}

/// Parses a SHA-256 in 64 hexadecimal digits.
pub fn sha256(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut hash = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex(pair[0])? << 4 | hex(pair[1])?;
    }
    Some(hash)
}

fn url(text: &Placed<String>, report: &Report<'_>) -> Option<Url> {
    Url::parse(&text.value)
        .map_err(|error| report.add(&text.span, format!("it is no URL that can be used: {error}; write one such as \"https://id.example.com/path\"")))
        .ok()
}

pub(super) const URL: ParsedBy<Url> =
    Parsed { label: "URL", pattern: Some("^[Hh][Tt][Tt][Pp][Ss]?://[^@#]+$"), read: url };

pub(super) fn authorities(table: &mut Reader<'_, '_>) -> Option<NamedFile> {
    let path = table.placed(
        "ca",
        Text,
        "the system's",
        "the certificates of the authorities of its server, in PEM",
    )?;
    Some(table.report.file(FileKind::Authorities, &path))
}

fn algorithm(text: &Placed<String>, report: &Report<'_>) -> Option<Algorithm> {
    let known = Algorithm::named(&text.value);
    if known.is_none() {
        let names: Vec<&str> = Algorithm::ALL.iter().map(|(name, _)| *name).collect();
        let shown = text.value.escape_debug();
        report.add(
            &text.span,
            format!("'{shown}' is no algorithm that is offered; known are: {}", names.join(", ")),
        );
    }
    known
}

fn jwt(mut table: Reader<'_, '_>) -> Option<Jwt> {
    let report = table.report;
    let given = ["header", "query", "cookie"].into_iter().filter(|key| table.has(key)).count();
    if given > 1 {
        report.add(&table.span, "a token stands at one place; keep one of 'header', 'query' and 'cookie'");
    }
    let place = places(&mut table, "`Authorization: Bearer`").into_iter().next();
    let kind = List(Parsed { label: "name of an algorithm", pattern: None, read: algorithm });
    let algorithms = table.need("algorithms", kind, "[\"RS256\"]", "the algorithms that are accepted: of `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `EdDSA`, `Ed25519`");
    if algorithms.as_ref().is_some_and(|list| list.value.is_empty()) && table.report.count() == 0 {
        table.lacks("algorithms", "[\"RS256\"]");
    }
    let has_url = table.has("keys_url");
    let file = table.placed("keys_file", Text, "none", "a file with a key set (RFC 7517)");
    let file = file.map(|path| report.file(FileKind::Credentials, &path));
    if file.is_some() && has_url {
        report.add(&table.span, "keys come from 'keys_file' or from 'keys_url'; remove one");
    }
    if file.is_none() && !has_url {
        table.lacks("keys_url", "\"https://id.example.com/jwks.json\", or 'keys_file'");
    }
    let url = key_url(&mut table);
    let issuers = texts(&mut table, "issuers", "any", "the values of `iss` that are accepted");
    let audiences = texts(
        &mut table,
        "audiences",
        "none",
        "the values of `aud` of which a token must name one; without it, tokens that name an audience are refused (RFC 7519 section 4.1.3)",
    );
    if audiences.is_empty() {
        let text = "without 'audiences' every token without an audience is accepted, also one that was issued for another service; name this service";
        report.warn(&table.span, warning::TOKEN_WITHOUT_AUDIENCE, text);
    }
    let types = texts(
        &mut table,
        "types",
        "any",
        "the values of `typ` that are accepted, such as `at+jwt` (RFC 9068)",
    );
    let (mut leeway, mut require_exp, mut forward, mut cached_tokens) =
        (time::Duration::from_secs(30), true, true, 4096);
    table.set(&mut leeway, "leeway", Duration::OrZero, "by how much clocks may differ for `exp` and `nbf`");
    table.set(&mut require_exp, "require_exp", Switch, "whether tokens without `exp` are refused");
    table.set(&mut forward, "forward", Switch, "whether the token is forwarded");
    let cached: Count<usize> = count(0..=1_000_000);
    table.set(
        &mut cached_tokens,
        "cached_tokens",
        cached,
        "verified tokens that each worker remembers; they are verified again when keys change",
    );
    table.finish();
    let keys = file.map(KeySource::File).or(url.map(KeySource::Url))?;
    let types = types.into_iter().map(|kind| kind.to_ascii_lowercase()).collect();
    let algorithms = values(algorithms.map(|list| list.value));
    let place = place.unwrap_or(Credential::Bearer);
    Some(Jwt {
        place,
        algorithms,
        issuers,
        audiences,
        types,
        leeway,
        require_exp,
        keys,
        forward,
        cached_tokens,
    })
}

fn key_url(table: &mut Reader<'_, '_>) -> Option<KeyUrl> {
    let span = table.span.clone();
    let url = table.get("keys_url", URL, "none", "the URL of a key set; one of it and `keys_file` is needed");
    let ca = authorities(table);
    let mut refresh_interval = time::Duration::from_mins(5);
    let (mut min_refresh_interval, mut timeout) =
        (time::Duration::from_secs(5), time::Duration::from_secs(5));
    let (mut max_age, mut max_waiting) = (time::Duration::from_hours(24), 1024);
    table.set(
        &mut refresh_interval,
        "refresh_interval",
        Duration::Positive,
        "the age at which keys are fetched anew, while requests go on with the old ones",
    );
    table.set(&mut min_refresh_interval, "min_refresh_interval", Duration::Positive, "the shortest time from the begin of one fetch to that of the next, however many tokens name unknown keys");
    table.set(
        &mut max_age,
        "max_age",
        Duration::Positive,
        "the age from which keys are used no more: so long an outage is bridged",
    );
    table.set(&mut timeout, "timeout", Duration::Positive, "the time for one fetch");
    let waiting: Count<usize> = count(1..=100_000);
    table.set(
        &mut max_waiting,
        "max_waiting",
        waiting,
        "requests that wait for a fetch at a time, shared evenly by the addresses of clients; further ones get 503 with `Retry-After`",
    );
    if max_age <= refresh_interval {
        table.report.add(
            &span,
            "'max_age' must be above 'refresh_interval', or keys are too old before they are fetched anew",
        );
    }
    Some(KeyUrl { url: url?, ca, refresh_interval, min_refresh_interval, max_age, timeout, max_waiting })
}

fn certificate(mut table: Reader<'_, '_>) -> ClientCertificate {
    const KINDS: [(&str, CertificateName); 4] = [
        ("uri", CertificateName::Uri),
        ("dns", CertificateName::Dns),
        ("email", CertificateName::Email),
        ("subject", CertificateName::Subject),
    ];
    let given = table.get(
        "subject",
        List(words(&KINDS)),
        "all in this order",
        "the kinds of names of which the first that the certificate has is the subject",
    );
    let mut subject = values(given);
    if subject.is_empty() {
        subject = KINDS.iter().map(|(_, kind)| *kind).collect();
    }
    let mut forward = false;
    table.set(
        &mut forward,
        "forward",
        Switch,
        "whether the certificate is forwarded in `Client-Cert` (RFC 9440)",
    );
    table.finish();
    ClientCertificate { subject, forward }
}

/// The method of a call to the authorization service.
enum Asked {
    Own(http::Method),
    AsRequested,
}

fn asked_method(text: &Placed<String>, report: &Report<'_>) -> Option<Asked> {
    if text.value == "request" { Some(Asked::AsRequested) } else { method(text, report).map(Asked::Own) }
}

fn forward_auth(mut table: Reader<'_, '_>) -> Option<ForwardAuth> {
    let name = || Parsed { label: "name", pattern: Some(TOKEN), read: field };
    let url = table.need("url", URL, "\"http://auth:9000/check\"", "what is asked");
    let kind = Parsed { label: "method, or `\"request\"`", pattern: None, read: asked_method };
    let method = table.get("method", kind, "`\"GET\"`", "the method; `\"request\"` for that of the request");
    let asked = table.get(
        "request_headers",
        List(name()),
        "`authorization`, `cookie`",
        "fields of the request that the service gets",
    );
    let asked =
        asked.map_or_else(|| vec!["authorization".to_owned(), "cookie".to_owned()], |all| values(Some(all)));
    let answered = List(Parsed { label: "name", pattern: Some(TOKEN), read: edits::name });
    let answered =
        table.get("response_headers", answered, "none", "fields of its answer that the upstream gets");
    let subject =
        table.get("subject_header", name(), "none", "the field of its answer that names the subject");
    let ca = authorities(&mut table);
    let (mut timeout, mut max_body_bytes, mut fail_open) = (time::Duration::from_secs(5), 64 << 10, false);
    table.set(&mut timeout, "timeout", Duration::Positive, "the time for its answer");
    table.set(
        &mut max_body_bytes,
        "max_body_bytes",
        size(0..=1 << 24),
        "the largest body that is passed to the client",
    );
    table.set(
        &mut fail_open,
        "fail",
        words(&[("closed", false), ("open", true)]),
        "what happens without an answer: 503, or with `\"open\"` a pass",
    );
    table.finish();
    Some(ForwardAuth {
        url: url?.value,
        ca,
        method: match method {
            None => Some(http::Method::GET),
            Some(Asked::Own(method)) => Some(method),
            Some(Asked::AsRequested) => None,
        },
        request_headers: asked,
        response_headers: values(answered),
        subject_header: subject,
        timeout,
        max_body_bytes,
        fail_open,
    })
}
