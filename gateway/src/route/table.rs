//! The routing table: maps host, path, method, fields and query to a route.

use std::collections::HashMap;

use http::Method;

use super::condition::{headers_hold, query_holds};
use super::miss::Miss;
use super::trie::{Node, Parameters};
use crate::http::fields::Fields;
use crate::http::path::Policy;
use crate::settings::{Condition, PathMatch, Route, Segment};

/// The parts of a request that select its route.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    /// The host in lower case without port; empty if there is none.
    pub host: &'a str,
    /// The canonical path, or `*`.
    pub path: &'a str,
    /// The query without the leading `?`.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The header fields.
    pub fields: &'a Fields,
}

/// The route of a request.
#[derive(Debug)]
pub struct Match<'t, T> {
    /// The route.
    pub route: &'t T,
    entry: &'t Entry<T>,
    parameters: Parameters,
}

impl<T> Match<'_, T> {
    /// The parameter of this name, in the path that was matched.
    pub fn parameter<'p>(&self, name: &str, path: &'p str) -> Option<&'p str> {
        let details = self.entry.details.as_ref()?;
        let place = details.parameters.iter().position(|known| known == name)?;
        self.parameters.get(place, path)
    }

    /// Positions of the parameters in the path, in the order of the template.
    pub fn parameters(&self) -> Parameters {
        self.parameters
    }

    pub(super) fn policy(&self) -> Policy {
        self.entry.policy
    }
}

/// The routing table. `T` is the value of a route.
///
/// The most specific matching host wins: the exact name, then the longest wildcard, then routes for any host.
/// Within one host paths are compared segment by segment: a literal precedes a parameter, a parameter
/// precedes `{*rest}`, that precedes a prefix. Among the routes with one host and path whose conditions hold,
/// the method decides: if it matches none, the response is 405, and no less specific path is tried. If it
/// matches several, the one with the most conditions wins, then the one that names the method.
#[derive(Debug)]
pub struct Table<T> {
    exact: HashMap<Box<str>, Node<Vec<Entry<T>>>>,
    /// Keyed by the part of the pattern after `*`, with its dot.
    wildcard: HashMap<Box<str>, Node<Vec<Entry<T>>>>,
    any: Node<Vec<Entry<T>>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new(), any: Node::default() }
    }
}

#[derive(Debug, Clone)]
struct Entry<T> {
    route: T,
    /// Empty for any.
    methods: Vec<Method>,
    policy: Policy,
    /// Rare parts, boxed: with many routes an entry should fit into a cache line.
    details: Option<Box<Details>>,
}

#[derive(Debug, Clone)]
struct Details {
    headers: Vec<Condition>,
    query: Vec<Condition>,
    parameters: Vec<String>,
}

/// A table of values, one for each route.
impl<'r, T: Clone> FromIterator<(&'r Route, T)> for Table<T> {
    fn from_iter<I: IntoIterator<Item = (&'r Route, T)>>(routes: I) -> Self {
        let mut table = Self::default();
        for (settings, route) in routes {
            table.add(settings, route);
        }
        table
    }
}

impl<T> Table<T> {
    fn add(&mut self, settings: &Route, route: T)
    where
        T: Clone,
    {
        let entry = Entry::new(settings, route);
        if settings.hosts.is_empty() {
            insert(self.any.entry(&settings.path), entry.clone());
        }
        for host in &settings.hosts {
            let node = match host.strip_prefix('*') {
                Some(suffix) => self.wildcard.entry(suffix.into()),
                None => self.exact.entry(host.as_str().into()),
            };
            insert(node.or_default().entry(&settings.path), entry.clone());
        }
    }

