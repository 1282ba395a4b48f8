//! The path that a rewrite or a redirect makes of the path of a request.

use super::template::{Part, Template, Values};
use crate::settings::{self, PathMatch};

/// What is made of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRewrite {
    /// The prefix of the route gives way to another.
    Prefix {
        /// The prefix of the route, without a slash at its end.
        old: String,
        /// The other one, likewise.
        new: String,
    },
    /// A whole path, with a query if there is a `?`.
    Template(Template),
}

impl PathRewrite {
    /// Compiles a rewrite for a route.
    pub fn compile(rewrite: &settings::PathRewrite, route: &settings::Route) -> Self {
        match rewrite {
            settings::PathRewrite::Prefix(new) => {
                let old = match &route.path {
                    PathMatch::Prefix(old) => old.clone(),
                    _ => String::new(),
                };
                Self::Prefix { old, new: new.clone() }
            }
            settings::PathRewrite::Template(template) => Self::Template(Template::compile(template, route)),
        }
    }

    /// Appends the new path and the query: the template's if it has one, otherwise the request's.
    pub fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        let target = &values.request.target;
        let has_query = match self {
            Self::Prefix { old, new } => {
                let (matched, forwarded) = (target.path.as_str(), target.path.forwarded());
                // Repeated slashes within the prefix itself are merged.
                let rest = below(forwarded, old).or_else(|| below(matched, old)).unwrap_or(matched);
                if new.is_empty() {
                    // Two slashes at the begin would be read as a host (RFC 3986 section 4.2).
                    out.push(b'/');
                    out.extend_from_slice(rest.trim_start_matches('/').as_bytes());
                } else {
                    out.extend_from_slice(new.as_bytes());
                    out.extend_from_slice(rest.as_bytes());
                }
                false
            }
            Self::Template(template) => render(template, values, out),
        };
        if let Some(query) = target.query().filter(|_| !has_query) {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
    }
}

/// Appends path and query of a template; whether it has a query.
fn render(template: &Template, values: &Values<'_>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let mut in_query = false;
    for part in &template.parts {
        let begin = out.len();
        part.render(values, out);
        if let Part::Text(text) = part {
            in_query |= text.contains('?');
        } else if in_query {
            let kept: &[u8] = match part {
                Part::Query => b"&=+%?",
                // Encoded already.
                Part::Path | Part::Parameter(_) => b"%",
                _ => b"",
            };
            encode_query(out, begin, kept);
        } else if begin > start && out[begin - 1] == b'/' && out.get(begin) == Some(&b'/') {
            // `/new/{path}` means `/new` and the path behind it.
            out.remove(begin);
        }
    }
    in_query
}

/// What follows the prefix, if it ends where a segment ends.
fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Percent-encodes what has a meaning in a query, but for what is kept of it, and what has no place in
/// it.
fn encode_query(out: &mut Vec<u8>, begin: usize, kept: &[u8]) {
    let keeps = |byte: u8| {
        byte.is_ascii_graphic()
            && !matches!(byte, b'#' | b'"' | b'<' | b'>')
            && (kept.contains(&byte) || !matches!(byte, b'&' | b'=' | b'+' | b'%' | b'?'))
    };
    if out[begin..].iter().copied().all(keeps) {
        return;
    }
    let value = out.split_off(begin);
    let mut encoded = String::new();
    for byte in value {
        if keeps(byte) {
            encoded.push(char::from(byte));
        } else {
            crate::http::path::encode(byte, &mut encoded);
        }
    }
    out.extend_from_slice(encoded.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::PathRewrite;
    use crate::filter::template::tests::{request, template, values};
    use crate::http::path::{DoubleSlash, Policy};

    fn rendered(rewrite: &PathRewrite, target: &str) -> String {
        let (mut request, parameters) = request(target);
        request.fields.push(b"x-h", b"a b&c=../\xff");
        let policy = Policy { double_slash: DoubleSlash::Keep, ..Policy::default() };
        request.target.path.settle(policy).expect(target);
        let mut out = Vec::new();
        rewrite.render(&values(&request, &parameters), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn prefixes_are_replaced() {
        let table = [
            ("/api", "", "/api/x", "/x"),
            ("/api", "", "/api", "/"),
            ("/api", "", "/api/", "/"),
            ("/api", "/v2", "/api/x?q", "/v2/x?q"),
            ("/api", "/v2", "/api", "/v2"),
            ("", "/v2", "/x", "/v2/x"),
            ("/api", "/v2", "/api//x//y", "/v2//x//y"),
            ("/api", "", "/api//x.com//y", "/x.com//y"),
            ("/api", "/v2", "//api/x//y", "/v2/x/y"),
        ];
        for (old, new, target, expected) in table {
            let rewrite = PathRewrite::Prefix { old: old.to_owned(), new: new.to_owned() };
            assert_eq!(rendered(&rewrite, target), expected, "{old} {new} {target}");
        }
    }

    #[test]
    fn templates_replace_the_path() {
        let table = [
            ("/new", "/a/b", "/new"),
            ("/new", "/a/b?q=1", "/new?q=1"),
            ("/new?", "/a/b?q=1", "/new?"),
            ("{path}", "/a/b", "/a/b"),
            ("/new{path}", "/a/b", "/new/a/b"),
            ("/new/{path}", "/a/b", "/new/a/b"),
            ("/x/{param.id}/y", "/u/p%20q/r", "/x/p%20q/y"),
            ("/x?id={param.id}", "/u/p%20q/r", "/x?id=p%20q"),
            ("/x?{query}", "/a?x=1&y=%20\"", "/x?x=1&y=%20%22"),
            ("/x?h={header.x-h}", "/a", "/x?h=a%20b%26c%3D../%FF"),
        ];
        for (text, target, expected) in table {
            let rewrite = PathRewrite::Template(template(text));
            assert_eq!(rendered(&rewrite, target), expected, "{text} {target}");
        }
    }
}
