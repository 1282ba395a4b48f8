//! Checks of the image's settings and file modes.

use serde_json::Value;

use super::NAME;
use crate::finding::{Finding, FindingKind, HEALTH};
use crate::image::inventory::Inventory;
use crate::image::platforms::Image;
use crate::image::rootfs::Content;
use crate::image::secrets;
use crate::image::tar_entries::EntryKind;
use rust_workspace::severity::Severity;

/// How names of variables with credentials end.
const SECRET_NAMES: [&str; 6] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY"];

const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const WRITABLE_BY_ALL: u32 = 0o002;

/// All findings.
pub fn findings(inventory: &Inventory) -> Vec<Finding> {
    let mut all = config(&inventory.image);
    all.extend(files(inventory));
    let platform = inventory.image.platform.to_string();
    for finding in &mut all {
        finding.platforms.insert(platform.clone());
    }
    all
}

fn found(kind: FindingKind, id: &str, severity: Severity, subject: &str, note: &str) -> Finding {
    Finding { subject: subject.to_owned(), note: note.to_owned(), ..Finding::new(kind, id, severity, NAME) }
}

fn config(image: &Image) -> Vec<Finding> {
    let config = &image.config;
    let get = |key: &str| config.pointer(&format!("/config/{key}"));
    let mut all = Vec::new();
    let user = get("User").and_then(Value::as_str).unwrap_or_default();
    let name = user.split(':').next().unwrap_or_default();
    if ["", "root"].contains(&name) || name.bytes().all(|byte| byte == b'0') {
        all.push(found(FindingKind::Config, "XT-ROOT", Severity::High, "User", "the container runs as root"));
    } else if !is_user_id(name) {
        // /etc/passwd can give a name the id 0, and engines read other notations differently.
        let note = "the user may be root: use a number from 1 to 4294967295";
        all.push(found(FindingKind::Config, "XT-ROOT", Severity::High, "User", note));
    }
    if !image.has_health_check() {
        let note = "the image has no health check for Docker";
        all.push(found(FindingKind::Config, HEALTH, Severity::Low, "Healthcheck", note));
    }
    for entry in get("Env").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        let upper = name.to_ascii_uppercase();
        let by_name = !value.is_empty() && SECRET_NAMES.iter().any(|secret| upper.ends_with(secret));
        if by_name || !secrets::in_text(value.as_bytes()).is_empty() {
            let note = "the environment variable looks like a secret";
            all.push(found(FindingKind::Secret, "XT-SECRET-ENV", Severity::Critical, name, note));
        }
    }
    for (subject, text) in texts(config) {
        for kind in secrets::in_text(text.as_bytes()) {
            all.push(found(FindingKind::Secret, "XT-SECRET-CONFIG", Severity::Critical, &subject, kind));
        }
    }
    for entry in config.get("history").and_then(Value::as_array).into_iter().flatten() {
        let text = entry.get("created_by").and_then(Value::as_str).unwrap_or_default();
        for kind in secrets::in_text(text.as_bytes()) {
            all.push(found(FindingKind::Secret, "XT-SECRET-HISTORY", Severity::Critical, "history", kind));
        }
    }
    all
}

/// Whether this is a user id that all engines read alike, other than root's.
fn is_user_id(name: &str) -> bool {
    let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    digits && name.parse::<u32>().is_ok_and(|number| number > 0)
}

/// Texts of the config that may contain a secret, each with its key. Variables are checked separately.
fn texts(config: &Value) -> Vec<(String, String)> {
    let get = |key: &str| config.pointer(&format!("/config/{key}"));
    let mut texts = Vec::new();
    for (name, value) in get("Labels").and_then(Value::as_object).into_iter().flatten() {
        texts.push((format!("Labels {name}"), value.as_str().unwrap_or_default().to_owned()));
    }
    for key in ["Entrypoint", "Cmd", "Shell", "OnBuild", "Healthcheck/Test"] {
        let words = get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        texts.extend(words.map(|word| (key.to_owned(), word.to_owned())));
    }
    texts
}

