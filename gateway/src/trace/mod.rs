//! Traces: what a request did and how long, told to a collector in OTLP.
//!
//! A request belongs to the trace of its caller (W3C Trace Context), or begins one. Whether it is
//! recorded is decided at its begin: as the caller decided, otherwise one of so many. A request that is
//! not recorded costs no more than the field that tells the service so.
//!
//! Each worker gathers spans and sends them itself, in batches and beside the requests.

mod context;
mod ids;
mod otlp;
mod outbox;
mod span;
mod tracer;

pub use context::{Context, Parent, TRACEPARENT, TRACESTATE, is_state};
pub use ids::Ids;
pub use outbox::Outbox;
pub use span::{Kind, Recording, Span};
pub use tracer::{RouteTraces, Tracer, TracerConfig};
