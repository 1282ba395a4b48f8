//! What the limits of a route say of a request.

use crate::limit::Standing;
use crate::limit::concurrency::Permit;

/// What the limits of a route say of a request.
#[derive(Debug, Default)]
pub struct Limited {
    /// For each limit that was asked, in the order of the route's filter, what the client is told.
    pub standings: Vec<Standing>,
    /// Held until the exchange has ended.
    pub permits: Vec<Permit>,
}