fn files(inventory: &Inventory) -> Vec<Finding> {
    let mut all = Vec::new();
    let bare = inventory.is_bare();
    for (path, node) in &inventory.rootfs.nodes {
        let path = format!("/{path}");
        let folder = matches!(node.kind, EntryKind::Folder);
        let link = matches!(node.kind, EntryKind::Symlink(_));
        if !folder && !link && node.mode & (SET_USER_ID | SET_GROUP_ID) != 0 {
            // A distribution has a dozen such programs, which are reviewed.
            let severity = if bare { Severity::High } else { Severity::Low };
            let note = "every user runs it with its owner's rights";
            all.push(Finding {
                place: path.clone(),
                ..found(FindingKind::Config, "XT-SETUID", severity, &path, note)
            });
        }
        let open = node.mode & WRITABLE_BY_ALL != 0 && !link;
        if open && !(folder && node.mode & STICKY != 0) && !path.starts_with("/dev/") {
            let severity = if node.executable() && !folder { Severity::High } else { Severity::Medium };
            let note = "every user in the container can change it";
            all.push(Finding {
                place: path.clone(),
                ..found(FindingKind::Config, "XT-WRITABLE", severity, &path, note)
            });
        }
        if let Content::Secrets(kinds) = &node.content {
            for kind in kinds {
                let secret = found(FindingKind::Secret, "XT-SECRET", Severity::Critical, &path, kind);
                all.push(Finding { place: path.clone(), ..secret });
            }
        }
    }
    for (path, kinds) in &inventory.rootfs.buried {
        // Databases and lists have their secrets here too, although no layer hides them.
        let content = inventory.rootfs.nodes.get(path).map(|node| &node.content);
        let seen =
            matches!(content, Some(Content::Packages(_) | Content::Release(_) | Content::PackageFiles(_)));
        let path = format!("/{path}");
        for kind in kinds {
            let note = if seen {
                (*kind).to_owned()
            } else {
                format!("{kind}, deleted in an upper layer but still in the image")
            };
            let secret = found(FindingKind::Secret, "XT-SECRET", Severity::Critical, &path, &note);
            all.push(Finding { place: path.clone(), ..secret });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_image::oci::PlatformSpec;
    use serde_json::json;

    fn image(config: Value) -> Image {
        let platform =
            PlatformSpec { architecture: "amd64".to_owned(), os: "linux".to_owned(), variant: None };
        let digest = cli_support::digest::Digest::of(b"");
        let (layers, diff_ids) = (Vec::new(), Vec::new());
        Image { platform, digest, config_digest: digest, layers, diff_ids, config, top: true }
    }

    #[test]
    fn config_findings() {
        let ids =
            |value: Value| config(&image(value)).into_iter().map(|finding| finding.id).collect::<Vec<_>>();
        let good = json!({ "config": { "User": "65532:65532", "Healthcheck": { "Test": ["CMD", "x"] } } });
        assert!(ids(good).is_empty());
        assert_eq!(ids(json!({})), ["XT-ROOT", "XT-HEALTH"]);
        for user in [
            "0",
            "0:5",
            "root",
            "root:x",
            "00",
            "toor",
            " 0",
            "-0",
            "+0",
            "+1",
            "0x0",
            "4294967296",
            "nobody",
            "1 ",
            ":5",
        ] {
            assert_eq!(ids(json!({ "config": { "User": user } }))[0], "XT-ROOT", "{user}");
        }
        for user in ["1", "65532:0", "4294967295"] {
            assert_eq!(ids(json!({ "config": { "User": user } })), ["XT-HEALTH"], "{user}");
        }
        let token = format!("--token={}_{}", "ghp", "a1".repeat(18));
        for (key, value) in [
            ("Labels", json!({ "x": token })),
            ("Cmd", json!(["app", token])),
            ("Entrypoint", json!([token])),
        ] {
            let mut config = json!({ "config": { "User": "1", "Healthcheck": { "Test": ["CMD", "x"] } } });
            config["config"][key] = value;
            assert_eq!(ids(config), ["XT-SECRET-CONFIG"], "{key}");
        }
        let env = json!({ "config": { "User": "1", "Healthcheck": { "Test": ["NONE"] },
            "Env": ["DB_PASSWORD=x", "TOKEN=", "PATH=/bin"] } });
        assert_eq!(ids(env), ["XT-HEALTH", "XT-SECRET-ENV"]);
    }
}
