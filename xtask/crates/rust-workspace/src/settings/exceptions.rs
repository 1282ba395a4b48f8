//! Exceptions of a scan. Each has a reason and a last day.

use super::file;
use super::reader::{FromToml, Mistake, Table, Value, line_column, wrong};
use cli_support::time::Date;

/// The longest exception, in days from now.
const MAX_IGNORE_DAYS: i64 = 366;

/// The last day that a hint proposes.
pub fn proposed() -> Date {
    Date::of_seconds(cli_support::time::now() + 90 * 86_400)
}

/// An error where a day is too far ahead.
pub fn too_far(day: Date, today: Date) -> Option<String> {
    let ahead = day.since(today);
    let far = ahead > MAX_IGNORE_DAYS;
    far.then(|| format!("{day} is {ahead} days from now; the limit is {MAX_IGNORE_DAYS}"))
}

/// An exception: its reason, its last day and its place in the settings.
#[derive(Debug, Clone)]
pub struct Exception {
    /// The reason.
    pub reason: String,
    /// Its last day.
    pub expires: Date,
    /// Its place: `file:line:column`.
    pub place: String,
    offset: usize,
}

impl Exception {
    /// An exception without a place in the settings.
    pub fn new(reason: &str, expires: Date) -> Self {
        Self { reason: reason.to_owned(), expires, place: file().to_owned(), offset: 0 }
    }

    /// Sets its place.
    pub(super) fn locate(&mut self, text: &str) {
        let (line, column) = line_column(text, self.offset);
        self.place = format!("{}:{line}:{column}", file());
    }

    fn read(table: &mut Table<'_>, span: usize) -> Self {
        let reason = table.required::<String>("reason");
        let expires = table.required_at::<String>("expires");
        let expires = expires.and_then(|text| match text.value.parse::<Date>() {
            Ok(date) => Some(date),
            Err(what) => {
                table.errors.push(wrong(text.at, what));
                None
            }
        });
        Self {
            reason: reason.unwrap_or_default(),
            expires: expires.unwrap_or_else(Date::today),
            place: file().to_owned(),
            offset: span,
        }
    }

    /// The error in it, if any.
    fn check(&self) -> Option<String> {
        if self.reason.trim().is_empty() {
            return Some("the reason is empty".to_owned());
        }
        too_far(self.expires, Date::today()).map(|what| format!("expires: {what}"))
    }
}

impl std::fmt::Display for Exception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (until {})", self.reason, self.expires)
    }
}

/// A finding that is allowed until a day.
#[derive(Debug, Clone)]
pub struct Ignore {
    /// Its id or an alias.
    pub id: String,
    /// The crate, path or setting to which the exception is limited. Required for ids of the builtin rules (`XT-…`),
    /// which each have many subjects.
    pub subject: Option<String>,
    /// The reason and the last day.
    pub exception: Exception,
}

impl FromToml for Ignore {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let span = value.span().start;
        let mut table = Table::new(value)?;
        let id = table.required::<String>("id").unwrap_or_default();
        let entry =
            Self { id, exception: Exception::read(&mut table, span), subject: table.optional("subject") };
        if table.errors.is_empty() {
            let id = entry.id.trim();
            let what = match () {
                () if id.is_empty() => Some("the id is empty".to_owned()),
                () if id.to_ascii_uppercase().starts_with("XT-") && entry.subject.is_none() => {
                    Some(format!("{} needs a subject: a path or a setting", entry.id))
                }
                () => entry.exception.check(),
            };
            table.errors.extend(what.map(|what| wrong(span, what)));
        }
        table.finish()?;
        Ok(entry)
    }
}

/// A program without a list of crates and without a package, allowed until a day.
#[derive(Debug, Clone)]
pub struct Unlisted {
    /// Its path in the image.
    pub path: String,
    /// The reason and the last day.
    pub exception: Exception,
}

impl FromToml for Unlisted {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let span = value.span().start;
        let mut table = Table::new(value)?;
        let path = table.required::<String>("path").unwrap_or_default();
        let entry = Self { path, exception: Exception::read(&mut table, span) };
        if table.errors.is_empty() {
            let absolute = entry.path.starts_with('/') && entry.path.len() > 1;
            let what = format!("path '{}' is not an absolute path in the image", entry.path);
            let what = if absolute { entry.exception.check() } else { Some(what) };
            table.errors.extend(what.map(|what| wrong(span, what)));
        }
        table.finish()?;
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::{Scan, reader};
    use cli_support::error::render;
    use expect_test::expect;

    fn day(days: u64) -> Date {
        Date::of_seconds(cli_support::time::now() + days * 86_400)
    }

    #[test]
    fn an_exception_needs_an_id_and_an_expiry_date() {
        for (id, days, good) in
            [("A", 0, true), ("A", 365, true), ("A", 368, false), ("", 1, false), (" ", 1, false)]
        {
            let text = format!("[[ignore]]\nid = '{id}'\nreason = 'x'\nexpires = '{}'\n", day(days));
            assert_eq!(reader::read::<Scan>(Path::new("x"), &text).is_ok(), good, "{id} {days}");
        }
        let text = format!("[[ignore]]\nid = 'XT-SETUID'\nreason = 'x'\nexpires = '{}'\n", day(1));
        assert!(reader::read::<Scan>(Path::new("x"), &text).is_err());
        assert!(reader::read::<Scan>(Path::new("x"), &format!("{text}subject = '/bin/su'\n")).is_ok());
        for (path, days, good) in [
            ("/bin/app", 0, true),
            ("/bin/app", 368, false),
            ("bin/app", 1, false),
            ("/", 1, false),
            ("", 1, false),
        ] {
            let text = format!("[[unlisted]]\npath = '{path}'\nreason = 'x'\nexpires = '{}'\n", day(days));
            assert_eq!(reader::read::<Scan>(Path::new("x"), &text).is_ok(), good, "{path} {days}");
        }
    }

    #[test]
    fn every_mistake_has_its_place() {
        let text = "[[ignore]]\nid = 'A'\nexpires = '2026-02-30'\n\
            [[ignore]]\nid = 'B'\nreason = ' '\nexpires = '2026-02-28'\n\
            [[unlisted]]\npath = '/a'\nexpires = '2026-02-28'\n\
            [[unlisted]]\npath = '/a'\nreason = 'x'\n\
            [[unlisted]]\npath = 'a'\nreason = 'x'\nexpires = '2026-02-28'\n\
            [[unlisted]]\npath = '/a'\nreason = ''\nexpires = '2026-02-28'\n";
        let errors = reader::read::<Scan>(Path::new("image.toml"), text).unwrap_err();
        expect![[r#"
            error: image.toml:1:1: the key 'reason' is missing
            error: image.toml:3:11: '2026-02-30' is not a day such as 2026-08-21
            error: image.toml:4:1: the reason is empty
            error: image.toml:8:1: the key 'reason' is missing
            error: image.toml:11:1: the key 'expires' is missing
            error: image.toml:14:1: path 'a' is not an absolute path in the image
            error: image.toml:18:1: the reason is empty
        "#]]
        .assert_eq(&render(&errors.into()));
    }
}
