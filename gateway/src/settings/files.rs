//! Checks the files that the settings name: certificates and keys.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{FileKind, NamedFile, Place, warning};
use crate::tls::{Certificate, pem};

/// `check` warns of a certificate that expires within this time.
const SOON: Duration = Duration::from_hours(14 * 24);

/// Findings in the files, each with the file's place in the settings.
#[derive(Debug, Default)]
pub struct Findings {
    /// Errors: the settings cannot be used.
    pub problems: Vec<(Place, String)>,
    /// Warnings, with their names.
    pub warnings: Vec<(Place, &'static str, String)>,
}

/// Reads and checks all files.
pub fn check(files: &[(FileKind, NamedFile)], now: SystemTime) -> Findings {
    let mut findings = Findings::default();
    for (kind, file) in files {
        let read = match kind {
            FileKind::Key => pem::private_key(&file.path).map(|_| Vec::new()),
            FileKind::Chain | FileKind::Authorities => pem::certificates(&file.path),
            FileKind::Credentials | FileKind::Secret => Ok(Vec::new()),
        };
        match read {
            Err(text) => findings.problems.push((file.place, text)),
            Ok(certificates) => {
                if matches!(kind, FileKind::Key | FileKind::Secret) && is_readable(&file.path) {
                    let path = file.path.display();
                    let text = format!("all users can read the secret '{path}'; chmod o-r '{path}'");
                    findings.warnings.push((file.place, warning::READABLE_SECRET, text));
                }
                for certificate in certificates {
                    let text = outdated(&certificate, &file.path, now);
                    findings
                        .warnings
                        .extend(text.map(|text| (file.place, warning::CERTIFICATE_VALIDITY, text)));
                }
            }
        }
    }
    findings
}

fn outdated(certificate: &[u8], path: &Path, now: SystemTime) -> Option<String> {
    let certificate = Certificate::parse(certificate)?;
    let path = path.display();
    if let Some(why) = certificate.invalid_at(now) {
        return Some(format!("a certificate in '{path}' {why}; renew it, or set the clock"));
    }
    let why = certificate.invalid_at(now + SOON)?;
    let days = SOON.as_secs() / (24 * 60 * 60);
    Some(format!("within {days} days a certificate in '{path}' {why}; renew it"))
}

/// Whether all users of the machine may read a file.
fn is_readable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::{FileKind, Findings, NamedFile, Place, check, warning};

    fn file(name: &str) -> NamedFile {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
        NamedFile { path, place: Place { line: 3, column: 4, length: 1 } }
    }

    #[test]
    fn files_are_read_and_certificates_looked_at() {
        let years = |count: u64| UNIX_EPOCH + Duration::from_hours(count * 365 * 24);
        let table = [
            (FileKind::Chain, "localhost.crt", SystemTime::now(), "", ""),
            (FileKind::Authorities, "ca.crt", SystemTime::now(), "", ""),
            (FileKind::Key, "localhost.key", years(0), "", ""),
            (FileKind::Chain, "localhost.crt", years(0), "", "is not valid before 20"),
            (FileKind::Authorities, "ca.crt", years(2000), "", "expired at "),
            (FileKind::Chain, "none.crt", years(0), "none.crt' contains no certificate: ", ""),
            (FileKind::Key, "none.key", years(0), "none.key' contains no private key: ", ""),
            (FileKind::Chain, "localhost.key", years(0), "contains no certificate; name", ""),
            (FileKind::Key, "localhost.crt", years(0), "contains no private key: ", ""),
        ];
        for (kind, name, now, problem, warning_text) in table {
            let Findings { problems, warnings } = check(&[(kind, file(name))], now);
            let problems = problems.into_iter().map(|(_, text)| text).collect();
            // Whether a checked-out file is readable depends on the user's umask.
            let warnings = warnings.into_iter().filter(|(_, name, _)| *name != warning::READABLE_SECRET);
            let warnings: Vec<String> = warnings.map(|(_, _, text)| text).collect();
            for (found, expected) in [(problems, problem), (warnings, warning_text)] {
                let found: Vec<String> = found;
                assert_eq!(found.len(), usize::from(!expected.is_empty()), "{name} {found:?}");
                assert!(found.iter().all(|text| text.contains(expected)), "{name} {found:?}");
            }
        }
    }

    #[test]
    fn a_key_that_all_can_read_is_told_of() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        std::fs::copy(file("localhost.key").path, &path).expect("a copy");
        for (mode, count) in [(0o600, 0), (0o640, 0), (0o644, 1)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
            let named = NamedFile { path: path.clone(), place: Place::default() };
            let found = check(&[(FileKind::Key, named)], SystemTime::now()).warnings;
            assert_eq!(found.len(), count, "{mode:o} {found:?}");
        }
    }
}
