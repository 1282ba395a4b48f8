//! What a message head may measure.

/// The limits of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// The longest head in bytes, with the empty line at its end.
    pub max_bytes: usize,
    /// The most fields.
    pub max_fields: usize,
}
