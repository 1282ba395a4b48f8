//! Why a call to a service gave no response.

use std::fmt;

use super::url::Url;
use crate::dial::DialError;
use crate::http::message::Broken;

/// A call gave no response.
#[derive(Debug)]
pub struct FetchError {
    /// What was called.
    pub url: Url,
    /// Why there is no response.
    pub cause: Cause,
}

/// Why there is no response.
#[derive(Debug)]
pub enum Cause {
    /// No connection.
    Dial(DialError),
    /// The time of the call is over.
    Timeout,
    /// The connection broke.
    Broken(Broken),
    /// What came is not HTTP as RFC 9112 has it.
    Malformed(&'static str),
    /// The body is longer than so many bytes.
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
