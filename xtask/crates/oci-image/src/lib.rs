//! OCI images as files: the types of the image-spec, layouts on disk, archives, and the platforms of an image.

pub mod archive;
pub mod compare;
pub mod layout;
pub mod oci;
pub mod platform;
pub mod platform_select;
pub mod walk;
