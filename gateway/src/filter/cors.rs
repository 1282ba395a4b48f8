//! Cross-origin requests of browsers (Fetch standard, section 3.3).
//!
//! It protects users of browsers, not the service: a request without a field that allows its origin is
//! forwarded all the same, and the browser keeps the response from the script.

use http::{Method, StatusCode};

use super::{Answer, Filter, Phase, Verdict};
use crate::exchange::Exchange;
use crate::exchange::fault::PolicyRefusal;
use crate::http::fields::Fields;
use crate::http::token::{is_token, list};
use crate::settings::{self, Origin};

const ORIGIN: &[u8] = b"origin";
const ASKED_METHOD: &[u8] = b"access-control-request-method";
const ASKED_HEADERS: &[u8] = b"access-control-request-headers";

/// Answers preflights and says what browsers may do with responses.
#[derive(Debug)]
pub struct Cors {
    rules: settings::Cors,
    /// Whether any origin is allowed, so that the response does not depend on it.
    is_open: bool,
    exposed: String,
    max_age: String,
}

/// The method that a preflight asks for, if the request is one.
pub fn asked_method<'f>(method: &Method, fields: &'f Fields) -> Option<&'f [u8]> {
    if *method != Method::OPTIONS || fields.named(ORIGIN).next().is_none() {
        return None;
    }
    fields.named(ASKED_METHOD).next()
}

impl Cors {
    /// The filter of a route, if other sites may use it.
    pub fn compile(rules: Option<&settings::Cors>) -> Option<Self> {
        let rules = rules?.clone();
        Some(Self {
            is_open: rules.origins.contains(&Origin::Any),
            exposed: rules.expose_headers.join(", "),
            max_age: rules.max_age.as_secs().to_string(),
            rules,
        })
    }

    /// Whether this origin is allowed, as the browser writes it.
    fn allows(&self, origin: &[u8]) -> bool {
        self.rules.origins.iter().any(|allowed| match allowed {
            Origin::Any => true,
            Origin::Exact(exact) => exact.as_bytes() == origin,
            Origin::Below(scheme, domain) => {
                let name = origin
                    .strip_prefix(scheme.as_bytes())
                    .and_then(|rest| rest.strip_suffix(domain.as_bytes()));
                let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
                name.is_some_and(|name| !name.is_empty() && name.iter().all(is_good))
            }
        })
    }

    /// What a preflight asks for and the settings do not allow.
    fn judge(&self, origin: Option<&[u8]>, fields: &Fields) -> Result<(), (&'static str, &'static str)> {
        if origin.is_none() {
            return Err(("cors_origin", "Requests from this origin are not allowed."));
        }
        let mut asked = fields.named(ASKED_METHOD);
        let method = asked.next().filter(|method| asked.next().is_none() && is_token(method));
        let allows = |method: &[u8]| {
            let listed = |all: &Vec<Method>| all.iter().any(|one| one.as_str().as_bytes() == method);
            matches!(method, b"GET" | b"HEAD" | b"POST") || self.rules.methods.as_ref().is_none_or(listed)
        };
        if !method.is_some_and(allows) {
            return Err(("cors_method", "Requests of other origins with this method are not allowed."));
        }
        if !fields.named(ASKED_HEADERS).flat_map(list).all(|name| self.allows_header(name)) {
            return Err(("cors_headers", "Requests of other origins with these fields are not allowed."));
        }
        Ok(())
    }

    fn allows_header(&self, name: &[u8]) -> bool {
        let is = |own: &[u8]| own.eq_ignore_ascii_case(name);
        // A wildcard does not cover `Authorization` (Fetch standard, "CORS non-wildcard request-header name").
        is_token(name)
            && (self.rules.headers.iter().any(|own| is(own.as_bytes()))
                || (self.rules.any_header && !is(b"authorization")))
    }

