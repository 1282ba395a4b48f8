//! Opens connections to endpoints: name resolution, parallel attempts, PROXY header, TLS.

mod connect;
pub mod dns;
mod error;
mod open;
mod roots;
mod tls;

pub use crate::net::Stream;
pub use error::{DialError, Step};
pub(crate) use open::dial_as;
pub use open::{DialSettings, Dialed, dial};
pub use tls::{ClientTls, ClientTlsConfig, ClientTlsError, Roots};
