//! Publishing: the very bytes of a layout into a registry, what is said of them, and their tags.

mod attach;
mod merge;
mod moving;
mod parcel;
mod provenance;
mod report;
mod scan;
mod send;
mod sign;
mod work;

pub use attach::{Artifact, PROVENANCE, SBOM, SCAN, attach};
pub use merge::merge;
pub use parcel::Parcel;
pub use provenance::Parameters;
pub use report::Report;
pub use scan::{Scan, record};
pub use send::Sent;
pub use sign::{Access, Mode, SIGNATURE, Signer, Trust, need_cosign};
pub use work::{Setup, Step, Work};
