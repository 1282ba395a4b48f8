//! Reads `[authenticators.NAME]`.

use std::time::Duration;

use toml::de::DeValue;

use super::reader::{Reader, found};
use super::report::{Placed, Report};
use super::routes::method;
use super::{
    ApiKey, AuthMethod, Authenticator, CertificateName, ClientCertificate, Credential, FileKind, ForwardAuth,
    Jwt, KeySource, KeyUrl, NamedFile, NamedKey, edits,
};
use crate::fetch::Url;
use crate::http::path::hex;
use crate::http::token::is_token;
use crate::jose::Algorithm;

/// Reads all authenticators of the file.
pub fn read(root: &mut Reader<'_, '_>) -> Vec<Authenticator> {
    let report = root.report;
    let mut all = Vec::new();
    let Some(mut table) =
        root.take("authenticators").and_then(|value| Reader::new(value, "[authenticators]", report))
    else {
        return all;
    };
    for (name, value) in table.rest() {
        if let Some(table) = Reader::new(value, &format!("[authenticators.{}]", name.value), report) {
            all.extend(authenticator(name, table));
        }
    }
    all
}

fn authenticator(name: Placed<String>, mut table: Reader<'_, '_>) -> Option<Authenticator> {
    const KINDS: [&str; 4] = ["api_key", "jwt", "client_certificate", "forward_auth"];
    let report = table.report;
    let given: Vec<&str> = KINDS.into_iter().filter(|key| table.has(key)).collect();
    match given[..] {
        [] => table.lacks("jwt", "{ … }, or 'api_key', 'client_certificate' or 'forward_auth'"),
        [_] => {}
        [first, second, ..] => {
            report.add(
                &table.span,
                format!("an authenticator has one of '{first}' and '{second}'; remove one"),
            );
        }
    }
    let api_key = table.table("api_key").map(|table| AuthMethod::ApiKey(self::api_key(table)));
    let jwt = table.table("jwt").and_then(jwt).map(|jwt| AuthMethod::Jwt(Box::new(jwt)));
    let certificate =
        table.table("client_certificate").map(|table| AuthMethod::Certificate(certificate(table)));
    let forward = table.table("forward_auth").and_then(forward_auth);
    let forward = forward.map(|settings| AuthMethod::ForwardAuth(Box::new(settings)));
    let headers = headers(&mut table);
    let place = report.place(&name.span);
    table.finish();
    let method = api_key.or(jwt).or(certificate).or(forward)?;
    Some(Authenticator { name: name.value, place, method, headers })
}

/// Reads `headers`: the names of fields, and the claim in each.
fn headers(table: &mut Reader<'_, '_>) -> Vec<(String, String)> {
    let Some(mut table) = table.table("headers") else { return Vec::new() };
    let report = table.report;
    let mut headers = Vec::new();
    for (key, value) in table.rest() {
        match value.get_ref() {
            DeValue::String(claim) if !claim.is_empty() => {
                headers.extend(edits::name(&key, report).map(|name| (name, claim.clone().into_owned())));
            }
            other => {
                let found = found(other);
                report.add(
                    &value.span(),
                    format!("a field holds a claim such as \"sub\" or \"/realm_access/roles\", not {found}"),
                );
            }
        }
    }
    headers
}

/// Reads `header`, `query` and `cookie`.
fn places(table: &mut Reader<'_, '_>) -> Vec<Credential> {
    let report = table.report;
    let mut places = Vec::new();
    if let Some(name) = table.string("header") {
        places.extend(field(&name, report).map(Credential::Header));
    }
    places.extend(table.string("query").map(|name| Credential::Query(name.value)));
    if let Some(name) = table.string("cookie") {
        if is_token(name.value.as_bytes()) {
            places.push(Credential::Cookie(name.value));
        } else {
            report.add(&name.span, format!("'{}' is not the name of a cookie", name.value.escape_debug()));
        }
    }
    places
}

