//! Spans: operations with a start and an end.

use std::time::SystemTime;

use super::context::{Context, Parent};

/// Maximum number of spans per request; further ones are counted as dropped.
pub const MAX_SPANS: usize = 64;

/// The kind of a span, with its number in OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An internal operation.
    Internal = 1,
    /// Handling of an incoming request.
    Server = 2,
    /// An outgoing request.
    Client = 3,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// A span.
#[derive(Debug, Clone)]
pub struct Span {
    /// The trace.
    pub context: Context,
    /// Its id in the trace.
    pub id: [u8; 8],
    /// The parent span.
    pub parent: Option<[u8; 8]>,
    /// Whether the parent is in another process.
    pub is_remote: bool,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Start time.
    pub begin: SystemTime,
    /// End time.
    pub end: SystemTime,
    /// Its attributes.
    pub attributes: Vec<(&'static str, Value)>,
    /// Whether it failed.
    pub failed: bool,
}

impl Span {
    /// Adds an attribute.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push((name, value.into()));
    }
}

/// The spans of a sampled request.
#[derive(Debug)]
pub struct Recording {
    /// The id of the request's span.
    pub id: [u8; 8],
    /// The caller.
    pub parent: Option<Parent>,
    /// The ended spans.
    pub spans: Vec<Span>,
    /// The current attempt at the upstream.
    pub attempt: Option<Span>,
    /// Number of dropped spans.
    pub dropped: u64,
}

impl Recording {
    /// A recording without spans.
    pub fn new(id: [u8; 8], parent: Option<Parent>) -> Self {
        Self { id, parent, spans: Vec::new(), attempt: None, dropped: 0 }
    }

    /// Adds an ended span.
    pub fn add(&mut self, span: Span) {
        if self.spans.len() < MAX_SPANS {
            self.spans.push(span);
        } else {
            self.dropped += 1;
        }
    }
}
