//! GitHub's REST API for packages, as its documentation has it ("Packages", version 2022-11-28).

use serde_json::{Value, json};

use super::http::{Answer, Asked};
use super::{Habit, Shared};

impl Shared {
    /// The answer to a request of this API; none where it is none, or the API is not there.
    pub(super) fn packages(&self, asked: &Asked) -> Option<Answer> {
        let (organisation, scopes) =
            habit!(self, Habit::Packages { organisation, scopes } => (organisation, scopes))?;
        let parts: Vec<_> = asked.path.trim_start_matches('/').split('/').collect();
        let (kind, owner, rest) = match &parts[..] {
            [kind @ ("orgs" | "users"), owner, "packages", "container", rest @ ..] => (*kind, *owner, rest),
            _ => return None,
        };
        let error = |status: u16, message: &str| {
            let body = json!({ "message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string() });
            Some(Answer::new(status).with("X-OAuth-Scopes", scopes).json(&body.to_string()))
        };
        if asked.header("authorization") != "Bearer hunter2-password" {
            return error(401, "Bad credentials");
        }
        if asked.header("accept") != "application/vnd.github+json" || asked.header("user-agent").is_empty() {
            return error(400, "the headers of the documentation are wanted");
        }
        let has = |scope: &str| scopes.split(", ").any(|one| one == scope);
        if !has("read:packages") && !has("delete:packages") {
            return error(403, "You need at least read:packages scope to list package versions.");
        }
        if (kind == "orgs") != organisation {
            return error(404, "Not Found");
        }
        let (name, rest) = rest.split_first()?;
        let repository = format!("{owner}/{}", name.replace("%2F", "/"));
        let versions: Vec<_> = self.with_manifests(&repository);
        match (asked.method.as_str(), rest) {
            ("GET", ["versions"]) => {
                let number = |key: &str, usual: usize| {
                    asked.query.get(key).and_then(|text| text.parse().ok()).unwrap_or(usual)
                };
                let (page, each) = (number("page", 1), number("per_page", 30).min(100));
                let shown = versions.iter().skip((page - 1) * each).take(each);
                let shown: Vec<Value> = shown
                    .map(|(id, digest, tags)| {
                        json!({ "id": id, "name": digest, "metadata": { "package_type": "container", "container": { "tags": tags } } })
                    })
                    .collect();
                Some(Answer::new(200).with("X-OAuth-Scopes", scopes).json(&Value::from(shown).to_string()))
            }
            ("DELETE", ["versions", id]) => {
                if !has("delete:packages") {
                    return error(403, "You need at least delete:packages scope to delete package versions.");
                }
                let Some((_, digest, _)) = versions.iter().find(|(known, _, _)| known.to_string() == **id)
                else {
                    return error(404, "Package not found.");
                };
                self.forget(&repository, digest);
                Some(Answer::new(204))
            }
            _ => error(404, "Not Found"),
        }
    }

    /// Id, digest and tags of each version, the newest first.
    fn with_manifests(&self, repository: &str) -> Vec<(u64, String, Vec<String>)> {
        let state = self.state();
        let Some(known) = state.repositories.get(repository) else { return Vec::new() };
        let tags_of = |digest: &str| {
            known.tags.iter().filter(|(_, own)| *own == digest).map(|(tag, _)| tag.clone()).collect()
        };
        // An id that lasts: of the digest's first digits.
        let id = |digest: &str| u64::from_str_radix(&digest[7..17], 16).unwrap_or(0);
        known
            .manifests
            .iter()
            .rev()
            .map(|(digest, _, _)| (id(digest), digest.clone(), tags_of(digest)))
            .collect()
    }

    fn forget(&self, repository: &str, digest: &str) {
        if let Some(known) = self.state().repositories.get_mut(repository) {
            known.remove(digest);
        }
    }
}
