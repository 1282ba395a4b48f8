//! The path that a rewrite or a redirect makes of the path of a request.

use crate::settings::{Part, PathMatch, PathRewrite, Variable};

/// Appends the new path, and the new query if the template has one. Returns whether it has, so that
/// the query of the request must not be appended.
///
/// `matched` is the path by which the route was found, `forwarded` the same as it would be forwarded
/// (see [`crate::http::path::Path`]); `value` appends the value of a variable.
pub fn rewrite_path(
    rewrite: &PathRewrite,
    route: &PathMatch,
    matched: &str,
    forwarded: &str,
    out: &mut Vec<u8>,
    mut value: impl FnMut(&Variable, &mut Vec<u8>),
) -> bool {
    let start = out.len();
    let template = match rewrite {
        PathRewrite::Prefix(new) => {
            let old = match route {
                PathMatch::Prefix(old) => old.as_str(),
                _ => "",
            };
            // Repeated slashes within the prefix itself are merged.
            let rest = below(forwarded, old).or_else(|| below(matched, old)).unwrap_or(matched);
            out.extend_from_slice(new.as_bytes());
            if new.is_empty() {
                // Two slashes at the begin would be read as a host (RFC 3986 section 4.2).
                out.push(b'/');
                out.extend_from_slice(rest.trim_start_matches('/').as_bytes());
            } else {
                out.extend_from_slice(rest.as_bytes());
            }
            return false;
        }
        PathRewrite::Template(template) => template,
    };
    let mut in_query = false;
    for part in &template.parts {
        let begin = out.len();
        match part {
            Part::Text(text) => {
                out.extend_from_slice(text.as_bytes());
                in_query |= text.contains('?');
            }
            Part::Variable(variable) => {
                value(variable, out);
                if in_query {
                    encode_query(out, begin, matches!(variable, Variable::Query));
                } else if begin > start && out[begin - 1] == b'/' && out.get(begin) == Some(&b'/') {
                    // `/new/{path}` means `/new` and the path behind it.
                    out.remove(begin);
                }
            }
        }
    }
    in_query
}

/// What follows the prefix, if it ends where a segment ends.
fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Percent-encodes what has a meaning in a query or no place in it; a whole query keeps its `&`,
/// `=`, `+` and percent-encodings.
fn encode_query(out: &mut Vec<u8>, begin: usize, whole: bool) {
    let keeps = |byte: u8| {
        byte.is_ascii_graphic()
            && !matches!(byte, b'#' | b'"' | b'<' | b'>')
            && (whole || !matches!(byte, b'&' | b'=' | b'+' | b'%' | b'?'))
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
    use super::rewrite_path;
    use crate::settings::{PathMatch, PathRewrite, Template, Variable};

    fn values(variable: &Variable, out: &mut Vec<u8>) {
        out.extend_from_slice(match variable {
            Variable::Path => b"/a/b",
            Variable::Query => b"x=1&y=%20\"",
            Variable::Parameter(_) => b"p%2Fq",
            Variable::Header(_) => b"a b&c=../\xff",
            _ => b"",
        });
    }

    #[test]
    fn prefixes_are_replaced() {
        let table = [
            ("/api", "", "/api/x", "/api/x", "/x"),
            ("/api", "", "/api", "/api", "/"),
            ("/api", "", "/api/", "/api/", "/"),
            ("/api", "/v2", "/api/x", "/api/x", "/v2/x"),
            ("/api", "/v2", "/api", "/api", "/v2"),
            ("", "/v2", "/x", "/x", "/v2/x"),
            ("/api", "/v2", "/api/x/y", "/api//x//y", "/v2//x//y"),
            ("/api", "", "/api/x.com/y", "/api//x.com//y", "/x.com//y"),
            ("/api", "/v2", "/api/x/y", "//api/x//y", "/v2/x/y"),
        ];
        for (old, new, matched, forwarded, expected) in table {
            let mut out = Vec::new();
            let rewrite = PathRewrite::Prefix(new.to_owned());
            let route = PathMatch::Prefix(old.to_owned());
            assert!(!rewrite_path(&rewrite, &route, matched, forwarded, &mut out, values));
            assert_eq!(String::from_utf8_lossy(&out), expected, "{old} {new} {forwarded}");
        }
    }

    #[test]
    fn templates_replace_the_path() {
        let table = [
            ("/new", "/new", false),
            ("{path}", "/a/b", false),
            ("/new{path}", "/new/a/b", false),
            ("/new/{path}", "/new/a/b", false),
            ("/u/{param.id}/x", "/u/p%2Fq/x", false),
            ("/u?id={param.id}", "/u?id=p%252Fq", true),
            ("/u?{query}", "/u?x=1&y=%20%22", true),
            ("/u?h={header.x}", "/u?h=a%20b%26c%3D../%FF", true),
        ];
        for (text, expected, has_query) in table {
            let rewrite = PathRewrite::Template(Template::parse(text).expect(text));
            let mut out = Vec::new();
            let route = PathMatch::Prefix(String::new());
            assert_eq!(rewrite_path(&rewrite, &route, "/a/b", "/a/b", &mut out, values), has_query, "{text}");
            assert_eq!(String::from_utf8_lossy(&out), expected, "{text}");
        }
    }
}
