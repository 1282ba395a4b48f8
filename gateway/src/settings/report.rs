//! The file being read, and its findings.

use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;

use super::problem::{Place, Problem};
use super::record::Mode;
use super::{FileKind, NamedFile, Secret};

/// The file being read and its findings.
#[derive(Debug)]
pub struct Report<'t> {
    file: &'t str,
    text: &'t str,
    /// Offsets of the line starts.
    lines: Vec<usize>,
    /// The purpose of reading.
    pub mode: Mode,
    hidden: RefCell<Vec<Span>>,
    warnings: RefCell<Vec<Problem>>,
    problems: RefCell<Vec<Problem>>,
    files: RefCell<Vec<(FileKind, NamedFile)>>,
    secrets: RefCell<Vec<Secret>>,
}

/// A range of the text, in bytes.
pub type Span = Range<usize>;

/// A value with its place.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Its range.
    pub span: Span,
}

impl<'t> Report<'t> {
    /// A report without problems.
    pub fn new(file: &'t str, text: &'t str, mode: Mode) -> Self {
        let breaks = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        Self {
            file,
            text,
            lines,
            mode,
            hidden: RefCell::default(),
            secrets: RefCell::default(),
            warnings: RefCell::default(),
            problems: RefCell::default(),
            files: RefCell::default(),
        }
    }

    /// The place of a span.
    pub fn place(&self, span: &Span) -> Place {
        // Looked up by line, since counting from the start of the text would take quadratic time with many
        // routes.
        let line = self.lines.partition_point(|&begin| begin <= span.start);
        let begin = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(begin..span.start).unwrap_or_default();
        let value = self.text.get(span.clone()).unwrap_or_default();
        let length = value.lines().next().unwrap_or_default().chars().count();
        Place { line, column: before.chars().count() + 1, length }
    }

    /// `file:line` of a place.
    pub fn named(&self, place: Place) -> String {
        format!("{}:{}", self.file, place.line)
    }

    /// Adds a problem at a span.
    pub fn add(&self, span: &Span, text: impl Into<String>) {
        self.add_at(Some(self.place(span)), text);
    }

    /// Adds a problem within a text value, at a character offset.
    pub fn add_within(&self, value: &Placed<String>, offset: usize, text: impl Into<String>) {
        let mut place = self.place(&value.span);
        // The offset is exact only if the value has no escapes.
        let written = self.text.get(value.span.clone()).unwrap_or_default();
        if written.get(1..written.len().saturating_sub(1)) == Some(value.value.as_str()) {
            place.column += 1 + offset;
            place.length = 1;
        }
        self.add_at(Some(place), text);
    }

    /// Adds a problem without a place.
    pub fn add_global(&self, text: impl Into<String>) {
        self.add_at(None, text);
    }

    /// Adds a problem at a place.
    pub fn add_at(&self, place: Option<Place>, text: impl Into<String>) {
        let problem = Problem { file: self.file.to_owned(), place, code: None, text: text.into() };
        self.problems.borrow_mut().push(problem);
    }

    /// Adds a warning at a span: valid but suspicious.
    pub fn warn(&self, span: &Span, code: &'static str, text: impl Into<String>) {
        let place = Some(self.place(span));
        let warning = Problem { file: self.file.to_owned(), place, code: Some(code), text: text.into() };
        self.warnings.borrow_mut().push(warning);
    }

    /// Hides a value in the shown lines.
    pub fn hide(&self, span: Span) {
        self.hidden.borrow_mut().push(span);
    }

    /// Records a file that the settings name.
    pub fn file(&self, kind: FileKind, path: &Placed<String>) -> NamedFile {
        let file = NamedFile { path: PathBuf::from(&path.value), place: self.place(&path.span) };
        self.files.borrow_mut().push((kind, file.clone()));
        file
    }

    /// Records a secret that the settings name.
    pub fn secret(&self, secret: &Secret) {
        self.secrets.borrow_mut().push(secret.clone());
    }

    /// The number of problems so far.
    pub fn count(&self) -> usize {
        self.problems.borrow().len()
    }

    /// Hides the text after `=` in lines that may contain a secret, in a file that could not be parsed.
    pub fn hide_secret_lines(&self) {
        for (number, &begin) in self.lines.iter().enumerate() {
            let end = self.lines.get(number + 1).copied().unwrap_or(self.text.len());
            let line = self.text.get(begin..end).unwrap_or_default();
            if let Some((key, _)) = line.split_once('=').filter(|_| is_secret(line)) {
                self.hide(begin + key.len() + 1..end);
            }
        }
    }

    /// The findings.
    pub fn into_found(self) -> Found {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.place);
        let mut shown = String::new();
        if self.mode == Mode::Record {
            shown = masked(self.text, self.hidden.into_inner());
        }
        Found {
            files: self.files.into_inner(),
            secrets: self.secrets.into_inner(),
            problems,
            warnings: self.warnings.into_inner(),
            shown,
        }
    }
}

/// The findings in a file.
#[derive(Debug)]
pub struct Found {
    /// The named files.
    pub files: Vec<(FileKind, NamedFile)>,
    /// The secrets.
    pub secrets: Vec<Secret>,
    /// All problems, ordered by place.
    pub problems: Vec<Problem>,
    /// Warnings.
    pub warnings: Vec<Problem>,
    /// The text with secrets masked; lines and columns are unchanged.
    pub shown: String,
}

/// Whether an unknown key of this name may have a secret value.
pub fn is_secret(key: &str) -> bool {
    const WORDS: [&str; 6] = ["auth", "cookie", "credential", "password", "secret", "token"];
    let key = key.to_ascii_lowercase();
    WORDS.iter().any(|word| key.contains(word)) || key.ends_with("api-key") || key.ends_with("api_key")
}

/// The text with `*` for each character of these spans; line ends are kept.
fn masked(text: &str, mut spans: Vec<Span>) -> String {
    spans.sort_by_key(|span| span.start);
    let mut spans = spans.into_iter().peekable();
    let mut out = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        while spans.next_if(|span| span.end <= at).is_some() {}
        let hidden = spans.peek().is_some_and(|span| span.start <= at);
        out.push(if hidden && character != '\n' { '*' } else { character });
    }
    out
}
