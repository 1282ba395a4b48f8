//! Publishing: the very bytes of a layout into a registry, what is said of them, and their tags.

mod access;
mod attach;
mod cosign;
mod documents;
mod image_bundle;
mod image_version;
mod merge;
mod origin;
mod provenance;
mod push_blobs;
mod read_back;
mod report;
mod scan;
mod signing_steps;
mod tag_guard;
mod tag_update;
mod trust;
mod work;

pub use access::{Access, private_folder};
pub use attach::{Artifact, AttachMode, PROVENANCE, SBOM, SCAN, attach, keep};
pub use cosign::{Signer, SigningMode, need_cosign};
pub use documents::listed;
pub use image_bundle::ImageBundle;
pub use merge::merge;
pub use origin::{Origin, check_version};
pub use provenance::Parameters;
pub use report::PublishReport;
pub use scan::{Scan, gate as scan_gate, record};
pub use trust::{SIGNATURE, StatementKind, Trust};
pub use work::{PublishSetup, PublishStep, PublishWork};
