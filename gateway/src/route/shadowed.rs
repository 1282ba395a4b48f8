//! Routes that no request matches.

use http::Method;

use super::table::{Lookup, Table};
use crate::http::fields::Fields;
use crate::http::path::encode;
use crate::settings::{Condition, PathMatch, Route, Segment, Test};

/// A path segment that no real route uses.
const SAMPLE: &str = "x--sample";

/// Routes that no request matches, by their index, each with the route that matches its requests.
///
/// Each route is tested with sample requests: one for each of its hosts and methods, and for each kind of its
/// paths.
pub fn shadowed(routes: &[Route]) -> Vec<(usize, usize)> {
    let table: Table<usize> = routes.iter().enumerate().map(|(number, route)| (route, number)).collect();
    let mut found = Vec::new();
    for (number, route) in routes.iter().enumerate() {
        let mut taker = None;
        if !reaches(&table, route, number, &mut taker)
            && let Some(taker) = taker
        {
            found.push((number, taker));
        }
    }
    found
}

fn reaches(table: &Table<usize>, route: &Route, number: usize, taker: &mut Option<usize>) -> bool {
    let fields = sample_fields(&route.headers);
    let query = sample_query(&route.query);
    let methods = if route.methods.is_empty() {
        Method::from_bytes(SAMPLE.as_bytes()).into_iter().collect()
    } else {
        route.methods.clone()
    };
    for host in sample_hosts(&route.hosts) {
        for path in sample_paths(&route.path) {
            for method in &methods {
                let lookup =
                    Lookup { host: &host, path: &path, query: query.as_deref(), method, fields: &fields };
                match table.find(&lookup) {
                    Ok(found) if *found.route == number => return true,
                    Ok(found) => *taker = Some(*found.route),
                    Err(_) => {}
                }
            }
        }
    }
    false
}

fn sample_hosts(hosts: &[String]) -> Vec<String> {
    if hosts.is_empty() {
        return vec![SAMPLE.to_owned()];
    }
    hosts.iter().map(|host| host.replacen('*', SAMPLE, 1)).collect()
}

fn sample_paths(path: &PathMatch) -> Vec<String> {
    match path {
        PathMatch::Exact(path) => vec![path.clone()],
        PathMatch::Prefix(prefix) => {
            vec![format!("{prefix}/{SAMPLE}"), format!("{prefix}/"), prefix.clone()]
        }
        PathMatch::Template(segments) => {
            let rest = matches!(segments.last(), Some(Segment::Rest(_)));
            let path: String = segments
                .iter()
                .map(|segment| match segment {
                    Segment::Literal(text) => format!("/{text}"),
                    Segment::Parameter(_) => format!("/{SAMPLE}"),
                    Segment::Rest(_) => "/".to_owned(),
                })
                .collect();
            if rest { vec![format!("{path}{SAMPLE}/{SAMPLE}"), path] } else { vec![path] }
        }
    }
}

fn sample_value(test: &Test) -> Option<&str> {
    match test {
        Test::Is(value) => Some(value),
        Test::Present => Some(SAMPLE),
        Test::Absent => None,
    }
}

fn sample_fields(conditions: &[Condition]) -> Fields {
    let mut fields = Fields::new();
    for condition in conditions {
        if let Some(value) = sample_value(&condition.test) {
            fields.push(condition.name.as_bytes(), value.as_bytes());
        }
    }
    fields
}

fn sample_query(conditions: &[Condition]) -> Option<String> {
    let encoded = |text: &str| {
        let mut out = String::new();
        text.bytes().for_each(|byte| encode(byte, &mut out));
        out
    };
    let pairs: Vec<String> = conditions
        .iter()
        .filter_map(|condition| {
            let value = sample_value(&condition.test)?;
            Some(format!("{}={}", encoded(&condition.name), encoded(value)))
        })
        .collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::shadowed;
    use crate::settings::{PathMatch, Route, Segment};

    #[test]
    fn route_without_matching_requests_is_shadowed() {
        let exact = Route { path: PathMatch::Exact("/a".to_owned()), ..Route::default() };
        let prefix = |host: &[&str], prefix: &str, methods: &[&str]| Route {
            hosts: host.iter().map(|&host| host.to_owned()).collect(),
            path: PathMatch::Prefix(prefix.to_owned()),
            methods: methods.iter().map(|method| method.parse().expect("a method")).collect(),
            ..Route::default()
        };
        let segments = vec![Segment::Literal("a".to_owned()), Segment::Rest("rest".to_owned())];
        let rest = Route { path: PathMatch::Template(segments), ..Route::default() };
        let routes = [
            prefix(&[], "/a", &[]),
            exact.clone(),
            rest,
            prefix(&[], "", &["GET"]),
            prefix(&["x.com"], "", &[]),
        ];
        assert_eq!(shadowed(&routes), [(0, 1)]);
        assert_eq!(shadowed(&[prefix(&[], "/a", &[]), exact]), []);
    }
}
