//! What the sender of a request may do.

use super::authentication::{Authenticators, Denied, Refused};
use super::{Filter, Phase, Verdict};
use crate::exchange::{Exchange, Identity, Kind};
use crate::jose;
use crate::settings::{self, AccessRule, ClaimCondition};

/// The rules of one route. A request passes if one of them holds.
#[derive(Debug)]
pub struct Authorization {
    rules: Vec<AccessRule>,
    /// What a client without credentials is asked for.
    challenges: Option<String>,
}

impl Authorization {
    /// The filter of a route, if it has rules.
    pub fn compile(route: &settings::Route, known: &Authenticators) -> Option<Self> {
        let asked = route.authentication.as_ref();
        let challenges = asked.and_then(|authentication| known.challenges(&authentication.any));
        (!route.authorization.is_empty()).then(|| Self { rules: route.authorization.clone(), challenges })
    }
}

impl Filter for Authorization {
    fn name(&self) -> &'static str {
        "authorization"
    }

    fn phase(&self) -> Phase {
        Phase::Authorization
    }

    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        let identity = exchange.identity.as_deref();
        let address = exchange.client.parse().ok();
        let around = |rule: &AccessRule| {
            let method = rule.methods.is_empty() || rule.methods.contains(&exchange.request.method);
            let network = rule.client_networks.is_empty()
                || address
                    .is_some_and(|address| rule.client_networks.iter().any(|one| one.contains(address)));
            method && network
        };
        if self.rules.iter().any(|rule| around(rule) && holds(rule, identity)) {
            return Verdict::Continue;
        }
        // Who is not known may still be one who may.
        if identity.is_none() && self.rules.iter().any(|rule| around(rule) && rule.asks_identity()) {
            return Verdict::Refuse(Box::new(Refused::missing(self.challenges.clone())));
        }
        Verdict::Refuse(Box::new(Denied { by_token: identity.is_some_and(|one| one.kind == Kind::Jwt) }))
    }
}

/// Whether the sender is as the rule asks.
fn holds(rule: &AccessRule, identity: Option<&Identity>) -> bool {
    let Some(identity) = identity else { return !rule.asks_identity() };
    let listed =
        |list: &[String], own: &[String]| list.is_empty() || own.iter().any(|one| list.contains(one));
    let certificate = |pattern: &String| identity.names.iter().any(|name| fits(pattern, name));
    (rule.authenticators.is_empty() || rule.authenticators.contains(&identity.authenticator))
        && (rule.subjects.is_empty() || rule.subjects.contains(&identity.subject))
        && listed(&rule.groups, &identity.groups)
        && (rule.certificate_names.is_empty() || rule.certificate_names.iter().any(certificate))
        && rule.claims.iter().all(|condition| claim_holds(condition, identity))
}

fn claim_holds(condition: &ClaimCondition, identity: &Identity) -> bool {
    let own = jose::values(&identity.claims, &condition.claim);
    let has = |value: &String| own.iter().any(|one| one == value);
    if condition.all { condition.values.iter().all(has) } else { condition.values.iter().any(has) }
}

/// Whether a name fits a pattern, in which `*` at the begin or end stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.len() > end.len() && name.ends_with(end),
        (None, Some(begin)) => name.len() > begin.len() && name.starts_with(begin),
        (None, None) => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{fits, holds};
    use crate::exchange::{Identity, Kind};
    use crate::settings::{AccessRule, ClaimCondition};

    fn identity() -> Identity {
        let claims = json!({
            "scope": "read write", "roles": ["a", "b"], "n": 7, "admin": true, "deep": { "x/y": ["z"] }, "o": {}
        });
        Identity {
            groups: vec!["ci".to_owned()],
            names: vec!["spiffe://prod/api".to_owned(), "a.example".to_owned()],
            claims: claims.as_object().cloned().unwrap_or_default(),
            ..Identity::new(Kind::Jwt, "users", "u1".to_owned())
        }
    }

    #[test]
    fn rules_hold_where_every_condition_does() {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let claim = |claim: &str, values: &[&str], all| AccessRule {
            claims: vec![ClaimCondition { claim: claim.to_owned(), values: texts(values), all }],
            ..AccessRule::default()
        };
        let table = [
            (AccessRule::default(), true),
            (AccessRule { authenticators: texts(&["x", "users"]), ..AccessRule::default() }, true),
            (AccessRule { authenticators: texts(&["x"]), ..AccessRule::default() }, false),
            (AccessRule { subjects: texts(&["u1"]), ..AccessRule::default() }, true),
            (AccessRule { subjects: texts(&["u"]), ..AccessRule::default() }, false),
            (AccessRule { groups: texts(&["x", "ci"]), ..AccessRule::default() }, true),
            (AccessRule { groups: texts(&["x"]), ..AccessRule::default() }, false),
            (AccessRule { certificate_names: texts(&["spiffe://prod/*"]), ..AccessRule::default() }, true),
            (AccessRule { certificate_names: texts(&["spiffe://test/*"]), ..AccessRule::default() }, false),
            (AccessRule { subjects: texts(&["u1"]), groups: texts(&["x"]), ..AccessRule::default() }, false),
            (claim("scope", &["write"], true), true),
            (claim("scope", &["read write"], false), false),
            (claim("roles", &["b", "c"], false), true),
            (claim("roles", &["b", "c"], true), false),
            (claim("roles", &["b", "a"], true), true),
            (claim("n", &["7"], false), true),
            (claim("admin", &["true"], false), true),
            (claim("/deep/x~1y", &["z"], false), true),
            (claim("/deep/x", &["z"], false), false),
            (claim("/deep", &["z"], false), false),
            (claim("o", &[""], false), false),
            (claim("missing", &["x"], false), false),
            (claim("deep/x~1y", &["z"], false), false),
        ];
        for (rule, expected) in table {
            assert_eq!(holds(&rule, Some(&identity())), expected, "{rule:?}");
            assert_eq!(holds(&rule, None), !rule.asks_identity(), "{rule:?}");
        }
    }

    #[test]
    fn patterns_of_names() {
        let table = [
            ("a.example", "a.example", true),
            ("a.example", "b.a.example", false),
            ("*.example", "a.example", true),
            ("*.example", ".example", false),
            ("spiffe://prod/*", "spiffe://prod/a/b", true),
            ("spiffe://prod/*", "spiffe://prod", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
