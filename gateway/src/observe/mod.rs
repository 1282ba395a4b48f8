//! What the gateway tells about itself: metrics and logs.

pub mod access;
pub mod clock;
pub mod counter;
mod exposition;
pub mod json;
pub mod metrics;
pub mod reloads;
pub mod request_id;
pub mod stderr;
