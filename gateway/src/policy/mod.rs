//! Rules an operator sets for requests, one file each.

pub mod forwarded;
pub mod request_body;
pub mod response_body;
