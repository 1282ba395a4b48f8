//! Reads the paths of routes: what they match, and what they are rewritten to.

use toml::de::DeValue;

use super::reader::{Reader, found};
use super::report::{Placed, Report};
use super::templates::{self, Scope};
use super::{MAX_PARAMETERS, PathMatch, PathRewrite, Segment};
use crate::http::path::{DoubleSlash, Path, Policy, Semicolon, Separator};

/// Reads `path`: a prefix, or a table with `prefix`, `exact` or `template`.
pub fn read(table: &mut Reader<'_, '_>, policy: Policy) -> Option<PathMatch> {
    let report = table.report;
    let Some(value) = table.take("path") else {
        return Some(PathMatch::Prefix(String::new()));
    };
    let span = value.span();
    match value.get_ref() {
        DeValue::String(text) => {
            let text = Placed { value: text.clone().into_owned(), span };
            prefix(&text, policy, report).map(PathMatch::Prefix)
        }
        DeValue::Table(_) => {
            let mut table = Reader::new(value, "path", report)?;
            let kinds = [table.string("prefix"), table.string("exact"), table.string("template")];
            let before = report.count();
            table.finish();
            match kinds {
                [Some(text), None, None] => prefix(&text, policy, report).map(PathMatch::Prefix),
                [None, Some(text), None] => canonical(&text, policy, report).map(PathMatch::Exact),
                [None, None, Some(text)] => template(&text, policy, report),
                _ if report.count() > before => None,
                _ => {
                    report.add(&span, "path needs one of 'prefix', 'exact' and 'template'");
                    None
                }
            }
        }
        other => {
            report.add(&span, format!("'path' must be a text or a table, not {}", found(other)));
            None
        }
    }
}

/// Reads `path_policy`.
pub fn policy(table: &mut Reader<'_, '_>) -> Policy {
    let Some(mut table) = table.table("path_policy") else { return Policy::default() };
    let separators =
        [("reject", Separator::Reject), ("keep", Separator::Keep), ("decode", Separator::Decode)];
    let policy = Policy {
        encoded_slash: table.word("encoded_slash", &separators).unwrap_or_default(),
        backslash: table.word("backslash", &separators).unwrap_or_default(),
        semicolon: table
            .word("semicolon", &[("reject", Semicolon::Reject), ("keep", Semicolon::Keep)])
            .unwrap_or_default(),
        double_slash: table
            .word(
                "double_slash",
                &[
                    ("merge", DoubleSlash::Merge),
                    ("keep", DoubleSlash::Keep),
                    ("reject", DoubleSlash::Reject),
                ],
            )
            .unwrap_or_default(),
    };
    table.finish();
    policy
}

/// Reads `prefix` or `path` of a rewrite or a redirect.
pub fn rewrite(table: &mut Reader<'_, '_>, path: &PathMatch) -> Option<PathRewrite> {
    let report = table.report;
    let new_prefix = table.string("prefix");
    let new_path = templates::take(table, "path", Scope { path: Some(path), place: templates::Use::Path });
    match (new_prefix, new_path) {
        (Some(text), None) => {
            if !matches!(path, PathMatch::Prefix(_)) {
                report.add(
                    &text.span,
                    "'prefix' replaces the prefix of the route, but it has none; write 'path'",
                );
            }
            prefix(&text, Policy::default(), report).map(PathRewrite::Prefix)
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

/// A path that is canonical and passes its own policy, so that there are requests for it.
fn canonical(text: &Placed<String>, policy: Policy, report: &Report<'_>) -> Option<String> {
    let shown = text.value.escape_debug();
    if !text.value.starts_with('/') {
        report.add(&text.span, format!("'{shown}' does not begin with '/'; write '/{shown}'"));
        return None;
    }
    let mut path = Path::default();
    let read = path.read(text.value.as_bytes()).and_then(|()| path.settle(policy));
    if let Err(refused) = read {
        report.add(
            &text.span,
            format!(
                "'{shown}' can match no request ({}); choose another path, or allow it in 'path_policy'",
                refused.reason
            ),
        );
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
    // The same path with a plain segment for each parameter, to see whether it is canonical.
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
    if bare.is_empty() || !bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
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
