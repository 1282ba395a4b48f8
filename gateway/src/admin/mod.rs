//! The admin listener: health for machines, metrics, and the command that asks for them.

pub mod exposed;
pub mod health;
pub mod page;
pub mod serve;
pub mod status;
pub mod top;
