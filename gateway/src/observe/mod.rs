//! Metrics, logs and request ids.

pub mod access;
pub mod clock;
pub mod counter;
pub mod durations;
pub mod exposition;
pub mod format;
pub mod line;
pub mod log_settings;
pub mod memory;
pub mod metrics;
mod process;
pub mod protobuf;
pub mod recent;
pub mod reloads;
pub mod request_id;
pub mod stderr;
