//! The file being read, and what was found in it so far.

use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;

use super::problem::{Place, Problem};
use super::{FileKind, NamedFile, Secret};

/// The file being read and the problems found in it so far.
#[derive(Debug)]
pub struct Report<'t> {
    file: &'t str,
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
    files: RefCell<Vec<(FileKind, NamedFile)>>,
    secrets: RefCell<Vec<Secret>>,
}

/// A place in the text, in bytes.
pub type Span = Range<usize>;

/// A value with its place.
#[derive(Debug, Clone)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<'t> Report<'t> {
    /// A report without problems.
    pub fn new(file: &'t str, text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        Self {
            file,
            text,
            lines,
            problems: RefCell::default(),
            files: RefCell::default(),
            secrets: RefCell::default(),
        }
    }

    /// The place of a span.
    pub fn place(&self, span: &Span) -> Place {
        // Not by the whole text before it, which would be read once for each of many routes.
        let line = self.lines.partition_point(|&begin| begin <= span.start);
        let begin = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(begin..span.start).unwrap_or_default();
        Place { line, column: before.chars().count() + 1 }
    }

    /// `file:line` of a place.
    pub fn named(&self, place: Place) -> String {
        format!("{}:{}", self.file, place.line)
    }

    /// Adds a problem at a span.
    pub fn add(&self, span: &Span, text: impl Into<String>) {
        self.add_at(Some(self.place(span)), text);
    }

    /// Adds a problem within a text value, this many characters after its begin.
    pub fn add_within(&self, value: &Placed<String>, offset: usize, text: impl Into<String>) {
        let mut place = self.place(&value.span);
        // Only where the value stands as it is, the offset leads to the character.
        let written = self.text.get(value.span.clone()).unwrap_or_default();
        if written.get(1..written.len().saturating_sub(1)) == Some(value.value.as_str()) {
            place.column += 1 + offset;
        }
        self.add_at(Some(place), text);
    }

    /// Adds a problem of the whole file.
    pub fn add_global(&self, text: impl Into<String>) {
        self.add_at(None, text);
    }

    /// Adds a problem at a place.
    pub fn add_at(&self, place: Option<Place>, text: impl Into<String>) {
        let problem = Problem { file: self.file.to_owned(), place, text: text.into() };
        self.problems.borrow_mut().push(problem);
    }

    /// Notes a file that the settings name.
    pub fn file(&self, kind: FileKind, path: &Placed<String>) -> NamedFile {
        let file = NamedFile { path: PathBuf::from(&path.value), place: self.place(&path.span) };
        self.files.borrow_mut().push((kind, file.clone()));
        file
    }

    /// Notes a secret that the settings name.
    pub fn secret(&self, secret: &Secret) {
        self.secrets.borrow_mut().push(secret.clone());
    }

    /// All secrets noted so far.
    pub fn take_secrets(&self) -> Vec<Secret> {
        self.secrets.take()
    }

    /// The number of problems so far.
    pub fn count(&self) -> usize {
        self.problems.borrow().len()
    }

    /// All files named, and all problems in the order of their places.
    pub fn into_parts(self) -> (Vec<(FileKind, NamedFile)>, Vec<Problem>) {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.place);
        (self.files.into_inner(), problems)
    }
}
