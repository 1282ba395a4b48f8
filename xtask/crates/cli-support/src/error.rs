//! Error messages and exit codes.
//!
//! Errors are [`anyhow::Error`]. A [`Fault`] in the chain decides the exit code and has the place and the hint. An error
//! without a `Fault` has exit code 1.

use std::fmt;
use std::process::ExitCode;

/// The kind of a failure; its number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitKind {
    /// The work failed (1).
    Failed = 1,
    /// Flags or settings are wrong (2).
    Usage = 2,
    /// A check did not pass: a budget, a vulnerability, a policy (3).
    Gate = 3,
}

/// An error message: what is wrong, where, and what to do.
#[derive(Debug)]
pub struct Fault {
    kind: ExitKind,
    what: String,
    place: Option<String>,
    hint: Option<String>,
    of_content: bool,
}

impl Fault {
    fn new(kind: ExitKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), place: None, hint: None, of_content: false }
    }

    /// The work failed: exit code 1.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(ExitKind::Failed, what)
    }

    /// Flags or settings are wrong: exit code 2.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(ExitKind::Usage, what)
    }

    /// A check did not pass: exit code 3.
    pub fn gate(what: impl Into<String>) -> Self {
        Self::new(ExitKind::Gate, what)
    }

    /// The place: `file:line:column`, a URL or a path.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.place = Some(place.to_string());
        self
    }

    /// The hint: a sentence or a command.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Marks an error in the content itself, not in its transfer: a retry gives the same error.
    #[must_use]
    pub fn of_content(mut self) -> Self {
        self.of_content = true;
        self
    }

    /// The message without its place.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The kind, which decides the exit code.
    pub fn kind(&self) -> ExitKind {
        self.kind
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}

/// Several faults, such as all errors of a settings file.
#[derive(Debug)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, plural) = (self.0.len(), if self.0.len() == 1 { "" } else { "s" });
        write!(f, "{n} error{plural}")
    }
}

impl std::error::Error for Faults {}

/// Makes untrusted text safe for a terminal or a log: escapes control characters and bidirectional marks, and prevents a line
/// from being a command to GitHub Actions (`::…`).
pub fn plain(text: &str) -> String {
    let lines: Vec<_> =
        text.split('\n').map(|line| plain_line(line.strip_suffix('\r').unwrap_or(line))).collect();
    lines.join("\n")
}

/// The same for one line: line breaks are escaped too.
pub fn plain_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // The runner also accepts commands after blanks.
    if ["::", "##["].iter().any(|mark| text.trim_start().starts_with(mark)) {
        out.push('\\');
    }
    for char in text.chars() {
        match char {
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                out.extend(char.escape_unicode());
            }
            char if char.is_control() && char != '\t' => out.extend(char.escape_default()),
            char => out.push(char),
        }
    }
    out
}

/// The exit code of an error.
pub fn kind(error: &anyhow::Error) -> ExitKind {
    // A fault that was added as context is found by `downcast_ref` of the error, not of the chain's links.
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.kind;
    }
    for cause in error.chain() {
        if let Some(fault) = cause.downcast_ref::<Fault>() {
            return fault.kind;
        }
        if let Some(Faults(faults)) = cause.downcast_ref::<Faults>() {
            return faults.first().map_or(ExitKind::Failed, Fault::kind);
        }
    }
    ExitKind::Failed
}

/// Whether the error is in the content itself ([`Fault::of_content`]).
pub fn of_content(error: &anyhow::Error) -> bool {
    let whole = error.downcast_ref::<Fault>().is_some_and(|fault| fault.of_content);
    whole || error.chain().any(|cause| cause.downcast_ref::<Fault>().is_some_and(|fault| fault.of_content))
}

