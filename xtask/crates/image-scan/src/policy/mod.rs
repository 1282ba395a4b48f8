//! Policy: whether what was seen and found may be shipped.

pub mod blind_spots;
pub mod gate;
pub mod sbom_check;
pub mod unlisted;
pub mod vex;
