//! Routes: which one takes a request, and what its path says.
//!
//! The order of precedence is that of `table`; it is described for operators in
//! `docs/settings-gateway.md`.

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
