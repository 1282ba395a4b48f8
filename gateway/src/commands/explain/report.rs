//! An explanation as text and as JSON.

use super::answer::{Answer, Target};
use crate::json::Json;

/// Maximum number of other routes in the text.
const MAX_OTHERS: usize = 10;

impl Answer<'_> {
    /// As text; `file` is the settings file.
    pub fn text(&self, file: &str) -> String {
        let mut out = String::new();
        let mut line = |label: &str, text: &str| out.push_str(&format!("{label:<12}{text}\n"));
        line("request", &format!("{} {}", self.question.method, self.question.url));
        line("listener", &format!("{} ({})", self.listener.name, self.listener.address));
        line("client", &self.client);
        line(
            "route",
            &self.route.map_or_else(|| "none".to_owned(), |(name, at)| format!("{name} ({file}:{at})")),
        );
        for (name, value) in &self.parameters {
            line("", &format!("{{{name}}} = {value}"));
        }
        for (number, (phase, name, told)) in self.filters.iter().enumerate() {
            let label = if number == 0 { "filters" } else { "" };
            line(label, &format!("{phase:<17}{name:<20}{told}"));
        }
        line("outcome", &self.outcome);
        if !self.upstreams.is_empty() {
            line("path", &change(&self.path));
            line("host", &change(&self.host));
        }
        for Target { name, percent, balance, endpoints, chosen } in &self.upstreams {
            line("upstream", &format!("{name}, {percent} % of the requests, {balance}"));
            for endpoint in endpoints {
                let mark = if chosen.as_ref() == Some(endpoint) { " (this one, by its hash)" } else { "" };
                line("", &format!("{endpoint}{mark}"));
            }
        }
        for (number, (name, at, why)) in self.others.iter().take(MAX_OTHERS).enumerate() {
            let label = if number == 0 { "not taken" } else { "" };
            line(label, &format!("{name} ({file}:{at}): {why}"));
        }
        if let Some(more) = self.others.len().checked_sub(MAX_OTHERS).filter(|&more| more > 0) {
            line("", &format!("and {more} more; --json has all of them"));
        }
        out
    }

    /// As JSON.
    pub fn json(&self, file: &str) -> Json {
        let place = |name: &str, line: usize| {
            vec![("name", Json::text(name)), ("file", Json::text(file)), ("line", Json::Number(line as u64))]
        };
        let route = self.route.map_or(Json::Null, |(name, line)| Json::object(place(name, line)));
        let parameters = self.parameters.iter().map(|(name, value)| (name.as_str(), Json::text(value)));
        let filters = self.filters.iter().map(|(phase, name, told)| {
            Json::object([
                ("phase", Json::text(*phase)),
                ("name", Json::text(*name)),
                ("result", Json::text(told)),
            ])
        });
        let identity = self.identity.as_deref().map_or(Json::Null, |identity| {
            Json::object([
                ("authenticator", Json::text(&identity.authenticator)),
                ("kind", Json::text(identity.kind.as_str())),
                ("subject", Json::text(&identity.subject)),
                ("groups", Json::list(identity.groups.iter().map(Json::text))),
            ])
        });
        let upstreams = self.upstreams.iter().map(|target| {
            Json::object([
                ("name", Json::text(&target.name)),
                ("percent", Json::Number(target.percent)),
                ("balance", Json::text(&target.balance)),
                ("endpoints", Json::list(target.endpoints.iter().map(Json::text))),
                ("chosen", Json::from(target.chosen.clone())),
            ])
        });
        let others = self.others.iter().map(|(name, line, why)| {
            let mut members = place(name, *line);
            members.push(("reason", Json::text(why)));
            Json::object(members)
        });
        let pair = |(before, after): &(String, String)| {
            let after = Some(after.clone()).filter(|after| !after.is_empty());
            Json::object([("client", Json::text(before)), ("upstream", Json::from(after))])
        };
        Json::object([
            ("method", Json::text(&self.question.method)),
            ("url", Json::text(&self.question.url)),
            ("listener", Json::text(&self.listener.name)),
            ("client", Json::text(&self.client)),
            ("route", route),
            ("parameters", Json::object(parameters)),
            ("filters", Json::list(filters)),
            ("identity", identity),
            ("outcome", Json::text(&self.outcome)),
            ("path", pair(&self.path)),
            ("host", pair(&self.host)),
            ("upstreams", Json::list(upstreams)),
            ("not_taken", Json::list(others)),
        ])
    }
}

fn change((before, after): &(String, String)) -> String {
    if before == after { before.clone() } else { format!("{before} -> {after}") }
}