    /// The route of a request.
    ///
    /// # Errors
    ///
    /// [`Miss`] if there is none.
    pub fn find(&self, lookup: &Lookup<'_>) -> Result<Match<'_, T>, Miss> {
        self.nodes(lookup.host)
            .find_map(|node| {
                node.find(lookup.path, &mut |entries, parameters| choose(entries, parameters, lookup))
            })
            .unwrap_or(Err(Miss::NoRoute))
    }

    /// The paths of the matching hosts, the most specific first.
    fn nodes(&self, host: &str) -> impl Iterator<Item = &Node<Vec<Entry<T>>>> {
        let exact = self.exact.get(host);
        let dots = if self.wildcard.is_empty() { "" } else { host };
        let wildcards = dots.match_indices('.').filter_map(|(dot, _)| self.wildcard.get(&host[dot..]));
        exact.into_iter().chain(wildcards).chain([&self.any])
    }
}

/// Inserts an entry at its position in the order of precedence.
fn insert<T>(entries: &mut Vec<Entry<T>>, entry: Entry<T>) {
    let rank = |entry: &Entry<T>| {
        let conditions = entry.details.as_ref().map_or(0, |has| has.headers.len() + has.query.len());
        (std::cmp::Reverse(conditions), entry.methods.is_empty())
    };
    let place = entries.partition_point(|other| rank(other) <= rank(&entry));
    entries.reserve_exact(1);
    entries.insert(place, entry);
}

/// The matching entry among those of one host and path; `None` if no conditions hold, so that a less specific
/// path may match.
fn choose<'t, T>(
    entries: &'t [Entry<T>],
    parameters: &Parameters,
    lookup: &Lookup<'_>,
) -> Option<Result<Match<'t, T>, Miss>> {
    let mut held = entries.iter().filter(|entry| entry.holds(lookup)).peekable();
    held.peek()?;
    // A route for GET also serves HEAD (RFC 9110 section 9.3.2).
    let fits = |entry: &&Entry<T>| entry.methods.is_empty() || entry.methods.contains(lookup.method);
    let head_as_get =
        |entry: &&Entry<T>| *lookup.method == Method::HEAD && entry.methods.contains(&Method::GET);
    let found = held.clone().find(fits).or_else(|| held.clone().find(head_as_get));
    Some(match found {
        Some(entry) => Ok(Match { route: &entry.route, entry, parameters: *parameters }),
        None => Err(Miss::Method(allowed(held))),
    })
}

fn allowed<'t, T: 't>(entries: impl Iterator<Item = &'t Entry<T>>) -> Vec<Method> {
    let mut allowed: Vec<Method> = entries.flat_map(|entry| entry.methods.iter().cloned()).collect();
    if allowed.contains(&Method::GET) {
        allowed.push(Method::HEAD);
    }
    allowed.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    allowed.dedup();
    allowed
}

