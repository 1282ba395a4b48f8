//! Certificates for one test, made with openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use gateway::tls::CertificateFiles;
use tempfile::TempDir;

/// An authority of its own.
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Self { folder };
        // A name of its own too, so that another authority is unknown rather than wrong.
        let name = authority.folder.path().file_name().and_then(|name| name.to_str()).expect("a name");
        let subject = format!("/CN={name}");
        let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 10";
        openssl(authority.folder.path(), &format!("{request} -keyout ca.key -out ca.crt -subj {subject}"));
        authority
    }

    /// The file with its certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// A certificate for names such as `DNS:a.example` that is valid for so many days.
    pub fn issue(&self, names: &str, days: i32) -> CertificateFiles {
        self.issue_with(names, days, "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1")
    }

    /// The same with the kind of key that openssl's options say.
    pub fn issue_with(&self, names: &str, days: i32, key: &str) -> CertificateFiles {
        let folder = self.folder.path();
        let base: String = names.chars().filter(char::is_ascii_alphanumeric).collect();
        let base = format!("{base}{days}");
        std::fs::write(folder.join("extensions"), format!("subjectAltName={names}\n")).expect("a file");
        openssl(
            folder,
            &format!("req {key} -nodes -keyout {base}.key -out {base}.csr -subj /O=Example/CN=leaf"),
        );
        openssl(
            folder,
            &format!(
                "x509 -req -in {base}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days {days} \
                 -extfile extensions -out {base}.crt"
            ),
        );
        CertificateFiles {
            certificate: folder.join(format!("{base}.crt")),
            key: folder.join(format!("{base}.key")),
        }
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("openssl, from the package of this name");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}
