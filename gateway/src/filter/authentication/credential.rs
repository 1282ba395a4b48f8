//! Where credentials stand in requests.

use std::borrow::Cow;

use crate::exchange::Request;
use crate::http::fields::Fields;
use crate::http::name::Name;
use crate::http::query;
use crate::settings::Credential;

/// The credential at a place, if there is one. Of `Authorization` only one may be there (RFC 9110
/// section 11.6.2), and of another field too: which of several counts is read in different ways.
pub fn find<'r>(request: &'r Request, place: &'r Credential) -> Option<Result<Cow<'r, [u8]>, ()>> {
    match place {
        Credential::Bearer => of_scheme(request, b"bearer").map(|value| value.map(Cow::Borrowed)),
        Credential::Header(name) => {
            only(request.fields.named(name.as_bytes())).map(|value| value.map(Cow::Borrowed))
        }
        Credential::Query(name) => {
            let value = query::first(request.target.query()?, name)?;
            Some(Ok(Cow::Owned(query::decoded(value).collect())))
        }
        Credential::Cookie(name) => {
            cookie(&request.fields, name.as_bytes()).map(|value| Ok(Cow::Borrowed(value)))
        }
    }
}

/// What `Authorization` holds for a scheme in lower case, if it is of that scheme.
pub fn of_scheme<'r>(request: &'r Request, scheme: &[u8]) -> Option<Result<&'r [u8], ()>> {
    match only(request.fields.all(Name::Authorization))? {
        Ok(value) => after_scheme(value, scheme).map(Ok),
        Err(()) => Some(Err(())),
    }
}

/// Removes `Authorization` of a scheme in lower case.
pub fn strip_scheme(request: &mut Request, scheme: &[u8]) {
    request
        .fields
        .retain(|field| field.known != Name::Authorization || after_scheme(field.value, scheme).is_none());
}

/// Removes the credential at a place.
pub fn strip(request: &mut Request, place: &Credential) {
    match place {
        Credential::Bearer => strip_scheme(request, b"bearer"),
        Credential::Header(name) => request.fields.remove_named(name.as_bytes()),
        Credential::Query(name) => request.target.remove_parameter(name),
        Credential::Cookie(name) => {
            if cookie(&request.fields, name.as_bytes()).is_none() {
                return;
            }
            let pairs = request.fields.all(Name::Cookie).flat_map(|value| value.split(|&byte| byte == b';'));
            let others = pairs.map(<[u8]>::trim_ascii).filter(|pair| pair_of(pair).0 != name.as_bytes());
            let rest = others.collect::<Vec<_>>().join(&b"; "[..]);
            request.fields.remove(Name::Cookie);
            if !rest.is_empty() {
                request.fields.add(Name::Cookie, &rest);
            }
        }
    }
}

fn only<'f>(mut values: impl Iterator<Item = &'f [u8]>) -> Option<Result<&'f [u8], ()>> {
    let first = values.next()?;
    Some(if values.next().is_none() { Ok(first) } else { Err(()) })
}

/// What follows a scheme, which is in any case (RFC 9110 section 11.1).
fn after_scheme<'v>(value: &'v [u8], scheme: &[u8]) -> Option<&'v [u8]> {
    let (own, rest) = value.split_at_checked(scheme.len())?;
    let token = rest.strip_prefix(b" ")?;
    own.eq_ignore_ascii_case(scheme).then(|| token.trim_ascii_start())
}

fn cookie<'f>(fields: &'f Fields, name: &[u8]) -> Option<&'f [u8]> {
    let pairs = fields.all(Name::Cookie).flat_map(|value| value.split(|&byte| byte == b';'));
    pairs.map(|pair| pair_of(pair.trim_ascii())).find(|(own, _)| *own == name).map(|(_, value)| value)
}

fn pair_of(pair: &[u8]) -> (&[u8], &[u8]) {
    match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::{find, strip};
    use crate::exchange::Request;
    use crate::settings::Credential;

    fn request(fields: &[(&str, &str)]) -> Request {
        let mut request = Request::default();
        request.target.read_http1(b"GET", b"/p?a=1&key=k%20y&b=2", Some(b"h"), false).expect("a target");
        for (name, value) in fields {
            request.fields.push(name.as_bytes(), value.as_bytes());
        }
        request
    }

    /// Where, the fields, the credential, and the fields and query that are left.
    type Row<'r> = (Credential, &'r [(&'r str, &'r str)], Option<Result<&'r str, ()>>, &'r str);

    #[test]
    fn credentials_are_found_and_removed() {
        let header = || Credential::Header("x-key".to_owned());
        let cookie = || Credential::Cookie("key".to_owned());
        let query = || Credential::Query("key".to_owned());
        let table: [Row<'_>; 11] = [
            (Credential::Bearer, &[("Authorization", "bearer  t")], Some(Ok("t")), "?a=1&key=k%20y&b=2"),
            (
                Credential::Bearer,
                &[("Authorization", "Bearer")],
                None,
                "Authorization=Bearer ?a=1&key=k%20y&b=2",
            ),
            (
                Credential::Bearer,
                &[("authorization", "Basic x")],
                None,
                "authorization=Basic x ?a=1&key=k%20y&b=2",
            ),
            (
                Credential::Bearer,
                &[("authorization", "Bearer x"), ("authorization", "Bearer y")],
                Some(Err(())),
                "?a=1&key=k%20y&b=2",
            ),
            (header(), &[("X-Key", "k"), ("a", "b")], Some(Ok("k")), "a=b ?a=1&key=k%20y&b=2"),
            (header(), &[("X-Key", "k"), ("x-key", "l")], Some(Err(())), "?a=1&key=k%20y&b=2"),
            (header(), &[], None, "?a=1&key=k%20y&b=2"),
            (query(), &[], Some(Ok("k y")), "?a=1&b=2"),
            (
                cookie(),
                &[("Cookie", "a=b; key=k=1;c=d")],
                Some(Ok("k=1")),
                "cookie=a=b; c=d ?a=1&key=k%20y&b=2",
            ),
            (cookie(), &[("Cookie", "key=k")], Some(Ok("k")), "?a=1&key=k%20y&b=2"),
            (cookie(), &[("Cookie", "keys=k")], None, "Cookie=keys=k ?a=1&key=k%20y&b=2"),
        ];
        for (place, fields, expected, left) in table {
            let mut request = request(fields);
            let found = find(&request, &place)
                .map(|found| found.map(|value| String::from_utf8_lossy(&value).into_owned()));
            let expected = expected.map(|expected| expected.map(str::to_owned));
            assert_eq!(found, expected, "{place:?} {fields:?}");
            strip(&mut request, &place);
            let mut shown = String::new();
            for field in request.fields.iter() {
                shown += &format!("{}={} ", field.name.escape_ascii(), field.value.escape_ascii());
            }
            let query = request.target.query().unwrap_or_default();
            assert_eq!(format!("{shown}?{query}"), left, "{place:?} {fields:?}");
        }
    }
}
