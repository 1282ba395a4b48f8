//! The rows, by subject.

pub mod fields;
pub mod floods;
pub mod frames;
pub mod framing;
pub mod http2;
pub mod lifecycle;
pub mod paths;
pub mod responses;
pub mod shutdown;
pub mod target;
