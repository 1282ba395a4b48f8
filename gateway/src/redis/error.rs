//! Why a store gave no answer.

use std::fmt;

/// A store gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// No answer came within the timeout.
    Timeout,
    /// The connection could not be opened, or it broke.
    Unavailable,
    /// The keys are on several servers of a cluster.
    Apart,
    /// The server refused the command.
    Refused(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer in time"),
            Self::Unavailable => f.write_str("no connection"),
            Self::Apart => f.write_str("the keys are on several servers"),
            Self::Refused(error) => write!(f, "the server says: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}
