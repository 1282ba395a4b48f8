//! The severity of a finding.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The qualitative rating of CVSS, in ascending order.
///
/// `Unknown` is the highest: a finding without a rating can be critical, so it fails until it is rated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Not a vulnerability: unmaintained, unsound, a notice.
    Info,
    /// 0.1 to 3.9.
    Low,
    /// 4.0 to 6.9.
    Medium,
    /// 7.0 to 8.9.
    High,
    /// 9.0 to 10.0.
    Critical,
    /// Not rated.
    Unknown,
}

impl Severity {
    /// All, in ascending order.
    pub const ALL: [Self; 6] =
        [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical, Self::Unknown];

    /// The rating of a CVSS score.
    pub fn of_score(score: f64) -> Self {
        match score {
            score if score >= 9.0 => Self::Critical,
            score if score >= 7.0 => Self::High,
            score if score >= 4.0 => Self::Medium,
            score if score > 0.0 => Self::Low,
            _ => Self::Info,
        }
    }

    /// Checks a list of severities that fail: it must not be empty, and must contain all that are higher than its lowest.
    pub fn check(list: &[Self]) -> Result<(), String> {
        let Some(least) = list.iter().filter(|severity| **severity != Self::Unknown).min() else {
            return Err("the list of severities that fail is empty: add at least critical".to_owned());
        };
        match Self::ALL.into_iter().find(|one| one > least && *one != Self::Unknown && !list.contains(one)) {
            Some(worse) => {
                Err(format!("{least} fails, but the higher severity {worse} does not: add {worse}"))
            }
            None => Ok(()),
        }
    }

    /// The higher of two; a rating replaces `Unknown`.
    #[must_use]
    pub fn known_or_worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, known) | (known, Self::Unknown) => known,
            (one, two) => one.max(two),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        })
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|severity| severity.to_string() == text.to_ascii_lowercase()).ok_or_else(
            || {
                let all = Self::ALL.map(|severity| severity.to_string());
                format!("unknown severity '{text}': {}", all.join(", "))
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_severity_list_has_no_gap() {
        for (list, good) in [
            ("", false),
            ("unknown", false),
            ("low", false),
            ("info", false),
            ("high", false),
            ("critical,medium", false),
            ("critical", true),
            ("unknown,critical", true),
            ("high,critical", true),
            ("low,medium,high,critical", true),
        ] {
            let parsed: Vec<Severity> =
                list.split(',').filter(|word| !word.is_empty()).map(|word| word.parse().unwrap()).collect();
            assert_eq!(Severity::check(&parsed).is_ok(), good, "{list}");
        }
    }
}
