//! No route matches the request.

use std::fmt;

use http::{Method, StatusCode};

use crate::http::name::Name;
use crate::http::{Failure, Source};

/// No route matches the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// No route has this host and path.
    NoRoute,
    /// Routes match host and path, but not the method; the value has their methods, sorted.
    Method(Vec<Method>),
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.public())
    }
}

impl std::error::Error for Miss {}

impl Failure for Miss {
    fn origin(&self) -> Source {
        Source::Downstream
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NoRoute => "no_route",
            Self::Method(_) => "method_not_allowed",
        }
    }

    fn public(&self) -> &'static str {
        match self {
            Self::NoRoute => "No route matches this host and path.",
            Self::Method(_) => "The method is not allowed for this path.",
        }
    }

    fn field(&self) -> Option<(Name, String)> {
        match self {
            Self::NoRoute => None,
            Self::Method(_) => Some((Name::Allow, self.allow()?)),
        }
    }
}

impl Miss {
    /// The value of the field `Allow` (RFC 9110 section 10.2.1), if the response must have one.
    pub fn allow(&self) -> Option<String> {
        match self {
            Self::NoRoute => None,
            Self::Method(methods) => Some(methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")),
        }
    }
}
