//! Refuses requests when memory is short.

use std::fmt;

use http::StatusCode;

use crate::http::name::Name;
use crate::http::{Failure, Source};

/// The memory limit is exceeded.
#[derive(Debug, Clone, Copy)]
pub(super) struct LacksMemory;

impl fmt::Display for LacksMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("more memory is in use than max_memory")
    }
}

impl std::error::Error for LacksMemory {}

impl Failure for LacksMemory {
    fn origin(&self) -> Source {
        Source::Downstream
    }

    fn status(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }

    fn reason(&self) -> &'static str {
        "memory"
    }

    fn public(&self) -> &'static str {
        "The gateway is busy."
    }

    fn field(&self) -> Option<(Name, String)> {
        Some((Name::RetryAfter, "1".to_owned()))
    }
}
