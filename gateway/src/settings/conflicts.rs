//! Detects routes that match the same request with equal precedence.

use std::collections::HashMap;

use super::{Condition, PathMatch, Route, Segment, Test};

/// Pairs of routes that match the same request with equal precedence, by their index. Each route is the
/// second of at most one pair.
pub fn conflicts(routes: &[Route]) -> Vec<(usize, usize)> {
    // Only routes with the same host and path can be equal.
    let mut groups: HashMap<(&str, String), Vec<usize>> = HashMap::new();
    let mut found = Vec::new();
    for (number, route) in routes.iter().enumerate() {
        let any = route.hosts.is_empty().then_some("");
        let mut first = None;
        for host in route.hosts.iter().map(String::as_str).chain(any) {
            let group = groups.entry((host, shape(&route.path))).or_default();
            first = first.or(group.iter().copied().find(|&other| equal(&routes[other], route)));
            group.push(number);
        }
        found.extend(first.map(|other| (other, number)));
    }
    found
}

/// The path without the names of its parameters.
fn shape(path: &PathMatch) -> String {
    match path {
        PathMatch::Prefix(prefix) => format!("{prefix}/{{prefix}}"),
        PathMatch::Exact(path) => path.clone(),
        PathMatch::Template(segments) => segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(text) => format!("/{text}"),
                Segment::Parameter(_) => "/{}".to_owned(),
                Segment::Rest(_) => "/{*}".to_owned(),
            })
            .collect(),
    }
}

fn equal(one: &Route, other: &Route) -> bool {
    let conditions = |route: &Route| route.headers.len() + route.query.len();
    let methods = (one.methods.is_empty() && other.methods.is_empty())
        || one.methods.iter().any(|method| other.methods.contains(method));
    methods
        && conditions(one) == conditions(other)
        && !exclude_each_other(&one.headers, &other.headers)
        && !exclude_each_other(&one.query, &other.query)
}

/// Whether no request can satisfy both lists: they have contradicting conditions on one name.
fn exclude_each_other(one: &[Condition], other: &[Condition]) -> bool {
    let excludes = |first: &Test, second: &Test| match (first, second) {
        (Test::Is(first), Test::Is(second)) => first != second,
        (Test::Absent, second) => *second != Test::Absent,
        (first, Test::Absent) => *first != Test::Absent,
        _ => false,
    };
    one.iter().any(|first| {
        other.iter().any(|second| first.name == second.name && excludes(&first.test, &second.test))
    })
}

#[cfg(test)]
mod tests {
    use super::{conflicts, exclude_each_other};
    use crate::settings::{Condition, PathMatch, Route, Segment, Test};

    fn prefix(hosts: &[&str], prefix: &str, methods: &[&str]) -> Route {
        Route {
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            path: PathMatch::Prefix(prefix.to_owned()),
            methods: methods.iter().map(|method| method.parse().expect("a method")).collect(),
            ..Route::default()
        }
    }

    fn asking(name: &str, test: Test) -> Route {
        Route { headers: vec![Condition { name: name.to_owned(), test }], ..Route::default() }
    }

    fn template(last: Segment) -> Route {
        Route { path: PathMatch::Template(vec![Segment::Literal("a".to_owned()), last]), ..Route::default() }
    }

    #[test]
    fn routes_of_equal_precedence() {
        let is = |text: &str| Test::Is(text.to_owned());
        let parameter = |name: &str| Segment::Parameter(name.to_owned());
        let exact = Route { path: PathMatch::Exact("/v1".to_owned()), ..Route::default() };
        let table = vec![
            (prefix(&[], "", &[]), prefix(&[], "", &[]), true),
            (prefix(&[], "", &["GET"]), prefix(&[], "", &["PUT", "GET"]), true),
            (prefix(&[], "", &["GET"]), prefix(&[], "", &["PUT"]), false),
            (prefix(&[], "", &["GET"]), prefix(&[], "", &["HEAD"]), false),
            (prefix(&[], "", &["GET"]), prefix(&[], "", &[]), false),
            (prefix(&["a.com", "b.com"], "", &[]), prefix(&["c.com", "b.com"], "", &[]), true),
            (prefix(&["a.com"], "", &[]), prefix(&["*.com"], "", &[]), false),
            (prefix(&["a.com"], "", &[]), prefix(&[], "", &[]), false),
            (prefix(&[], "/v1", &[]), prefix(&[], "/v2", &[]), false),
            (prefix(&[], "/v1", &[]), exact.clone(), false),
            (exact.clone(), exact, true),
            (template(parameter("x")), template(parameter("y")), true),
            (template(parameter("x")), template(Segment::Rest("y".to_owned())), false),
            (asking("x", is("1")), asking("x", is("1")), true),
            (asking("x", is("1")), asking("x", is("2")), false),
            (asking("x", is("1")), asking("x", Test::Present), true),
            (asking("x", Test::Absent), asking("x", Test::Present), false),
            (asking("x", is("1")), asking("y", is("1")), true),
            (asking("x", is("1")), Route::default(), false),
        ];
        for (number, (one, other, expected)) in table.into_iter().enumerate() {
            let found = conflicts(&[one, other]);
            assert_eq!(found, if expected { vec![(0, 1)] } else { Vec::new() }, "row {number}");
        }
    }

    fn condition(name: &str, test: &Test) -> [Condition; 1] {
        [Condition { name: name.to_owned(), test: test.clone() }]
    }

    #[test]
    fn conditions_that_exclude_each_other() {
        let is = |text: &str| Test::Is(text.to_owned());
        let table = [
            (is("a"), is("b"), true),
            (is("a"), is("a"), false),
            (is("a"), Test::Absent, true),
            (is("a"), Test::Present, false),
            (Test::Absent, Test::Present, true),
            (Test::Present, Test::Present, false),
            (Test::Absent, Test::Absent, false),
        ];
        for (one, other, expected) in table {
            let excluded = |one, other| exclude_each_other(&condition("x", one), &condition("x", other));
            assert_eq!(excluded(&one, &other), expected, "{one:?} {other:?}");
            assert_eq!(excluded(&other, &one), expected, "{other:?} {one:?}");
            assert!(!exclude_each_other(&condition("x", &one), &condition("y", &other)));
        }
    }
}
