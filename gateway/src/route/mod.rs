//! The routing table: from host, canonical path and method to a route.

use std::collections::HashMap;

use http::{Method, StatusCode};

use crate::http::name::Name;
use crate::http::{Failure, Source};
use crate::settings::{PathMatch, Route};

/// No route takes the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// No route has this host and path.
    NoRoute,
    /// Routes have this host and path, but not the method; these are the methods they have.
    Method(Vec<String>),
}

impl std::fmt::Display for Miss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.public())
    }
}

impl std::error::Error for Miss {}

impl Failure for Miss {
    fn origin(&self) -> Source {
        Source::Downstream
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::Method(_) => "method_not_allowed",
        }
    }

    fn public(&self) -> &'static str {
        match self {
            Self::NoRoute => "There is nothing here.",
            Self::Method(_) => "The method is not allowed here.",
        }
    }

    fn field(&self) -> Option<(Name, String)> {
        match self {
            Self::NoRoute => None,
            Self::Method(allowed) => Some((Name::Allow, allowed.join(", "))),
        }
    }
}

/// Which route takes which request. Routes are named by their place in the settings.
///
/// The most specific host with a fitting path wins: the exact name, then the longest wildcard,
/// then routes for any host. Within one host the longest path prefix wins, and only then the
/// method decides, so that a shorter prefix never takes what a longer one refuses.
#[derive(Debug, Default)]
pub struct Table {
    exact: HashMap<String, Paths>,
    /// Under the part of the pattern behind `*`, with its dot.
    wildcard: HashMap<String, Paths>,
    any: Paths,
}

/// The prefixes of one host, the longest first.
#[derive(Debug, Default)]
struct Paths(Vec<Prefix>);

#[derive(Debug)]
struct Prefix {
    prefix: String,
    /// Methods with their route; `None` for any method.
    methods: Vec<(Option<Method>, usize)>,
}

impl Table {
    /// The table of the given routes.
    pub fn new(routes: &[Route]) -> Self {
        let mut table = Self::default();
        for (number, route) in routes.iter().enumerate() {
            if route.hosts.is_empty() {
                table.any.add(route, number);
            }
            for host in &route.hosts {
                let paths = match host.strip_prefix('*') {
                    Some(suffix) => table.wildcard.entry(suffix.to_owned()),
                    None => table.exact.entry(host.clone()),
                };
                paths.or_default().add(route, number);
            }
        }
        table
    }

    /// The route for a request, by its host in lower case, canonical path and method.
    ///
    /// # Errors
    ///
    /// [`Miss`] if there is none.
    pub fn find(&self, host: &str, path: &str, method: &Method) -> Result<usize, Miss> {
        let exact = self.exact.get(host);
        let wildcards = host.match_indices('.').filter_map(|(dot, _)| self.wildcard.get(&host[dot..]));
        exact
            .into_iter()
            .chain(wildcards)
            .chain([&self.any])
            .find_map(|paths| paths.find(path))
            .ok_or(Miss::NoRoute)?
            .choose(method)
    }
}

impl Paths {
    fn add(&mut self, route: &Route, number: usize) {
        let PathMatch::Prefix(prefix) = &route.path else { return };
        let known = self.0.iter().position(|entry| entry.prefix == *prefix);
        let place = known.unwrap_or_else(|| {
            let place = self.0.partition_point(|entry| entry.prefix.len() >= prefix.len());
            let entry = Prefix { prefix: prefix.clone(), methods: Vec::new() };
            self.0.insert(place, entry);
            place
        });
        let methods = &mut self.0[place].methods;
        if route.methods.is_empty() {
            methods.push((None, number));
        }
        for method in &route.methods {
            methods.push((Some(method.clone()), number));
        }
    }

