//! Explains why a route does not match a request.

use std::fmt;

use super::table::{Lookup, Table};
use crate::settings::{Condition, PathMatch, Route, Segment, Test};

/// A part of a request that does not match a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The host; the value has the route's hosts.
    Host(Vec<String>),
    /// The path; the value is the route's path.
    Path(PathMatch),
    /// A header field.
    Field(Condition),
    /// A query parameter.
    Query(Condition),
    /// The method; the value has the route's methods.
    Method(Vec<String>),
}

/// All mismatches between a route and a request; empty if the route matches.
///
/// Each part of the route is tested in a routing table of its own, so that the result is the same as for
/// requests.
pub fn mismatches(route: &Route, lookup: &Lookup<'_>) -> Vec<Mismatch> {
    let takes = |part: Route| [(&part, ())].into_iter().collect::<Table<()>>().find(lookup).is_ok();
    let mut found = Vec::new();
    if !takes(Route { hosts: route.hosts.clone(), ..Route::default() }) {
        found.push(Mismatch::Host(route.hosts.clone()));
    }
    if !takes(Route { path: route.path.clone(), ..Route::default() }) {
        found.push(Mismatch::Path(route.path.clone()));
    }
    for condition in &route.headers {
        if !takes(Route { headers: vec![condition.clone()], ..Route::default() }) {
            found.push(Mismatch::Field(condition.clone()));
        }
    }
    for condition in &route.query {
        if !takes(Route { query: vec![condition.clone()], ..Route::default() }) {
            found.push(Mismatch::Query(condition.clone()));
        }
    }
    if !takes(Route { methods: route.methods.clone(), ..Route::default() }) {
        found.push(Mismatch::Method(route.methods.iter().map(ToString::to_string).collect()));
    }
    found
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(hosts) => write!(f, "the host is not {}", hosts.join(" or ")),
            Self::Path(PathMatch::Prefix(prefix)) => write!(f, "the path is not below {prefix}"),
            Self::Path(PathMatch::Exact(path)) => write!(f, "the path is not {path}"),
            Self::Path(PathMatch::Template(segments)) => {
                f.write_str("the path does not match ")?;
                segments.iter().try_for_each(|segment| match segment {
                    Segment::Literal(text) => write!(f, "/{text}"),
                    Segment::Parameter(name) => write!(f, "/{{{name}}}"),
                    Segment::Rest(name) => write!(f, "/{{*{name}}}"),
                })
            }
            Self::Field(condition) => test(f, "field", condition),
            Self::Query(condition) => test(f, "query parameter", condition),
            Self::Method(methods) => write!(f, "the method is not {}", methods.join(" or ")),
        }
    }
}

fn test(f: &mut fmt::Formatter<'_>, kind: &str, condition: &Condition) -> fmt::Result {
    let name = &condition.name;
    match &condition.test {
        Test::Is(text) => write!(f, "the {kind} {name} is not {text:?}"),
        Test::Present => write!(f, "there is no {kind} {name}"),
        Test::Absent => write!(f, "there is a {kind} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::mismatches;
    use crate::http::fields::Fields;
    use crate::route::Lookup;
    use crate::settings;

    #[test]
    fn every_mismatch_is_reported() {
        let table = [
            ("", ""),
            ("hosts = ['a.com', '*.b.com']", "the host is not a.com or *.b.com"),
            ("hosts = ['*.example.com']", ""),
            ("path = '/api'", ""),
            ("path = '/other'", "the path is not below /other"),
            ("path = { exact = '/api' }", "the path is not /api"),
            ("path = { template = '/{a}/y/{*b}' }", "the path does not match /{a}/y/{*b}"),
            ("methods = ['PUT', 'POST']", "the method is not PUT or POST"),
            ("methods = ['GET']", ""),
            ("headers = { 'X-Env' = 'beta' }", ""),
            ("headers = { 'X-Env' = 'prod' }", "the field x-env is not \"prod\""),
            ("headers = { 'X-Env' = false }", "there is a field x-env"),
            ("headers = { 'X-No' = true }", "there is no field x-no"),
            ("query = { v = '3' }", "the query parameter v is not \"3\""),
            (
                "hosts = ['c.com']\npath = '/c'\nmethods = ['PUT']",
                "the host is not c.com, the path is not below /c, the method is not PUT",
            ),
        ];
        let mut fields = Fields::new();
        fields.push(b"x-env", b"beta");
        let lookup = Lookup {
            host: "x.example.com",
            path: "/api/x",
            query: Some("v=2"),
            method: &Method::HEAD,
            fields: &fields,
        };
        for (lines, expected) in table {
            let text = format!(
                "[[listeners]]\naddress = '127.0.0.1:0'\n[[routes]]\nrespond = {{ status = 200 }}\n{lines}\n"
            );
            let (settings, problems) = settings::parse("f", &text);
            assert!(problems.is_empty(), "{problems:?}");
            let found = mismatches(&settings.routes[0], &lookup);
            let told: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(told.join(", "), expected, "{lines}");
        }
    }
}
