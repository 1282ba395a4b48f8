//! Changes to the fields of requests and responses: removed, set and added in this order.
//!
//! The settings refuse the fields that frame or route a message or belong to one connection; the
//! codecs write those themselves.

use super::template::{Template, Values};
use super::{Filter, Phase, Verdict};
use crate::exchange::Exchange;
use crate::http::fields::Fields;
use crate::http::token::trim_ows;
use crate::settings::{self, HeaderEdits};

/// Changes to the fields of requests.
#[derive(Debug)]
pub struct RequestHeaders(Edits);

/// Changes to the fields of responses, also of those that the gateway makes.
#[derive(Debug)]
pub struct ResponseHeaders(Edits);

#[derive(Debug)]
struct Edits {
    /// What is removed, by `remove` or to be set anew.
    removed: Vec<String>,
    /// What is appended, by `set` and then by `add`.
    appended: Vec<(String, Template)>,
}

impl RequestHeaders {
    /// The filter of a route, if it changes anything.
    pub fn compile(route: &settings::Route) -> Option<Self> {
        Edits::compile(&route.request_headers, route).map(Self)
    }
}

impl ResponseHeaders {
    /// The filter of a route, if it changes anything.
    pub fn compile(route: &settings::Route) -> Option<Self> {
        Edits::compile(&route.response_headers, route).map(Self)
    }
}

impl Filter for RequestHeaders {
    fn name(&self) -> &'static str {
        "request_headers"
    }

    fn phase(&self) -> Phase {
        Phase::Headers
    }

    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        // Servers behind CGI read `_` as `-`, so that a client could send what is to be removed.
        let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        let same = |one: &[u8], other: &[u8]| {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| fold(*one) == fold(*other))
        };
        self.0.apply(exchange, |exchange| &mut exchange.request.fields, same);
        Verdict::Continue
    }
}

impl Filter for ResponseHeaders {
    fn name(&self) -> &'static str {
        "response_headers"
    }

    fn phase(&self) -> Phase {
        Phase::Response
    }

    fn response(&self, exchange: &mut Exchange<'_>) {
        self.0.apply(exchange, |exchange| &mut exchange.response.fields, <[u8]>::eq_ignore_ascii_case);
    }
}

impl Edits {
    fn compile(edits: &HeaderEdits, route: &settings::Route) -> Option<Self> {
        if edits.is_empty() {
            return None;
        }
        let compiled = |(name, template): &(String, settings::Template)| {
            (name.clone(), Template::compile(template, route))
        };
        let set = edits.set.iter().map(|(name, _)| name.clone());
        Some(Self {
            removed: edits.remove.iter().cloned().chain(set).collect(),
            appended: edits.set.iter().chain(&edits.add).map(compiled).collect(),
        })
    }

    /// Makes the changes. All values are taken before the first change, so that a field may be
    /// renamed.
    fn apply<'s>(
        &self,
        exchange: &mut Exchange<'s>,
        fields: impl for<'e> Fn(&'e mut Exchange<'s>) -> &'e mut Fields,
        same: impl Fn(&[u8], &[u8]) -> bool,
    ) {
        let mut text = exchange.worker.buffers.take();
        let ends = self.render(&Values::of(exchange), &mut text);
        self.change(fields(exchange), &text, &ends, same);
        exchange.worker.buffers.give(text);
    }

    /// Appends all values; returns where each ends.
    fn render(&self, values: &Values<'_>, text: &mut Vec<u8>) -> Vec<usize> {
        let mut ends = Vec::with_capacity(self.appended.len());
        for (_, template) in &self.appended {
            template.render(values, text);
            ends.push(text.len());
        }
        ends
    }

    fn change(&self, fields: &mut Fields, text: &[u8], ends: &[usize], same: impl Fn(&[u8], &[u8]) -> bool) {
        if !self.removed.is_empty() {
            fields.retain(|field| !self.removed.iter().any(|name| same(name.as_bytes(), field.name)));
        }
        let mut start = 0;
        for ((name, _), &end) in self.appended.iter().zip(ends) {
            // White space at the ends is no part of a value (RFC 9110 section 5.5), and is malformed
            // in HTTP/2 (RFC 9113 section 8.2.1).
            fields.push(name.as_bytes(), trim_ows(&text[start..end]));
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Edits;
    use crate::filter::template::tests::{request, route, values};
    use crate::settings::{HeaderEdits, Template};

    #[test]
    fn fields_are_removed_set_and_added_in_this_order() {
        // remove, set, add; and the fields after `X-A: one` and `x-a: two`.
        type Row = (
            &'static [&'static str],
            &'static [(&'static str, &'static str)],
            &'static [(&'static str, &'static str)],
            &'static str,
        );
        let table: [Row; 8] = [
            (&["x-a"], &[], &[], ""),
            (&["x-b"], &[], &[], "X-A: one, x-a: two"),
            (&[], &[("x-a", "new")], &[], "x-a: new"),
            (&[], &[], &[("x-a", "new")], "X-A: one, x-a: two, x-a: new"),
            (&["x-a"], &[("x-a", "s")], &[("x-a", "a"), ("x-b", "b")], "x-a: s, x-a: a, x-b: b"),
            // Renamed: the value is taken before the field is removed.
            (&["x-a"], &[("x-b", "{header.x-a}")], &[], "x-b: one"),
            (&[], &[("x-b", " {header.none}\t{param.id} ")], &[], "X-A: one, x-a: two, x-b: 7"),
            (&[], &[("x-b", "{header.none}")], &[], "X-A: one, x-a: two, x-b: "),
        ];
        for (remove, set, add, expected) in table {
            let fields = |list: &[(&str, &str)]| {
                let parsed =
                    |&(name, text): &(&str, &str)| (name.to_owned(), Template::parse(text).expect(text));
                list.iter().map(parsed).collect()
            };
            let edits = HeaderEdits {
                remove: remove.iter().map(|&name| name.to_owned()).collect(),
                set: fields(set),
                add: fields(add),
            };
            let edits = Edits::compile(&edits, &route()).expect("changes");
            let (mut request, parameters) = request("/u/7/x");
            let mut text = Vec::new();
            let ends = edits.render(&values(&request, &parameters), &mut text);
            edits.change(&mut request.fields, &text, &ends, <[u8]>::eq_ignore_ascii_case);
            let shown: Vec<String> = request
                .fields
                .iter()
                .map(|field| {
                    format!("{}: {}", field.name.escape_ascii(), String::from_utf8_lossy(field.value))
                })
                .collect();
            assert_eq!(shown.join(", "), expected, "{remove:?} {set:?} {add:?}");
        }
    }
}
