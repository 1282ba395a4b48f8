//! The files that the settings name: certificates and keys.

use std::path::Path;
use std::time::SystemTime;

use super::{FileKind, NamedFile, Place};
use crate::tls::{Certificate, pem};

/// What was found in the files, each with the place where the settings name the file.
#[derive(Debug, Default)]
pub struct Findings {
    /// What makes the settings unfit for use.
    pub problems: Vec<(Place, String)>,
    /// What does not.
    pub warnings: Vec<(Place, String)>,
}

/// Reads all files and looks for mistakes.
pub fn check(files: &[(FileKind, NamedFile)], now: SystemTime) -> Findings {
    let mut findings = Findings::default();
    for (kind, file) in files {
        let read = match kind {
            FileKind::Key => pem::private_key(&file.path).map(|_| Vec::new()),
            FileKind::Chain | FileKind::Authorities => pem::certificates(&file.path),
            FileKind::Secret => Ok(Vec::new()),
        };
        match read {
            Err(text) => findings.problems.push((file.place, text)),
            Ok(certificates) => {
                for certificate in certificates {
                    let text = outdated(&certificate, &file.path, now);
                    findings.warnings.extend(text.map(|text| (file.place, text)));
                }
            }
        }
    }
    findings
}

fn outdated(certificate: &[u8], path: &Path, now: SystemTime) -> Option<String> {
    let why = Certificate::parse(certificate)?.invalid_at(now)?;
    Some(format!("a certificate in '{}' {why}; renew it, or set the clock", path.display()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::{FileKind, NamedFile, Place, check};

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
            (FileKind::Chain, "none.crt", years(0), "none.crt' holds no certificate: ", ""),
            (FileKind::Key, "none.key", years(0), "none.key' holds no private key: ", ""),
            (FileKind::Chain, "localhost.key", years(0), "holds no certificate; name", ""),
            (FileKind::Key, "localhost.crt", years(0), "holds no private key: ", ""),
        ];
        for (kind, name, now, problem, warning) in table {
            let findings = check(&[(kind, file(name))], now);
            for (found, expected) in [(findings.problems, problem), (findings.warnings, warning)] {
                assert_eq!(found.len(), usize::from(!expected.is_empty()), "{name} {found:?}");
                assert!(found.iter().all(|(_, text)| text.contains(expected)), "{name} {found:?}");
            }
        }
    }
}
