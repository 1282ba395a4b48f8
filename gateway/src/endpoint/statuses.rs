//! Sets of status codes.

/// Status codes as ranges, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    /// The codes in these ranges.
    pub fn new(ranges: impl IntoIterator<Item = (u16, u16)>) -> Self {
        Self(ranges.into_iter().collect())
    }

    /// The ranges, both ends included.
    pub fn ranges(&self) -> impl Iterator<Item = (u16, u16)> {
        self.0.iter().copied()
    }

    /// Whether the code is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&status))
    }
}
