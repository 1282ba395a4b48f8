//! Errors of the gateway's own requests.

use std::fmt;

use super::url::Url;
use crate::dial::DialError;
use crate::http::message::Broken;

/// A request without a response.
#[derive(Debug)]
pub struct FetchError {
    /// The URL.
    pub url: Url,
    /// The cause.
    pub cause: Cause,
}

/// The cause of a failed request.
#[derive(Debug)]
pub enum Cause {
    /// No connection.
    Dial(DialError),
    /// The timeout was reached.
    Timeout,
    /// The connection broke.
    Broken(Broken),
    /// The response violates RFC 9112.
    Malformed(&'static str),
    /// The body is longer than this number of bytes.
    TooLarge(usize),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.url)?;
        match &self.cause {
            Cause::Dial(error) => error.fmt(f),
            Cause::Timeout => f.write_str("no response in time"),
            Cause::Broken(broken) => broken.fmt(f),
            Cause::Malformed(what) => write!(f, "the response is malformed: {what}"),
            Cause::TooLarge(most) => write!(f, "the body of the response is longer than {most} bytes"),
        }
    }
}

impl std::error::Error for FetchError {}
