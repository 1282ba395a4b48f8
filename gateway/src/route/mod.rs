//! Routes: matching of requests, and path parameters.
//!
//! The order of precedence is implemented in `table`; `docs/settings-gateway.md` describes it for operators.

mod condition;
mod mismatch;
mod miss;
mod resolve;
mod shadowed;
mod table;
mod trie;

pub use mismatch::{Mismatch, mismatches};
pub use miss::Miss;
pub use resolve::Refused;
pub use shadowed::shadowed;
pub use table::{Lookup, Match, Table};
pub use trie::Parameters;
