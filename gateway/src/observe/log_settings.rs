//! Settings of the access log.

use std::path::PathBuf;

use super::counter::CLASSES;
use super::line::{Key, Style};

/// Settings of the access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Whether the log is enabled.
    pub enabled: bool,
    /// The format of lines.
    pub style: Style,
    /// The fields of a line.
    pub fields: Vec<LogField>,
    /// The log file; default: standard output.
    pub file: Option<PathBuf>,
    /// Sampling rules; the first match applies. Without a match every request is logged.
    pub rules: Vec<SampleRule>,
}

/// A sampling rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleRule {
    /// The names of the routes; empty for all.
    pub routes: Vec<String>,
    /// The indexes of status classes in [`CLASSES`]; empty for all.
    pub classes: Vec<usize>,
    /// One of this number of requests is logged; 0 for none.
    pub one_in: u32,
}

/// For each status class in [`CLASSES`], one of this number of requests is logged.
pub type LogRates = [u32; CLASSES.len()];

/// A field of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogField {
    /// A field of every line.
    Known(KnownField),
    /// A header of the request.
    RequestHeader(String),
    /// A header of the response.
    ResponseHeader(String),
}

/// Defines the fields.
macro_rules! fields {
    ($($variant:ident $name:literal $meaning:literal,)*) => {
        /// A field that every line can have.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum KnownField {
            $(#[doc = $meaning] $variant,)*
        }

        impl KnownField {
            /// All fields with their names and meanings, in the order of a line.
            pub const ALL: &[(&'static str, Self, &'static str)] = &[$(($name, Self::$variant, $meaning),)*];
        }
    };
}

fields! {
    Time "time" "the time at which the head of the request was complete, RFC 3339 in UTC",
    RequestId "request_id" "the value of `X-Request-ID`",
    TraceId "trace_id" "the trace id, if the request is traced",
    Listener "listener" "the listener",
    Client "client" "the address of the client, also behind trusted proxies",
    Protocol "protocol" "`HTTP/1.0`, `HTTP/1.1` or `HTTP/2`",
    Method "method" "the method",
    Host "host" "the host",
    Path "path" "the path without the query, which may contain secrets",
    Route "route" "the route, if one matched",
    Upstream "upstream" "the upstream of the last attempt",
    Endpoint "endpoint" "the endpoint of the last attempt",
    Attempts "attempts" "how often the request was sent to an endpoint",
    Status "status" "the status; 0 if there was no response",
    ReceivedBytes "received_bytes" "bytes of the request body",
    SentBytes "sent_bytes" "bytes of the response body",
    Duration "duration_seconds" "the time from the head of the request to the end of the response",
    Authenticator "authenticator" "the authenticator that identified the client, if one did",
    Subject "subject" "the client's identity",
    FailedAt "failed_at" "`downstream` or `upstream`, of a request that failed",
    Failure "failure" "the reason of the failure, a fixed word",
    Detail "detail" "details of a failure at the upstream",
}

/// The fields with their keys.
#[derive(Debug, Default)]
pub struct LogFormat {
    /// The format of lines.
    pub style: Style,
    /// The fields with their keys.
    pub fields: Vec<(Key, LogField)>,
}

impl Default for LogSettings {
    fn default() -> Self {
        let fields = KnownField::ALL.iter().map(|(_, field, _)| LogField::Known(*field)).collect();
        Self { enabled: true, style: Style::Json, fields, file: None, rules: Vec::new() }
    }
}

impl From<bool> for LogSettings {
    fn from(enabled: bool) -> Self {
        Self { enabled, ..Self::default() }
    }
}

impl LogSettings {
    /// The fields with their keys.
    pub fn format(&self) -> LogFormat {
        let key = |field: &LogField| match field {
            LogField::Known(field) => {
                let known = KnownField::ALL.iter().find(|(_, known, _)| known == field);
                self.style.key(known.map_or("", |(name, _, _)| name))
            }
            LogField::RequestHeader(name) => self.style.key(&format!("request.{name}")),
            LogField::ResponseHeader(name) => self.style.key(&format!("response.{name}")),
        };
        let fields = self.fields.iter().map(|field| (key(field), field.clone())).collect();
        LogFormat { style: self.style, fields }
    }

    /// The sampling rates of a route; requests without a route have an empty name.
    pub fn rates(&self, route: &str) -> LogRates {
        std::array::from_fn(|class| {
            let fits = |rule: &&SampleRule| {
                (rule.routes.is_empty() || rule.routes.iter().any(|name| name == route))
                    && (rule.classes.is_empty() || rule.classes.contains(&class))
            };
            self.rules.iter().find(fits).map_or(1, |rule| rule.one_in)
        })
    }
}

/// Whether a header may contain credentials and must never be logged.
pub fn is_credential(header: &str) -> bool {
    const PARTS: [&str; 9] = [
        "authorization",
        "cookie",
        "token",
        "secret",
        "password",
        "api-key",
        "apikey",
        "session",
        "signature",
    ];
    let name = header.to_ascii_lowercase().replace('_', "-");
    PARTS.iter().any(|part| name.contains(part)) || name == "proxy-authenticate"
}

#[cfg(test)]
mod tests {
    use super::{KnownField, LogSettings, SampleRule, is_credential};

    #[test]
    fn first_matching_rule_applies() {
        let rule = |routes: &[&str], classes: &[usize], one_in| SampleRule {
            routes: routes.iter().map(|&name| name.to_owned()).collect(),
            classes: classes.to_vec(),
            one_in,
        };
        let rules = vec![rule(&["a"], &[2], 0), rule(&[], &[2, 3], 100), rule(&["b"], &[], 7)];
        let settings = LogSettings { rules, ..LogSettings::default() };
        for (route, expected) in
            [("a", [1, 1, 0, 100, 1, 1]), ("b", [7, 7, 100, 100, 7, 7]), ("", [1, 1, 100, 100, 1, 1])]
        {
            assert_eq!(settings.rates(route), expected, "{route}");
        }
    }

    #[test]
    fn document_lists_every_field() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/observability.md");
        let text = std::fs::read_to_string(path).expect("the document");
        let (before, rest) = text.split_once("<!-- log fields -->\n").expect("the start of the table");
        let (table, after) = rest.split_once("<!-- /log fields -->").expect("its end");
        let mut rows = "| field | value |\n|---|---|\n".to_owned();
        for (name, _, meaning) in KnownField::ALL {
            rows.push_str(&format!("| `{name}` | {meaning} |\n"));
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let text = format!("{before}<!-- log fields -->\n{rows}<!-- /log fields -->{after}");
            std::fs::write(path, text).expect("a writable document");
            return;
        }
        let command = "UPDATE_DOCS=1 cargo test -p gateway --lib observe::log_settings";
        assert_eq!(table, rows, "the table of docs/observability.md is out of date; run {command}");
    }

    #[test]
    fn credential_headers_are_recognised() {
        for (name, expected) in [
            ("Authorization", true),
            ("proxy-authorization", true),
            ("Set-Cookie", true),
            ("X_Api_Key", true),
            ("x-csrf-token", true),
            ("user-agent", false),
            ("accept", false),
            ("x-request-id", false),
        ] {
            assert_eq!(is_credential(name), expected, "{name}");
        }
    }
}