    fn find(&self, path: &str) -> Option<&Prefix> {
        // A prefix ends where a segment ends: `/v1` has `/v1/x` below it, not `/v10`.
        self.0.iter().find(|entry| {
            path.strip_prefix(entry.prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

impl Prefix {
    fn choose(&self, method: &Method) -> Result<usize, Miss> {
        let named = |wanted: &Method| self.methods.iter().find(|(known, _)| known.as_ref() == Some(wanted));
        // Who serves GET serves HEAD (RFC 9110 section 9.3.2).
        let head_as_get = || (method == Method::HEAD).then(|| named(&Method::GET)).flatten();
        let any = || self.methods.iter().find(|(known, _)| known.is_none());
        named(method)
            .or_else(any)
            .or_else(head_as_get)
            .map(|&(_, route)| route)
            .ok_or_else(|| Miss::Method(self.allowed()))
    }

    fn allowed(&self) -> Vec<String> {
        let mut allowed: Vec<String> =
            self.methods.iter().filter_map(|(method, _)| method.as_ref().map(ToString::to_string)).collect();
        if allowed.iter().any(|method| method == "GET") {
            allowed.push("HEAD".to_owned());
        }
        allowed.sort_unstable();
        allowed.dedup();
        allowed
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Miss, Table};
    use crate::settings::{PathMatch, Route};

    fn route(hosts: &[&str], prefix: &str, methods: &[&str]) -> Route {
        let own = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Route {
            hosts: own(hosts),
            path: PathMatch::Prefix(prefix.to_owned()),
            methods: methods.iter().map(|method| method.parse().expect("a method")).collect(),
            ..Route::default()
        }
    }

    #[test]
    fn requests_find_their_route() {
        let table = Table::new(&[
            route(&[], "", &[]),                             // 0
            route(&[], "/v1", &["GET"]),                     // 1
            route(&[], "/v1", &["POST", "PUT"]),             // 2
            route(&[], "/v1/users", &[]),                    // 3
            route(&["a.com"], "/v1", &[]),                   // 4
            route(&["*.a.com"], "/v1", &[]),                 // 5
            route(&["*.b.a.com", "c.com"], "/v1", &["GET"]), // 6
            route(&["d.com"], "", &["HEAD", "GET"]),         // 7
            route(&["d.com"], "/x", &[]),                    // 8
        ]);
        let miss = |methods: &[&str]| {
            let methods = methods.iter().map(|&method| method.to_owned()).collect();
            Err(Miss::Method(methods))
        };
        let rows = [
            ("x.com", "/", "GET", Ok(0)),
            ("", "/", "GET", Ok(0)),
            ("x.com", "/v1", "GET", Ok(1)),
            ("x.com", "/v1/", "GET", Ok(1)),
            ("x.com", "/v1", "HEAD", Ok(1)),
            ("x.com", "/v1/x", "PUT", Ok(2)),
            ("x.com", "/v10", "GET", Ok(0)),
            ("x.com", "/V1", "GET", Ok(0)),
            ("x.com", "/v1/users", "DELETE", Ok(3)),
            ("x.com", "/v1/users/7", "GET", Ok(3)),
            ("x.com", "/v1/usersx", "GET", Ok(1)),
            ("x.com", "/v1", "DELETE", miss(&["GET", "HEAD", "POST", "PUT"])),
            ("a.com", "/v1/users", "GET", Ok(4)),
            ("a.com", "/other", "GET", Ok(0)),
            ("x.a.com", "/v1", "GET", Ok(5)),
            ("y.x.a.com", "/v1", "GET", Ok(5)),
            ("x.b.a.com", "/v1", "GET", Ok(6)),
            ("b.a.com", "/v1", "GET", Ok(5)),
            ("xa.com", "/v1", "GET", Ok(1)),
            ("c.com", "/v1", "GET", Ok(6)),
            ("c.com", "/v1", "POST", miss(&["GET", "HEAD"])),
            ("d.com", "/", "POST", miss(&["GET", "HEAD"])),
            ("d.com", "/x", "POST", Ok(8)),
        ];
        for (host, path, method, expected) in rows {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let found = table.find(host, path, &method);
            assert_eq!(found, expected, "{method} {host}{path}");
        }
    }

    #[test]
    fn without_a_route_for_the_path_there_is_nothing() {
        let table = Table::new(&[route(&["a.com"], "/v1", &[])]);
        for (host, path) in [("a.com", "/"), ("b.com", "/v1"), ("", "/v1")] {
            assert_eq!(table.find(host, path, &Method::GET), Err(Miss::NoRoute));
        }
    }
}
