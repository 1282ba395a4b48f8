//! The rules, as `[[tags]]` has them.

use std::fmt;
use std::str::FromStr;

use super::template::check;

/// One rule; each gives at most one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it makes a tag of.
    pub kind: RuleKind,
    /// Put before the tag; `pr-` and `sha-` where those kinds have none.
    pub prefix: Option<String>,
    /// Put behind the tag.
    pub suffix: Option<String>,
    /// Where its tag stands; the kind's own where unset. The first one decides about `latest`.
    pub priority: Option<u32>,
    /// A template; the rule holds unless it reads `false`.
    pub enable: Option<String>,
}

/// What a rule makes a tag of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// A version tag in git, through a pattern such as `{{major}}.{{minor}}`.
    Semver(String),
    /// The branch, the tag or the pull request as it is called.
    Ref(RefKind),
    /// `edge` on one branch, the default one where none is named.
    Edge(Option<String>),
    /// The commit: 7 digits of it, or all.
    Sha {
        /// All 40 digits.
        long: bool,
    },
    /// A scheduled run.
    Schedule(String),
    /// This text, a template.
    Raw(String),
}

/// Which kind of ref `type = "ref"` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefKind {
    /// A branch.
    Branch,
    /// A tag.
    Tag,
    /// A pull request.
    Pr,
}

/// Whether there is `latest` beside the other tags.
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

/// What semver patterns may name.
const OF_VERSIONS: [&str; 5] = ["version", "major", "minor", "patch", "raw"];

/// What other templates may name, beside dates.
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
    /// What is wrong with the pattern of a semver rule.
    pub fn check_pattern(text: &str) -> Result<(), String> {
        check(text, &OF_VERSIONS)
    }

    /// What is wrong with another template: a value, a schedule's pattern, a condition.
    pub fn check_template(text: &str) -> Result<(), String> {
        check(text, &OF_RUNS)
    }

    /// A rule of this kind with nothing else set.
    pub fn of(kind: RuleKind) -> Self {
        Self { kind, prefix: None, suffix: None, priority: None, enable: None }
    }

    /// The rules where the settings have none, as docker/metadata-action has them.
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