impl<T> Entry<T> {
    fn new(settings: &Route, route: T) -> Self {
        let parameters = match &settings.path {
            PathMatch::Template(segments) => segments
                .iter()
                .filter_map(|segment| match segment {
                    Segment::Parameter(name) | Segment::Rest(name) => Some(name.clone()),
                    Segment::Literal(_) => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        let (headers, query) = (settings.headers.clone(), settings.query.clone());
        let details = Details { headers, query, parameters };
        Self {
            route,
            methods: settings.methods.clone(),
            policy: settings.path_policy,
            details: (!details.is_empty()).then(|| Box::new(details)),
        }
    }

    fn holds(&self, lookup: &Lookup<'_>) -> bool {
        let holds = |has: &Details| {
            headers_hold(&has.headers, lookup.fields) && query_holds(&has.query, lookup.query)
        };
        self.details.as_deref().is_none_or(holds)
    }
}

impl Details {
    fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.query.is_empty() && self.parameters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Lookup, Table};
    use crate::http::fields::Fields;
    use crate::route::Miss;
    use crate::settings::{Condition, PathMatch, Route, Segment, Test};

    /// The path as in the settings, with `$` for an exact one.
    fn path(text: &str) -> PathMatch {
        if let Some(exact) = text.strip_suffix('$') {
            return PathMatch::Exact(exact.to_owned());
        }
        if !text.contains('{') {
            return PathMatch::Prefix(text.to_owned());
        }
        let segment = |text: &str| {
            let name = text.trim_matches(['{', '}']);
            match name.strip_prefix('*') {
                Some(rest) => Segment::Rest(rest.to_owned()),
                None if name == text => Segment::Literal(text.to_owned()),
                None => Segment::Parameter(name.to_owned()),
            }
        };
        PathMatch::Template(text.split('/').skip(1).map(segment).collect())
    }

    fn route(hosts: &[&str], text: &str, methods: &[&str]) -> Route {
        Route {
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            path: path(text),
            methods: methods.iter().map(|method| method.parse().expect("a method")).collect(),
            ..Route::default()
        }
    }

    fn table(routes: &[Route]) -> Table<usize> {
        routes.iter().enumerate().map(|(number, route)| (route, number)).collect()
    }

    fn find(table: &Table<usize>, method: &str, host: &str, path: &str) -> Result<usize, Miss> {
        let fields = Fields::new();
        let method: Method = method.parse().expect("a method");
        let lookup = Lookup { host, path, query: None, method: &method, fields: &fields };
        table.find(&lookup).map(|found| *found.route)
    }

    #[test]
    fn requests_match_their_route() {
        let table = table(&[
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
            Err(Miss::Method(methods.iter().map(|method| method.parse().expect("a method")).collect()))
        };
        let rows = [
            ("x.com", "/", "GET", Ok(0)),
            ("", "/", "GET", Ok(0)),
            ("", "*", "OPTIONS", Ok(0)),
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
            ("d.com", "*", "OPTIONS", miss(&["GET", "HEAD"])),
        ];
        for (host, path, method, expected) in rows {
            assert_eq!(find(&table, method, host, path), expected, "{method} {host}{path}");
        }
    }

    #[test]
    fn most_specific_path_wins() {
        let table = table(&[
            route(&[], "/users", &[]),              // 0
            route(&[], "/users$", &[]),             // 1
            route(&[], "/users/{id}", &[]),         // 2
            route(&[], "/users/me$", &[]),          // 3
            route(&[], "/users/{id}/files", &[]),   // 4
            route(&[], "/users/{id}/{*rest}", &[]), // 5
            route(&[], "/users/me/x", &[]),         // 6
            route(&[], "/a/{x}/c", &[]),            // 7
            route(&[], "/a/b/d$", &[]),             // 8
            route(&[], "/s/$", &[]),                // 9
        ]);
        let rows = [
            ("/users", Ok(1)),
            ("/users/", Ok(0)),
            ("/users/7", Ok(2)),
            ("/users/7/", Ok(5)),
            ("/users/me", Ok(3)),
            ("/users/me/", Ok(5)),
            ("/users/7/files", Ok(4)),
            ("/users/me/files", Ok(4)),
            ("/users/7/files/x", Ok(5)),
            ("/users/me/x/y", Ok(6)),
            ("/a/b/d", Ok(8)),
            // The literal `b` has no match, so the parameter is used.
            ("/a/b/c", Ok(7)),
            ("/a/b/e", Err(Miss::NoRoute)),
            ("/a//c", Err(Miss::NoRoute)),
            ("/s/", Ok(9)),
            ("/s", Err(Miss::NoRoute)),
            ("/", Err(Miss::NoRoute)),
            ("*", Err(Miss::NoRoute)),
        ];
        for (path, expected) in rows {
            assert_eq!(find(&table, "GET", "a.com", path), expected, "{path}");
        }
    }

    #[test]
    fn parameters_are_slices_of_the_path() {
        let table = table(&[route(&[], "/u/{id}/f/{*rest}", &[]), route(&[], "/x/{*all}", &[])]);
        let rows = [
            ("/u/7/f/a/b%20c", "id", Some("7")),
            ("/u/7/f/a/b%20c", "rest", Some("a/b%20c")),
            ("/u/7/f/", "rest", Some("")),
            ("/u/7/f/x", "none", None),
            ("/x/", "all", Some("")),
        ];
        for (path, name, expected) in rows {
            let (method, fields) = (Method::GET, Fields::new());
            let lookup = Lookup { host: "", path, query: None, method: &method, fields: &fields };
            let found = table.find(&lookup).expect(path);
            assert_eq!(found.parameter(name, path), expected, "{path} {name}");
        }
    }

    #[test]
    fn conditions_precede_methods() {
        let with = |text: &str, methods: &[&str], headers: &[(&str, &str)]| Route {
            headers: headers
                .iter()
                .map(|&(name, value)| Condition { name: name.to_owned(), test: Test::Is(value.to_owned()) })
                .collect(),
            ..route(&[], text, methods)
        };
        let table = table(&[
            with("", &[], &[]),                          // 0
            with("/v1", &["GET"], &[("x", "1")]),        // 1
            with("/v1", &[], &[("x", "1"), ("y", "2")]), // 2
            with("/v1", &["PUT"], &[]),                  // 3
            with("/v2", &["GET"], &[("x", "1")]),        // 4
        ]);
        let one: &[(&str, &str)] = &[("x", "1")];
        let two: &[(&str, &str)] = &[("x", "1"), ("y", "2")];
        let rows = [
            ("GET", "/v1", &[("X", "1")][..], Ok(1)),
            ("HEAD", "/v1", one, Ok(1)),
            ("GET", "/v1", two, Ok(2)),
            ("PUT", "/v1", one, Ok(3)),
            ("POST", "/v1", one, Err("GET, HEAD, PUT")),
            ("POST", "/v1", &[][..], Err("PUT")),
            ("GET", "/v2", one, Ok(4)),
            ("POST", "/v2", one, Err("GET, HEAD")),
            // No conditions hold: the shorter prefix matches.
            ("POST", "/v2", &[("x", "2")][..], Ok(0)),
        ];
        for (method, path, sent, expected) in rows {
            let method: Method = method.parse().expect("a method");
            let mut fields = Fields::new();
            for (name, value) in sent {
                fields.push(name.as_bytes(), value.as_bytes());
            }
            let lookup = Lookup { host: "", path, query: None, method: &method, fields: &fields };
            let found = table.find(&lookup).map(|found| *found.route).map_err(|miss| miss.allow());
            assert_eq!(found, expected.map_err(|allow| Some(allow.to_owned())), "{method} {path} {sent:?}");
        }
    }
}
