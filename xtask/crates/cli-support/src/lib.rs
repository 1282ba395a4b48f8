//! Support for command-line tools: errors with hints, masking of secrets, child processes, signals, temporary files,
//! digests, time and output.

pub mod digest;
pub mod error;
pub mod files;
pub mod mask;
pub mod plan;
pub mod process;
pub mod temporary;
pub mod threads;
pub mod time;
pub mod ui;
