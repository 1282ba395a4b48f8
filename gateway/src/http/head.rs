//! Limits of message heads.

/// Limits of a message head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Maximum length in bytes, with the empty line at the end.
    pub max_bytes: usize,
    /// Maximum number of fields.
    pub max_fields: usize,
}
