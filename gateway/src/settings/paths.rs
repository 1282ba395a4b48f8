//! Reads the paths of routes, and path rewrites.

use super::kinds::{Parsed, words};
use super::reader::{Either, Reader};
use super::record::Otherwise;
use super::report::{Placed, Report};
use super::templates::{self, Scope};
use super::{MAX_PARAMETERS, PathMatch, PathRewrite, Segment, is_parameter};
use crate::http::path::{DoubleSlash, Path, Policy, Semicolon, Separator};
use crate::json::Json;

/// Reads `path`: a prefix, or a table with `prefix`, `exact` or `template`.
pub fn read(table: &mut Reader<'_, '_>, policy: Policy) -> Option<PathMatch> {
    let report = table.report;
    let text =
        move |text: &Placed<String>, report: &Report<'_>| prefix(text, policy, report).map(PathMatch::Prefix);
    let prefix_kind = Parsed { label: "path", pattern: Some("^/"), read: text };
    let given = table.has("path");
    let read = table.either(
        "path",
        prefix_kind,
        Otherwise::Is(Json::text("/")),
        "which paths it takes: a text is a prefix; or a table, see below",
    );
    let mut table = match read {
        Some(Either::Table(table)) => table,
        Some(Either::Value(path)) => return Some(path.value),
        None => return (!given).then(|| PathMatch::Prefix(String::new())),
    };
    let before = report.count();
    let given = ["prefix", "exact", "template"].iter().filter(|key| table.has(key)).count();
    table.one_of(&["prefix", "exact", "template"]);
    let exact_kind = Parsed {
        label: "path",
        pattern: Some("^/"),
        read: move |text: &Placed<String>, report: &Report<'_>| {
            canonical(text, policy, report).map(PathMatch::Exact)
        },
    };
    let template_kind = Parsed {
        label: "path template",
        pattern: Some("^/"),
        read: move |text: &Placed<String>, report: &Report<'_>| template(text, policy, report),
    };
    let kinds = [
        table.get("prefix", prefix_kind, "", "this path and all below it"),
        table.get("exact", exact_kind, "", "this path only"),
        table.get(
            "template",
            template_kind,
            "",
            "`/users/{id}/files/{*rest}`: `{id}` is one segment, `{*rest}` the rest of the path",
        ),
    ];
    let span = table.span.clone();
    table.finish();
    let only = kinds.into_iter().flatten().next();
    if given != 1 && report.count() == before {
        report.add(&span, "path needs one of 'prefix', 'exact' and 'template'");
        return None;
    }
    only
}

/// Reads `path_policy`.
pub fn policy(table: &mut Reader<'_, '_>) -> Policy {
    let mut policy = Policy::default();
    let mut table = table.section("path_policy", "what passes in a path, see below");
    let separators =
        [("reject", Separator::Reject), ("keep", Separator::Keep), ("decode", Separator::Decode)];
    table.set(
        &mut policy.encoded_slash,
        "encoded_slash",
        words(&separators),
        "`%2F`, as in `/projects/a%2Fb`; `\"keep\"`: part of its segment, `\"decode\"`: a slash",
    );
    table.set(
        &mut policy.backslash,
        "backslash",
        words(&separators),
        "`\\` and `%5C`; `\"keep\"` forwards `%5C`",
    );
    table.set(
        &mut policy.semicolon,
        "semicolon",
        words(&[("reject", Semicolon::Reject), ("keep", Semicolon::Keep)]),
        "`;`, as in `/a;jsessionid=1`",
    );
    table.set(
        &mut policy.double_slash,
        "double_slash",
        words(&[("merge", DoubleSlash::Merge), ("keep", DoubleSlash::Keep), ("reject", DoubleSlash::Reject)]),
        "`//`; `\"merge\"`: one slash, `\"keep\"`: forwarded, while the route is found as if it were one",
    );
    table.finish();
    policy
}

