//! Changes to the query of a request: removed, set and added in this order.

use super::template::{Part, Template, Values};
use super::{Filter, Phase, Verdict};
use crate::exchange::Exchange;
use crate::http::query;
use crate::http::target::Form;
use crate::http::token::is_unreserved;
use crate::settings;

/// Changes the query for the upstream. Logs, metrics and templates keep what the client asked for.
#[derive(Debug)]
pub struct QueryEdits {
    /// What is removed, by `remove` or to be set anew.
    removed: Vec<String>,
    /// What is appended: names, encoded, with their values.
    appended: Vec<(String, Template)>,
}

impl QueryEdits {
    /// The filter of a route, if it changes anything.
    pub fn compile(route: &settings::Route) -> Option<Self> {
        let edits = &route.policies.query;
        if edits.is_empty() {
            return None;
        }
        let compiled = |(name, template): &(String, settings::Template)| {
            let mut encoded = Vec::new();
            encode(name.as_bytes(), false, &mut encoded);
            (String::from_utf8(encoded).unwrap_or_default(), Template::compile(template, route))
        };
        let set = edits.set.iter().map(|(name, _)| name.clone());
        Some(Self {
            removed: edits.remove.iter().cloned().chain(set).collect(),
            appended: edits.set.iter().chain(&edits.add).map(compiled).collect(),
        })
    }

    /// Path and query with the changes.
    fn apply(&self, target: &str, values: &Values<'_>) -> Vec<u8> {
        let (path, old) = target.split_once('?').unwrap_or((target, ""));
        let mut rest = old.to_owned();
        for name in &self.removed {
            rest = query::without(&rest, name);
        }
        let mut out = path.as_bytes().to_vec();
        let mut separator = b'?';
        if !rest.is_empty() {
            out.push(separator);
            out.extend_from_slice(rest.as_bytes());
            separator = b'&';
        }
        let mut text = Vec::new();
        for (name, template) in &self.appended {
            out.push(separator);
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            for part in &template.parts {
                text.clear();
                part.render(values, &mut text);
                let is_encoded = matches!(part, Part::Path | Part::Query | Part::Parameter(_));
                encode(&text, is_encoded, &mut out);
            }
            separator = b'&';
        }
        out
    }
}

/// Writes bytes as a piece of a query (RFC 3986 section 2.1). What `is_encoded` keeps its `%`.
fn encode(bytes: &[u8], is_encoded: bool, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if is_unreserved(byte) || (is_encoded && byte == b'%') {
            out.push(byte);
        } else {
            out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}

impl Filter for QueryEdits {
    fn name(&self) -> &'static str {
        "request_query"
    }

    fn phase(&self) -> Phase {
        Phase::Target
    }

    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        if exchange.request.target.form == Form::Asterisk {
            return Verdict::Continue;
        }
        let mut text = exchange.worker.buffers.take();
        exchange.request.target.write_to(&mut text);
        let target = String::from_utf8_lossy(&text);
        let changed = self.apply(&target, &Values::of(exchange));
        drop(target);
        exchange.worker.buffers.give(text);
        match exchange.request.target.rewrite(&changed) {
            Ok(()) => Verdict::Continue,
            Err(refused) => Verdict::Refuse(Box::new(refused)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::QueryEdits;
    use crate::filter::template::tests::{request, route, values};
    use crate::settings::{self, Template};

    #[test]
    fn parameters_are_removed_set_and_added_in_this_order() {
        type Pairs = &'static [(&'static str, &'static str)];
        let table: [(&[&str], Pairs, Pairs, &str, &str); 9] = [
            (&["a"], &[], &[], "/p?a=1&b=2&%61=3", "/p?b=2"),
            (&["a"], &[], &[], "/p?a=1", "/p"),
            (&["a"], &[], &[], "/p", "/p"),
            (&[], &[("v", "2")], &[], "/p", "/p?v=2"),
            (&[], &[("v", "2")], &[], "/p?v=1&b&v=3", "/p?b&v=2"),
            (&[], &[], &[("v", "2")], "/p?v=1", "/p?v=1&v=2"),
            // Raw values are encoded, encoded ones are not encoded again.
            (&[], &[("u", "{param.id}")], &[], "/p", "/p?u=7%20x"),
            (&[], &[("h&", "{header.X-A}&x=1 +%41")], &[], "/p", "/p?h%26=one%26x%3D1%20%2B%2541"),
            (&["a"], &[("b", "1")], &[("c", "{host}")], "/p?a&b&c", "/p?c&b=1&c=a.com"),
        ];
        for (remove, set, add, target, expected) in table {
            let pairs = |list: Pairs| {
                let pair =
                    |&(name, text): &(&str, &str)| (name.to_owned(), Template::parse(text).expect(text));
                list.iter().map(pair).collect()
            };
            let mut route = route();
            route.policies.query = settings::QueryEdits {
                remove: remove.iter().map(|&name| name.to_owned()).collect(),
                set: pairs(set),
                add: pairs(add),
            };
            let edits = QueryEdits::compile(&route).expect("changes");
            let (request, parameters) = request("/u/7%20x/y");
            let changed = edits.apply(target, &values(&request, &parameters));
            assert_eq!(String::from_utf8_lossy(&changed), expected, "{remove:?} {set:?} {add:?} {target}");
        }
    }
}
