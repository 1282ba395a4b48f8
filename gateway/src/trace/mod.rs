//! Traces of requests, exported to a collector over OTLP.
//!
//! A request continues its caller's trace (W3C Trace Context), or begins a new one. The sampling decision is
//! made at its start: the caller's decision, otherwise one of a configured number. An unsampled request costs
//! only the field for the service.
//!
//! Each worker collects spans and sends them itself, in batches and concurrently with requests.

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