/// Reads `prefix` or `path` of a rewrite or a redirect.
pub fn rewrite(table: &mut Reader<'_, '_>, path: &PathMatch) -> Option<PathRewrite> {
    let report = table.report;
    let kind = Parsed {
        label: "path",
        pattern: Some("^/"),
        read: |text: &Placed<String>, report: &Report<'_>| prefix(text, Policy::default(), report),
    };
    let new_prefix = table.placed(
        "prefix",
        kind,
        "the request's path",
        "replaces the prefix of the route: with `path = \"/api\"` and `prefix = \"/\"`, `/api/x` becomes `/x`",
    );
    let new_path = table.get(
        "path",
        templates::template("template", Scope { path: Some(path), place: templates::Use::Path }),
        "the request's path",
        "the whole path, such as `\"/u/{param.id}\"`; with a `?` it replaces the query too",
    );
    match (new_prefix, new_path) {
        (Some(text), None) => {
            if !matches!(path, PathMatch::Prefix(_)) {
                report.add(
                    &text.span,
                    "'prefix' replaces the prefix of the route, but it has none; write 'path'",
                );
            }
            Some(PathRewrite::Prefix(text.value))
        }
        (None, Some(template)) => Some(PathRewrite::Template(template)),
        (Some(text), Some(_)) => {
            report.add(&text.span, "'prefix' and 'path' exclude each other; remove one of them");
            None
        }
        (None, None) => None,
    }
}

fn prefix(text: &Placed<String>, policy: Policy, report: &Report<'_>) -> Option<String> {
    let path = canonical(text, policy, report)?;
    Some(path.strip_suffix('/').unwrap_or(&path).to_owned())
}

/// A canonical path that its own policy accepts, so that a request can match it.
fn canonical(text: &Placed<String>, policy: Policy, report: &Report<'_>) -> Option<String> {
    let shown = text.value.escape_debug();
    if !text.value.starts_with('/') {
        report.add(&text.span, format!("'{shown}' does not begin with '/'; write '/{shown}'"));
        return None;
    }
    let mut path = Path::default();
    let read = path.read(text.value.as_bytes()).and_then(|()| path.settle(policy));
    if let Err(refused) = read {
        let advice = match refused.reason {
            "path_malformed" => "percent-encode what does not stand in a path, such as '%20' for a space",
            _ => "choose another path, or allow it in 'path_policy'",
        };
        report.add(&text.span, format!("'{shown}' can match no request ({}); {advice}", refused.reason));
        return None;
    }
    if path.as_str() != text.value {
        report.add(&text.span, format!("'{shown}' is not canonical; write '{}'", path.as_str()));
        return None;
    }
    Some(text.value.clone())
}

fn template(text: &Placed<String>, policy: Policy, report: &Report<'_>) -> Option<PathMatch> {
    let mut segments = Vec::new();
    // The same path with a plain segment for each parameter, to check whether it is canonical.
    let mut plain = String::new();
    for part in text.value.split('/').skip(1) {
        let segment = match segment(part) {
            Ok(_) if matches!(segments.last(), Some(Segment::Rest(_))) => {
                Err("'{*NAME}' takes the rest of the path; let it be the last segment".to_owned())
            }
            Ok(Segment::Parameter(name) | Segment::Rest(name)) if has_parameter(&segments, &name) => {
                Err(format!("there is another parameter '{name}'; give each its own name"))
            }
            read => read,
        };
        match segment {
            Ok(segment) => {
                plain.push('/');
                plain.push_str(if matches!(segment, Segment::Literal(_)) { part } else { "x" });
                segments.push(segment);
            }
            Err(problem) => {
                report.add(&text.span, problem);
                return None;
            }
        }
    }
    let parameters = segments.iter().filter(|segment| !matches!(segment, Segment::Literal(_))).count();
    if parameters > MAX_PARAMETERS {
        report.add(&text.span, format!("a path has at most {MAX_PARAMETERS} parameters; remove some"));
        return None;
    }
    if parameters == 0 || !text.value.starts_with('/') {
        return canonical(text, policy, report).map(PathMatch::Exact);
    }
    canonical(&Placed { value: plain, span: text.span.clone() }, policy, report)?;
    Some(PathMatch::Template(segments))
}

fn segment(part: &str) -> Result<Segment, String> {
    let shown = part.escape_debug();
    let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) else {
        if part.contains(['{', '}']) {
            return Err(format!(
                "'{shown}' is not a segment; a parameter takes a whole one, as in '/users/{{id}}'"
            ));
        }
        return Ok(Segment::Literal(part.to_owned()));
    };
    let bare = name.strip_prefix('*').unwrap_or(name);
    if !is_parameter(bare) {
        return Err(format!(
            "'{shown}' is not a parameter; write '{{id}}' or '{{*rest}}' with letters, digits and '_'"
        ));
    }
    let bare_name = bare.to_owned();
    Ok(if bare == name { Segment::Parameter(bare_name) } else { Segment::Rest(bare_name) })
}

/// Whether a template has a parameter of this name.
pub fn has_parameter(segments: &[Segment], wanted: &str) -> bool {
    segments.iter().any(|segment| match segment {
        Segment::Parameter(name) | Segment::Rest(name) => name == wanted,
        Segment::Literal(_) => false,
    })
}
