//! Spans: pieces of work with their begin and end.

use std::time::SystemTime;

use super::context::{Context, Parent};

/// The most spans of one request; further ones are counted as dropped.
pub const MAX_SPANS: usize = 64;

/// What kind of work a span is, with its number in OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work inside.
    Internal = 1,
    /// The answer to a caller.
    Server = 2,
    /// A call.
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

/// A piece of work.
#[derive(Debug, Clone)]
pub struct Span {
    /// The trace.
    pub context: Context,
    /// Its name in the trace.
    pub id: [u8; 8],
    /// The span that began it.
    pub parent: Option<[u8; 8]>,
    /// Whether that one is of another process.
    pub is_remote: bool,
    /// What it does.
    pub name: String,
    /// What kind of work it is.
    pub kind: Kind,
    /// When it began.
    pub begin: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// What else is known of it.
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

/// The spans of a request that is recorded.
#[derive(Debug)]
pub struct Recording {
    /// The span of the request.
    pub id: [u8; 8],
    /// The caller.
    pub parent: Option<Parent>,
    /// The spans that have ended.
    pub spans: Vec<Span>,
    /// The attempt at the upstream that has not ended.
    pub attempt: Option<Span>,
    /// Spans that were too many.
    pub dropped: u64,
}

impl Recording {
    /// A recording without spans.
    pub fn new(id: [u8; 8], parent: Option<Parent>) -> Self {
        Self { id, parent, spans: Vec::new(), attempt: None, dropped: 0 }
    }

    /// Adds a span that has ended.
    pub fn add(&mut self, span: Span) {
        if self.spans.len() < MAX_SPANS {
            self.spans.push(span);
        } else {
            self.dropped += 1;
        }
    }
}
