//! The gateway's own requests: keys of token issuers, authorization services, trace export.
//!
//! A call is one HTTP/1.1 request on its own connection, limited in time and size. Redirects are not
//! followed.

mod call;
mod error;
mod service;
mod url;

pub use call::{Call, Reply};
pub use error::{Cause, FetchError};
pub use service::Service;
pub use url::Url;