    /// The answer to a preflight that may have what it asks for: exactly that.
    fn answer(&self, fields: &Fields) -> Answer {
        let mut answer = Answer { status: StatusCode::NO_CONTENT, ..Answer::default() };
        let out = &mut answer.fields;
        if let Some(method) = fields.named(ASKED_METHOD).next() {
            out.push(b"access-control-allow-methods", method);
        }
        let names: Vec<&[u8]> = fields.named(ASKED_HEADERS).flat_map(list).collect();
        if !names.is_empty() {
            out.push(b"access-control-allow-headers", &names.join(&b", "[..]));
        }
        out.push(b"access-control-max-age", self.max_age.as_bytes());
        answer
    }
}

/// Says that a response depends on a field of the request (RFC 9110 section 12.5.5).
pub(super) fn vary(fields: &mut Fields, name: &[u8]) {
    let is_said = |said: &[u8]| said == b"*" || said.eq_ignore_ascii_case(name);
    if !fields.named(b"vary").flat_map(list).any(is_said) {
        fields.push(b"vary", name);
    }
}

impl Filter for Cors {
    fn name(&self) -> &'static str {
        "cors"
    }

    fn phase(&self) -> Phase {
        Phase::Entry
    }

    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        let fields = &exchange.request.fields;
        let mut origins = fields.named(ORIGIN);
        let origin = origins.next().filter(|origin| origins.next().is_none() && self.allows(origin));
        let asked = asked_method(&exchange.request.method, fields)
            .map(|_| self.judge(origin, fields).map(|()| self.answer(fields)));
        // Later filters may change the fields of the request.
        exchange.origin = origin.filter(|_| !self.is_open).map(Box::from);
        match asked {
            None => Verdict::Continue,
            Some(Ok(answer)) => Verdict::Answer(answer),
            Some(Err((reason, public))) => {
                let status = StatusCode::FORBIDDEN;
                Verdict::Refuse(Box::new(PolicyRefusal { status, reason, public, retry_after: None }))
            }
        }
    }

    fn response(&self, exchange: &mut Exchange<'_>) {
        let is_preflight = asked_method(&exchange.request.method, &exchange.request.fields).is_some();
        let fields = &mut exchange.response.fields;
        if is_preflight {
            vary(fields, b"Access-Control-Request-Method");
            vary(fields, b"Access-Control-Request-Headers");
        } else {
            // Two answers would be none: browsers refuse a second `Access-Control-Allow-Origin`.
            let prefix = b"access-control-";
            fields.retain(|field| {
                !field.name.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
            });
        }
        if self.is_open {
            fields.push(b"access-control-allow-origin", b"*");
        } else {
            vary(fields, b"Origin");
            let Some(origin) = exchange.origin.as_deref() else { return };
            fields.push(b"access-control-allow-origin", origin);
            if self.rules.credentials {
                fields.push(b"access-control-allow-credentials", b"true");
            }
        }
        if !is_preflight && !self.exposed.is_empty() {
            fields.push(b"access-control-expose-headers", self.exposed.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cors;
    use crate::settings::{self, Origin};

    #[test]
    fn origins_are_compared_as_browsers_write_them() {
        let exact = |text: &str| Origin::Exact(text.to_owned());
        let rules = settings::Cors {
            origins: vec![
                exact("https://app.example"),
                Origin::Below("https://".to_owned(), ".example.com".to_owned()),
            ],
            ..settings::Cors::default()
        };
        let cors = Cors::compile(Some(&rules)).expect("rules");
        let table = [
            ("https://app.example", true),
            ("https://a.example.com", true),
            ("https://a.b.example.com", true),
            ("https://example.com", false),
            ("https://.example.com", false),
            ("http://a.example.com", false),
            ("https://aexample.com", false),
            ("https://evil.test/.example.com", false),
            ("https://evil.test#.example.com", false),
            ("https://evil.test:1.example.com", false),
            ("https://app.example:8443", false),
            ("https://app.example.evil.test", false),
            ("HTTPS://app.example", false),
            ("null", false),
            ("", false),
        ];
        for (origin, expected) in table {
            assert_eq!(cors.allows(origin.as_bytes()), expected, "{origin}");
        }
    }
}
