//! HTTP/2 (RFC 9113), for servers and clients.
//!
//! A [`Driver`] owns the socket; the rest of a connection is one value that the driver and the handles of
//! streams share within a thread. A handle writes frames directly into the output of the connection, and the
//! driver sends them all in one write. Received heads are decoded directly into
//! [`crate::http::fields::Fields`]. An idle connection has no buffers.
//!
//! A malformed message ends its stream, and a head that is too large is answered on its stream; only faults
//! that make the connection unusable end it.

mod accept;
mod block;
mod body;
mod code;
mod control;
mod core;
mod drain;
mod driver;
mod error;
mod frame;
mod head;
pub mod hpack;
mod input;
mod lifecycle;
mod limits;
mod linger;
mod message;
mod output;
mod pool;
mod receive;
mod receive_block;
mod receive_data;
mod recent;
mod sender;
mod settings;
mod state;
mod stream;
mod streams;
mod transmit;

use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncWrite};

pub use accept::Request;
pub use body::Body;
pub use code::Code;
pub use control::Control;
pub use driver::Driver;
pub use error::{By, Ended, OpenError, StreamError};
pub use frame::PREFACE;
pub use head::{Refusal, RequestHead, RequestLine, ResponseHead};
pub use pool::{fields, recycle};
pub use settings::{Floods, Settings};
pub use stream::{BodyEvent, Sender, Stream};

/// Serves a client. `already_read`: bytes that were already read, with the preface.
pub fn serve<S>(io: S, already_read: &[u8], settings: Rc<Settings>) -> Driver<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    Driver::new(io, core::Role::Server, already_read, settings)
}

/// Opens HTTP/2 on a connection to a server that supports it.
pub fn connect<S>(io: S, settings: Rc<Settings>) -> (Driver<S>, Sender)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let driver = Driver::new(io, core::Role::Client, &[], settings);
    let sender = Sender::new(Rc::clone(driver.core()));
    (driver, sender)
}
