//! The admin listener: health endpoints, metrics, and the client commands that query them.

pub mod exposed;
pub mod health;
pub mod page;
pub mod serve;
pub mod status;
pub mod top;
