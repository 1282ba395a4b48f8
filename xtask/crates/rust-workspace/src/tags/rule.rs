//! The rules of `[[tags]]`.

use std::fmt;
use std::str::FromStr;

use super::template::check;

/// One rule; each gives at most one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The kind of the rule.
    pub kind: RuleKind,
    /// The tag's prefix; by default `pr-` and `sha-` for these kinds.
    pub prefix: Option<String>,
    /// The tag's suffix.
    pub suffix: Option<String>,
    /// The position of the tag; by default that of the kind. The first tag decides about `latest`.
    pub priority: Option<u32>,
    /// A template; `false` disables the rule.
    pub enable: Option<String>,
    /// The events in which the rule holds, such as `push`; empty for all.
    pub events: Vec<String>,
    /// For semver: a template with the version, in place of git's tag.
    pub value: Option<String>,
}

/// The kind of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// A version tag in git, through a pattern such as `{{major}}.{{minor}}`.
    Semver(String),
    /// The name of the branch, tag or pull request.
    Ref(RefKind),
    /// `edge` on a branch; by default the default branch.
    Edge(Option<String>),
    /// The commit hash: 7 digits, or all.
    Sha {
        /// All 40 digits.
        long: bool,
    },
    /// A scheduled run.
    Schedule(String),
    /// This text, a template.
    Raw(String),
}

/// The kind of reference of `type = "ref"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefKind {
    /// A branch.
    Branch,
    /// A tag.
    Tag,
    /// A pull request.
    Pr,
}

/// Whether `latest` is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latest {
    /// For releases.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The variables of semver patterns.
const OF_VERSIONS: [&str; 5] = ["version", "major", "minor", "patch", "raw"];

/// The variables of other templates, beside dates.
const OF_RUNS: [&str; 8] = [
    "branch",
    "tag",
    "base_ref",
    "sha",
    "version",
    "is_default_branch",
    "is_not_default_branch",
    "is_stable",
];

impl Rule {
    /// The errors in the pattern of a semver rule.
    pub fn check_pattern(text: &str) -> Result<(), String> {
        check(text, &OF_VERSIONS)
    }

    /// The errors in another template: a value, a schedule's pattern, a condition.
    pub fn check_template(text: &str) -> Result<(), String> {
        check(text, &OF_RUNS)
    }

    /// A rule of this kind with nothing else set.
    pub fn of(kind: RuleKind) -> Self {
        Self {
            kind,
            prefix: None,
            suffix: None,
            priority: None,
            enable: None,
            events: Vec::new(),
            value: None,
        }
    }

    /// The default rules, those of docker/metadata-action.
    pub fn defaults() -> Vec<Self> {
        let refs = [RefKind::Branch, RefKind::Tag, RefKind::Pr].map(RuleKind::Ref);
        [RuleKind::Schedule("nightly".to_owned())].into_iter().chain(refs).map(Self::of).collect()
    }

    pub(super) fn priority(&self) -> u32 {
        self.priority.unwrap_or(match self.kind {
            RuleKind::Schedule(_) => 1000,
            RuleKind::Semver(_) => 900,
            RuleKind::Edge(_) => 700,
            RuleKind::Ref(_) => 600,
            RuleKind::Raw(_) => 200,
            RuleKind::Sha { .. } => 100,
        })
    }

    pub(super) fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or(match self.kind {
            RuleKind::Ref(RefKind::Pr) => "pr-",
            RuleKind::Sha { .. } => "sha-",
            _ => "",
        })
    }

    /// Whether its kind has a prefix where none is set.
    pub fn has_own_prefix(&self) -> bool {
        matches!(self.kind, RuleKind::Ref(RefKind::Pr) | RuleKind::Sha { .. })
    }

    pub(super) fn suffix(&self) -> &str {
        self.suffix.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for RuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Semver(pattern) => write!(f, "semver {pattern}"),
            Self::Ref(RefKind::Branch) => f.write_str("ref branch"),
            Self::Ref(RefKind::Tag) => f.write_str("ref tag"),
            Self::Ref(RefKind::Pr) => f.write_str("ref pr"),
            Self::Edge(_) => f.write_str("edge"),
            Self::Sha { .. } => f.write_str("sha"),
            Self::Schedule(pattern) => write!(f, "schedule {pattern}"),
            Self::Raw(value) => write!(f, "raw {value}"),
        }
    }
}

impl FromStr for RefKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "branch" => Ok(Self::Branch),
            "tag" => Ok(Self::Tag),
            "pr" => Ok(Self::Pr),
            _ => Err(format!("event '{text}' is not branch, tag or pr")),
        }
    }
}

impl FromStr for Latest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "true" => Ok(Self::Always),
            "false" => Ok(Self::Never),
            _ => Err(format!("latest '{text}' is not auto, true or false")),
        }
    }
}
