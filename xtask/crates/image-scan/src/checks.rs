//! How an image is set up: what makes an attack worse, or an outage longer.

use serde_json::Value;

use super::builtin::NAME;
use super::finding::{Finding, FindingKind};
use super::inventory::Inventory;
use super::rootfs::Content;
use super::secrets;
use rust_workspace::severity::Severity;

/// Names of variables whose value is seldom for everybody.
const SECRET_NAMES: [&str; 6] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "PRIVATE_KEY"];

/// The rule about a missing health check.
pub const HEALTH: &str = "XT-HEALTH";

const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const WRITABLE_BY_ALL: u32 = 0o002;

/// Everything that is wrong with the set-up.
pub fn findings(inventory: &Inventory) -> Vec<Finding> {
    let mut all = config(&inventory.image.config);
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

fn config(config: &Value) -> Vec<Finding> {
    let get = |key: &str| config.pointer(&format!("/config/{key}"));
    let mut all = Vec::new();
    let user = get("User").and_then(Value::as_str).unwrap_or_default();
    let name = user.split(':').next().unwrap_or_default();
    if ["", "root"].contains(&name) || name.bytes().all(|byte| byte == b'0') {
        all.push(found(FindingKind::Config, "XT-ROOT", Severity::High, "User", "the container runs as root"));
    } else if !is_user_id(name) {
        // What /etc/passwd of the image says of a name, and what an engine makes of another notation,
        // may be root.
        let note = "who this is shows only when it runs, and it may be root: a number from 1 to 4294967295 is wanted";
        all.push(found(FindingKind::Config, "XT-ROOT", Severity::High, "User", note));
    }
    if !has_health_check(config) {
        let note = "Docker cannot tell whether the service still answers";
        all.push(found(FindingKind::Config, HEALTH, Severity::Low, "Healthcheck", note));
    }
    for entry in get("Env").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        let upper = name.to_ascii_uppercase();
        let by_name = !value.is_empty() && SECRET_NAMES.iter().any(|secret| upper.ends_with(secret));
        if by_name || !secrets::in_text(value.as_bytes()).is_empty() {
            let note = "an environment variable of the image holds what looks like a secret";
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

/// Whether an image's config has a health check that is not turned off.
pub fn has_health_check(config: &Value) -> bool {
    let check = config.pointer("/config/Healthcheck/Test").and_then(Value::as_array);
    check.is_some_and(|check| check.first().is_some_and(|word| word != "NONE"))
}

/// Whether this is a user's number as every engine reads it, and not root's.
fn is_user_id(name: &str) -> bool {
    let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    digits && name.parse::<u32>().is_ok_and(|number| number > 0)
}

/// The texts of the config that may hold a secret, by where they stand; variables are looked at apart.
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
        let folder = matches!(node.kind, super::layer::EntryKind::Folder);
        let link = matches!(node.kind, super::layer::EntryKind::Symlink(_));
        if !folder && !link && node.mode & (SET_USER_ID | SET_GROUP_ID) != 0 {
            // Distributions ship a dozen, which a user without privileges can call but seldom abuse.
            let severity = if bare { Severity::High } else { Severity::Low };
            let note = "whoever starts it gets its owner's rights";
            all.push(Finding {
                place: path.clone(),
                ..found(FindingKind::Config, "XT-SETUID", severity, &path, note)
            });
        }
        let open = node.mode & WRITABLE_BY_ALL != 0 && !link;
        if open && !(folder && node.mode & STICKY != 0) && !path.starts_with("/dev/") {
            let severity = if node.executable() && !folder { Severity::High } else { Severity::Medium };
            let note = "anybody in the container may change it";
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
        // Of a file with another meaning the secrets stand here, also where nothing hides it.
        let content = inventory.rootfs.nodes.get(path).map(|node| &node.content);
        let seen = matches!(content, Some(Content::Packages(_) | Content::Release(_) | Content::Listed(_)));
        let path = format!("/{path}");
        for kind in kinds {
            let note = if seen {
                (*kind).to_owned()
            } else {
                format!("{kind}, hidden by an upper layer and still in the image")
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
    use serde_json::json;

    #[test]
    fn what_a_config_gives_away() {
        let ids = |value: Value| config(&value).into_iter().map(|finding| finding.id).collect::<Vec<_>>();
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
