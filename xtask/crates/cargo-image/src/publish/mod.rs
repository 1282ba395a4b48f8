//! Publishing: the very bytes of a layout into a registry, what is said of them, and their tags.

mod access;
mod attach;
mod documents;
mod held;
mod look;
mod merge;
mod moving;
mod origin;
mod parcel;
mod provenance;
mod release;
mod report;
mod scan;
mod send;
mod sign;
mod signing;
mod trust;
mod work;

pub use access::{Access, private_folder};
pub use attach::{Artifact, PROVENANCE, SBOM, SCAN, attach, keep};
pub use documents::listed;
pub use merge::merge;
pub use origin::{Origin, check_version};
pub use parcel::Parcel;
pub use provenance::Parameters;
pub use report::Report;
pub use scan::{Scan, gate as scan_gate, record};
pub use sign::{Mode, Signer, need_cosign};
pub use trust::{SIGNATURE, Said, Trust};
pub use work::{Setup, Step, Work};
