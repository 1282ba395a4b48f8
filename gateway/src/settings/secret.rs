//! Secrets in the settings, with values from files or environment variables.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use toml::de::{DeTable, DeValue};

use super::kinds::{Kind, Slot, Value};
use super::report::{Placed, Report, Span};
use super::{FileKind, Place, warning};
use crate::json::Json;

/// Maximum size of a file with a secret.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// Source of a secret.
#[derive(Clone, PartialEq, Eq)]
enum Source {
    /// `{ file = "…" }`
    File(PathBuf),
    /// `{ env = "…" }`
    Variable(String),
    /// A text in the settings file.
    Text,
}

/// A value that is never printed.
///
/// Clones share one value. Secrets with the same source and value are equal, regardless of their place.
#[derive(Clone)]
pub struct Secret {
    source: Source,
    /// Its place in the settings.
    pub place: Place,
    value: Arc<OnceLock<String>>,
}

impl Secret {
    /// The value; empty until [`check`] has read it.
    pub fn expose(&self) -> &str {
        self.value.get().map_or("", String::as_str)
    }

    fn read(&self) -> Result<String, String> {
        match &self.source {
            Source::Text => Ok(self.expose().to_owned()),
            Source::File(path) => from_file(path),
            Source::Variable(name) => match std::env::var(name) {
                Ok(value) if value.is_empty() => Err(format!("the environment variable '{name}' is empty")),
                Ok(value) => Ok(value),
                Err(std::env::VarError::NotPresent) => {
                    Err(format!("there is no environment variable '{name}'; set it and restart the gateway"))
                }
                Err(std::env::VarError::NotUnicode(_)) => {
                    Err(format!("the environment variable '{name}' is not valid UTF-8"))
                }
            },
        }
    }
}

/// The source, never the value.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::File(path) => write!(f, "{{ file = \"{}\" }}", path.display()),
            Source::Variable(name) => write!(f, "{{ env = \"{name}\" }}"),
            Source::Text => f.write_str("\"***\""),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.value.get() == other.value.get()
    }
}

impl Eq for Secret {}

fn from_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let size = std::fs::metadata(path).map_err(|error| format!("'{shown}' cannot be read: {error}"))?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("'{shown}' is larger than 64 KiB; name a file with one secret"));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("'{shown}' cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("'{shown}' is not valid UTF-8"))?;
    // Editors and `echo` end a file with a line ending, which is not part of the secret.
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err(format!("'{shown}' is empty; write the secret into it"));
    }
    Ok(value.to_owned())
}

/// A secret: `{ file = "…" }`, `{ env = "…" }`, or a text.
#[derive(Debug, Clone, Copy)]
pub struct SecretValue;

impl Kind for SecretValue {
    type Value = Secret;

    /// No message shows the value, since it may be the secret itself.
    fn read(&self, slot: &Slot<'_, '_>, value: &Value<'_>) -> Option<Secret> {
        let (report, span) = (slot.report, value.span());
        let (source, text) = match value.get_ref() {
            DeValue::String(text) if !text.is_empty() => (Source::Text, Some(text.to_string())),
            DeValue::Table(table) => (source(table, report).or_else(|| wrong(slot, &span))?, None),
            _ => return wrong(slot, &span),
        };
        let value = Arc::new(text.map_or_else(OnceLock::new, OnceLock::from));
        let secret = Secret { source, place: report.place(&span), value };
        report.secret(&secret);
        Some(secret)
    }

    fn label(&self) -> String {
        "[secret](#secrets)".to_owned()
    }

    fn schema(&self) -> Json {
        let form = |key: &str| {
            let text = Json::object([("type", Json::text("string")), ("minLength", Json::Number(1))]);
            Json::object([
                ("type", Json::text("object")),
                ("properties", Json::object([(key, text)])),
                ("required", Json::list([Json::text(key)])),
                ("additionalProperties", Json::Bool(false)),
            ])
        };
        let text = Json::object([("type", Json::text("string"))]);
        Json::object([("oneOf", Json::list([form("file"), form("env"), text]))])
    }

    fn is_secret(&self) -> bool {
        true
    }
}

fn wrong<T>(slot: &Slot<'_, '_>, span: &Span) -> Option<T> {
    let name = slot.name;
    slot.report.add(span, format!("{name} must be {{ file = \"PATH\" }} or {{ env = \"NAME\" }}"));
    None
}