/// Formats an error: one `error:` line for each fault, its causes indented below, the hints last.
pub fn render(error: &anyhow::Error) -> String {
    let mut out = String::new();
    let mut hints: Vec<_> =
        error.downcast_ref::<Fault>().and_then(|fault| fault.hint.clone()).into_iter().collect();
    let mut first = true;
    for cause in error.chain() {
        if let Some(Faults(faults)) = cause.downcast_ref::<Faults>() {
            for fault in faults {
                // Further lines are indented, so that none looks like another fault.
                out.push_str(&format!("error: {}\n", plain(&fault.to_string()).replace('\n', "\n  ")));
                if let Some(hint) = &fault.hint {
                    out.push_str(&help(hint));
                }
            }
            first = false;
            continue;
        }
        // Text of a registry or an image is untrusted.
        let text = plain(&cause.to_string()).replace('\n', "\n  ");
        out.push_str(if first { "error: " } else { "  because: " });
        out.push_str(&text);
        out.push('\n');
        first = false;
        if let Some(hint) = cause.downcast_ref::<Fault>().and_then(|fault| fault.hint.as_ref())
            && !hints.contains(hint)
        {
            hints.push(hint.clone());
        }
    }
    for hint in hints {
        out.push_str(&help(&hint));
    }
    out
}

/// Formats a hint; its further lines are aligned below the first.
fn help(hint: &str) -> String {
    format!("  help: {}\n", plain(hint).replace('\n', "\n        "))
}

impl From<ExitKind> for ExitCode {
    fn from(kind: ExitKind) -> Self {
        ExitCode::from(kind as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_fault_in_the_chain_decides_the_exit_code() {
        let cases = [
            (anyhow::anyhow!("plain"), ExitKind::Failed),
            (Fault::usage("flag").into(), ExitKind::Usage),
            (Err::<(), _>(Fault::gate("no")).context("outer").unwrap_err(), ExitKind::Gate),
            (Faults(vec![Fault::usage("a"), Fault::usage("b")]).into(), ExitKind::Usage),
        ];
        for (error, expected) in cases {
            assert_eq!(kind(&error), expected, "{error:#}");
        }
    }

    #[test]
    fn of_content_is_found_below_any_context() {
        let error = anyhow::Error::new(Fault::failed("other bytes").of_content()).context("step");
        assert!(of_content(&error) && of_content(&error.context(Fault::gate("no"))));
        assert!(!of_content(&Fault::failed("no answer").into()));
    }

    #[test]
    fn untrusted_text_is_escaped() {
        for (text, expected) in [
            ("a\u{1b}[31mb", "a\\u{1b}[31mb"),
            ("a\r\nb", "a\\r\\nb"),
            ("::error::x", "\\::error::x"),
            (" \t::x", "\\ \t::x"),
            ("##[error]x", "\\##[error]x"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("bücher a::b", "bücher a::b"),
        ] {
            assert_eq!(plain_line(text), expected);
        }
        assert_eq!(plain("a\n::b"), "a\n\\::b");
        let error = Faults(vec![Fault::gate("x\n::stop::y")]).into();
        assert_eq!(render(&error), "error: x\n  \\::stop::y\n");
    }

    #[test]
    fn hints_come_last_and_all_faults_are_shown() {
        let error = Err::<(), _>(Fault::failed("no answer").at("http://r/").hint("start it"))
            .context("pull the base")
            .unwrap_err();
        assert_eq!(
            render(&error),
            "error: pull the base\n  because: http://r/: no answer\n  help: start it\n"
        );
        let as_context = Err::<(), _>(anyhow::anyhow!("status 1"))
            .context(Fault::usage("docker").hint("look"))
            .unwrap_err();
        let as_context = as_context.context("step");
        assert_eq!(
            render(&as_context),
            "error: step\n  because: docker\n  because: status 1\n  help: look\n"
        );
        assert_eq!(super::kind(&as_context), ExitKind::Usage);
        let many = Faults(vec![Fault::usage("a").at("f:1:2"), Fault::usage("b").hint("c")]).into();
        assert_eq!(render(&many), "error: f:1:2: a\nerror: b\n  help: c\n");
    }
}
