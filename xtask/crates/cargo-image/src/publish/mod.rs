//! Publishing: the very bytes of a layout into a registry, what is said of them, and their tags.

mod access;
mod attach;
mod cosign;
mod documents;
mod image_bundle;
mod image_version;
mod kinds;
mod merge;
mod origin;
mod provenance;
mod push_blobs;
mod read_back;
mod report;
mod sbom;
mod scan;
mod signing_steps;
mod tag_guard;
mod tag_update;
mod trust;
mod work;

pub use access::{Access, private_folder};
pub use attach::{Artifact, AttachMode, attach, keep};
pub use cosign::{Signer, SigningMode, Sigstore, need_cosign};
pub use documents::listed;
pub use image_bundle::ImageBundle;
pub use kinds::{DocumentKind, PROVENANCE, SCAN, SignedBy};
pub use merge::merge;
pub use origin::{Origin, check_version};
pub use provenance::Parameters;
pub use report::PublishReport;
pub use sbom::find as find_sboms;
pub use scan::{Scan, gate as scan_gate, record};
pub use trust::{GITHUB_ISSUER, SIGNATURE, StatementKind, Trust};
pub use work::{PublishSetup, PublishStep, PublishWork};