/// The source in a table; `None` if it has none, several, or other keys.
fn source(table: &DeTable<'_>, report: &Report<'_>) -> Option<Source> {
    let mut entries = table.iter();
    let (Some((key, value)), None) = (entries.next(), entries.next()) else { return None };
    let text = value.get_ref().as_str().filter(|text| !text.is_empty())?;
    match key.get_ref().as_ref() {
        "file" => {
            let path = Placed { value: text.to_owned(), span: value.span() };
            report.file(FileKind::Secret, &path);
            Some(Source::File(PathBuf::from(path.value)))
        }
        "env" => (!text.contains(['=', '\0'])).then(|| Source::Variable(text.to_owned())),
        _ => None,
    }
}

/// Reads the values of all secrets.
pub fn check(secrets: &[Secret]) -> super::files::Findings {
    let mut findings = super::files::Findings::default();
    for secret in secrets {
        if secret.source == Source::Text {
            let text =
                "a secret stands in the settings as text; put it into a file and write { file = \"PATH\" }";
            findings.warnings.push((secret.place, warning::PLAIN_TEXT_CREDENTIAL, text.to_owned()));
        }
        match secret.read() {
            Ok(value) => {
                let _ = secret.value.set(value);
            }
            Err(text) => findings.problems.push((secret.place, text)),
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::{Secret, SecretValue, check};
    use crate::settings::reader::Reader;
    use crate::settings::record::Mode;
    use crate::settings::report::Report;

    /// The secret in `key = TEXT`, with its problems and warnings.
    fn secret(text: &str) -> (Option<Secret>, Vec<String>, Vec<String>) {
        let text = format!("key = {text}");
        let report = Report::new("f", &text, Mode::Read);
        let root = DeTable::parse(&text).expect("TOML");
        let mut reader = Reader::of(root.into_inner(), 0..text.len(), "the file", &report);
        let secret = reader.get("key", SecretValue, "none", "a key");
        let found = report.into_found();
        let checked = check(&found.secrets);
        let mut problems: Vec<String> = found.problems.into_iter().map(|problem| problem.text).collect();
        problems.extend(checked.problems.into_iter().map(|(_, text)| text));
        (secret, problems, checked.warnings.into_iter().map(|(.., text)| text).collect())
    }

    #[test]
    fn values_come_from_files_and_the_environment_and_are_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        std::fs::write(&file, "hush-1\r\n").expect("a file");
        let from_file = format!("{{ file = '{}' }}", file.display());
        let path = std::env::var("PATH").expect("a PATH");
        let table =
            [(from_file.as_str(), "hush-1", 0), ("{ env = 'PATH' }", &path, 0), ("'hush-2'", "hush-2", 1)];
        for (text, value, warnings) in table {
            let (found, problems, warned) = secret(text);
            assert_eq!((problems, warned.len()), (Vec::new(), warnings), "{text}");
            let found = found.expect("a secret");
            assert_eq!(found.expose(), value);
            assert!(!format!("{found:?} {found} {warned:?}").contains(value), "{found:?}");
        }
    }

    #[test]
    fn what_is_no_secret_is_said_without_showing_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).expect("a file");
            format!("{{ file = '{}' }}", path.display())
        };
        let table = [
            (file("empty", b"\n"), "is empty; write"),
            (file("binary", b"\xff"), "is not valid UTF-8"),
            (file("large", &vec![b'x'; 65 << 10]), "larger than 64 KiB"),
            ("{ file = '/none' }".to_owned(), "'/none' cannot be read"),
            ("{ env = 'GATEWAY_NONE' }".to_owned(), "no environment variable 'GATEWAY_NONE'"),
            ("{ env = 'A=B' }".to_owned(), "must be { file"),
            ("{ file = '/a', env = 'B' }".to_owned(), "must be { file"),
            ("{}".to_owned(), "must be { file"),
            ("{ path = '/a' }".to_owned(), "must be { file"),
            ("{ file = 5 }".to_owned(), "must be { file"),
            ("31415926".to_owned(), "must be { file"),
            ("''".to_owned(), "must be { file"),
        ];
        for (text, expected) in table {
            let (_, problems, _) = secret(&text);
            assert!(problems.iter().any(|problem| problem.contains(expected)), "{text}: {problems:?}");
            assert!(!problems.concat().contains("31415926"), "{problems:?}");
        }
    }

    #[test]
    fn secrets_are_equal_by_source_and_value() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        let text = format!("{{ file = '{}' }}", path.display());
        let read = |value: &str| {
            std::fs::write(&path, value).expect("a file");
            secret(&text).0.expect("a secret")
        };
        let (one, same, other) = (read("a"), read("a\n"), read("b"));
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_ne!(one, secret("'a'").0.expect("a secret"));
    }
}
