//! The gateway's own requests: keys of token issuers, questions to an authorization service, traces.
//!
//! A call is one request on a connection of its own over HTTP/1.1, bounded in time and size. Redirects
//! are not followed.

mod call;
mod error;
mod service;
mod url;

pub use call::{Call, Reply};
pub use error::{Cause, FetchError};
pub use service::Service;
pub use url::Url;