/// The name of a field, in lower case.
fn field(text: &Placed<String>, report: &Report<'_>) -> Option<String> {
    if !is_token(text.value.as_bytes()) {
        report.add(&text.span, format!("'{}' is not the name of a field", text.value.escape_debug()));
        return None;
    }
    Some(text.value.to_ascii_lowercase())
}

fn fields(table: &mut Reader<'_, '_>, key: &'static str) -> Vec<String> {
    let report = table.report;
    table.strings(key).iter().filter_map(|text| field(text, report)).collect()
}

fn api_key(mut table: Reader<'_, '_>) -> ApiKey {
    let report = table.report;
    let places = places(&mut table);
    if places.is_empty() && !["header", "query", "cookie"].iter().any(|key| table.has(key)) {
        table.lacks("header", "\"X-API-Key\", or 'query' or 'cookie'");
    }
    let mut keys = Vec::new();
    for item in table.list("keys", "a list of tables with name, sha256 and groups") {
        keys.extend(Reader::new(item, "keys", report).and_then(named_key));
    }
    let file = table.string("file").map(|path| report.file(FileKind::Credentials, &path));
    let variable = table.string("variable").map(|name| name.value);
    if keys.is_empty() && file.is_none() && variable.is_none() && !table.has("keys") {
        table.lacks("keys", "[{ name = \"ci\", sha256 = \"…\" }], or 'file' or 'variable'");
    }
    let forward = table.boolean("forward").unwrap_or(false);
    table.finish();
    ApiKey { places, keys, file, variable, forward }
}

fn named_key(mut table: Reader<'_, '_>) -> Option<NamedKey> {
    let report = table.report;
    let name = table.required("name", "\"ci\"");
    let hash = table.required("sha256", "\"…\", made by 'gateway hash-key'").and_then(|text| {
        let hash = sha256(&text.value);
        if hash.is_none() {
            // It is not shown, since it may be the key.
            report
                .add(&text.span, "'sha256' must be 64 hexadecimal digits; make them with 'gateway hash-key'");
        }
        hash
    });
    let groups = table.strings("groups").into_iter().map(|group| group.value).collect();
    table.finish();
    Some(NamedKey { name: name?.value, sha256: hash?, groups })
}

/// Reads a SHA-256 in 64 hexadecimal digits.
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

fn url(table: &mut Reader<'_, '_>, key: &'static str, example: &str) -> Option<Url> {
    let text = table.required(key, example)?;
    Url::parse(&text.value)
        .map_err(|error| {
            table.report.add(
                &text.span,
                format!("'{key}' is no URL that can be used: {error}; write one such as {example}"),
            );
        })
        .ok()
}

fn authorities(table: &mut Reader<'_, '_>) -> Option<NamedFile> {
    let path = table.string("ca")?;
    Some(table.report.file(FileKind::Authorities, &path))
}

fn texts(table: &mut Reader<'_, '_>, key: &'static str) -> Vec<String> {
    table.strings(key).into_iter().map(|text| text.value).collect()
}

fn jwt(mut table: Reader<'_, '_>) -> Option<Jwt> {
    let report = table.report;
    let given = ["header", "query", "cookie"].into_iter().filter(|key| table.has(key)).count();
    if given > 1 {
        report.add(&table.span, "a token stands at one place; keep one of 'header', 'query' and 'cookie'");
    }
    let place = places(&mut table).into_iter().next();
    let names: Vec<&str> = Algorithm::ALL.iter().map(|(name, _)| *name).collect();
    let mut algorithms = Vec::new();
    if !table.has("algorithms") {
        table.lacks("algorithms", "[\"RS256\"]");
    }
    for text in table.strings("algorithms") {
        match Algorithm::named(&text.value) {
            Some(algorithm) => algorithms.push(algorithm),
            None => report.add(
                &text.span,
                format!(
                    "'{}' is no algorithm that is offered; known are: {}",
                    text.value.escape_debug(),
                    names.join(", ")
                ),
            ),
        }
    }
    let (file, has_url) = (table.string("keys_file"), table.has("keys_url"));
    let file = file.map(|path| report.file(FileKind::Credentials, &path));
    if file.is_some() && has_url {
        report.add(&table.span, "keys come from 'keys_file' or from 'keys_url'; remove one");
    }
    let keys = match file {
        Some(file) => Some(KeySource::File(file)),
        None => key_url(&mut table).map(KeySource::Url),
    };
    let jwt = Jwt {
        place: place.unwrap_or(Credential::Bearer),
        algorithms,
        issuers: texts(&mut table, "issuers"),
        audiences: texts(&mut table, "audiences"),
        types: texts(&mut table, "types").into_iter().map(|kind| kind.to_ascii_lowercase()).collect(),
        leeway: table.duration_or_zero("leeway").unwrap_or(Duration::from_secs(30)),
        require_exp: table.boolean("require_exp").unwrap_or(true),
        keys: keys?,
        forward: table.boolean("forward").unwrap_or(true),
        cached_tokens: table.count("cached_tokens", 0..=1_000_000).unwrap_or(4096),
    };
    table.finish();
    Some(jwt)
}

