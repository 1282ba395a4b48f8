//! Signed tokens: JSON Web Signatures in the compact form (RFC 7515), their claims (RFC 7519), and
//! verification keys (RFC 7517) from a file or a URL.

mod algorithm;
mod claims;
mod key;
mod remote;
mod room;
mod set;
mod token;

pub use algorithm::Algorithm;
pub use claims::{Claims, Rules, values};
pub use key::Key;
pub use remote::{Held, Remote, RemoteSettings, Unsettled};
pub use room::{Client, client};
pub use set::{KeySet, Lookup};
pub use token::{Token, TokenError};