fn key_url(table: &mut Reader<'_, '_>) -> Option<KeyUrl> {
    let span = table.span.clone();
    let url = url(table, "keys_url", "\"https://id.example.com/jwks.json\", or 'keys_file'");
    let settings = KeyUrl {
        ca: authorities(table),
        refresh_interval: table.duration("refresh_interval").unwrap_or(Duration::from_mins(5)),
        min_refresh_interval: table.duration("min_refresh_interval").unwrap_or(Duration::from_secs(5)),
        max_age: table.duration("max_age").unwrap_or(Duration::from_hours(24)),
        timeout: table.duration("timeout").unwrap_or(Duration::from_secs(5)),
        max_waiting: table.count("max_waiting", 1..=100_000).unwrap_or(256),
        url: url?,
    };
    if settings.max_age <= settings.refresh_interval {
        table.report.add(
            &span,
            "'max_age' must be above 'refresh_interval', or keys are too old before they are fetched anew",
        );
    }
    Some(settings)
}

fn certificate(mut table: Reader<'_, '_>) -> ClientCertificate {
    const KINDS: [(&str, CertificateName); 4] = [
        ("uri", CertificateName::Uri),
        ("dns", CertificateName::Dns),
        ("email", CertificateName::Email),
        ("subject", CertificateName::Subject),
    ];
    let mut subject = Vec::new();
    for text in table.strings("subject") {
        match KINDS.iter().find(|(name, _)| *name == text.value) {
            Some((_, kind)) => subject.push(*kind),
            None => {
                table.report.add(&text.span, "'subject' lists \"uri\", \"dns\", \"email\" and \"subject\"")
            }
        }
    }
    if subject.is_empty() {
        subject = KINDS.iter().map(|(_, kind)| *kind).collect();
    }
    let forward = table.boolean("forward").unwrap_or(false);
    table.finish();
    ClientCertificate { subject, forward }
}

fn forward_auth(mut table: Reader<'_, '_>) -> Option<ForwardAuth> {
    let report = table.report;
    let url = url(&mut table, "url", "\"http://auth:9000/check\"");
    let mut request_headers = fields(&mut table, "request_headers");
    if request_headers.is_empty() {
        request_headers = vec!["authorization".to_owned(), "cookie".to_owned()];
    }
    let response_headers =
        table.strings("response_headers").iter().filter_map(|text| edits::name(text, report)).collect();
    let settings = ForwardAuth {
        ca: authorities(&mut table),
        method: table.string("method").map_or(Some(http::Method::GET), |text| {
            if text.value == "request" { None } else { method(&text, report) }
        }),
        request_headers,
        response_headers,
        subject_header: table.string("subject_header").and_then(|name| field(&name, report)),
        timeout: table.duration("timeout").unwrap_or(Duration::from_secs(5)),
        max_body_bytes: table.size("max_body_bytes", 0..=1 << 24).unwrap_or(64 << 10),
        fail_open: table.word("fail", &[("closed", false), ("open", true)]).unwrap_or(false),
        url: url?,
    };
    table.finish();
    Some(settings)
}
