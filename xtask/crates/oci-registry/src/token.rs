//! Bearer tokens: requests to a token service, its answers, their lifetime.
//!
//! The forms are those of Docker's token service, which the distribution-spec points to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use ureq::http::Uri;

use super::auth::Credential;
use super::refusal::Action;
use super::secret::Secret;
use super::{base64, url};

/// The default lifetime of a token.
const DEFAULT_LIFE: Duration = Duration::from_mins(1);
/// The maximum lifetime of a token.
const MAX_LIFETIME: Duration = Duration::from_hours(24);
/// How much earlier than it must a token is renewed: a request takes its time, and clocks differ.
const MARGIN: Duration = Duration::from_secs(10);

/// A right on a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) repository: String,
    pub(super) action: Action,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions = match self.action {
            Action::Pull => "pull",
            Action::Push => "pull,push",
            Action::Delete => "pull,push,delete",
        };
        write!(f, "repository:{}:{actions}", self.repository)
    }
}

/// A token and when it is to be renewed.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) value: Secret,
    pub(super) until: Instant,
}

/// The request to a token service.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) url: Uri,
    /// User and password for the `Authorization` header.
    pub(super) basic: Option<Secret>,
    /// The form of a POST; a GET without one.
    pub(super) form: Option<Secret>,
}

/// The request for a token: a GET with user and password, or a POST with a refresh token (RFC 6749,
/// section 6). None where `realm` is no URL.
pub(super) fn order(
    realm: &Uri,
    service: Option<&str>,
    scopes: &[Scope],
    credential: Option<&Credential>,
) -> Option<Order> {
    let scopes: Vec<_> = scopes.iter().map(ToString::to_string).collect();
    let service = service.unwrap_or_default();
    if let Some(Credential::Identity(refresh)) = credential {
        let form = format!(
            "grant_type=refresh_token&service={}&client_id=xtask&scope={}&refresh_token={}",
            url::encode(service),
            url::encode(&scopes.join(" ")),
            url::encode(refresh.expose()),
        );
        return Some(Order { url: realm.clone(), basic: None, form: Some(Secret::new(form)) });
    }
    let mut params = Vec::new();
    if !service.is_empty() {
        params.push(("service", service));
    }
    params.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
    let basic = match credential {
        Some(Credential::Basic { user, secret }) => Some(basic(user, secret)),
        _ => None,
    };
    Some(Order { url: url::with_query(realm, &params)?, basic, form: None })
}

/// The same for a token service that does not answer GET: a POST with user and password (RFC 6749, section
/// 4.3). None without them.
pub(super) fn order_by_password(
    realm: &Uri,
    service: Option<&str>,
    scopes: &[Scope],
    credential: Option<&Credential>,
) -> Option<Order> {
    let Some(Credential::Basic { user, secret }) = credential else { return None };
    let scopes: Vec<_> = scopes.iter().map(ToString::to_string).collect();
    let form = format!(
        "grant_type=password&service={}&client_id=xtask&scope={}&username={}&password={}",
        url::encode(service.unwrap_or_default()),
        url::encode(&scopes.join(" ")),
        url::encode(user),
        url::encode(secret.expose()),
    );
    Some(Order { url: realm.clone(), basic: None, form: Some(Secret::new(form)) })
}

/// The value of an `Authorization` header with a user and a password (RFC 7617).
pub(super) fn basic(user: &str, secret: &Secret) -> Secret {
    Secret::new(format!("Basic {}", base64::encode(format!("{user}:{}", secret.expose()).as_bytes())))
}

#[derive(Deserialize)]
struct Reply {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<Value>,
}

/// The token in a token service's answer, received at `now`.
pub(super) fn read(body: &[u8], now: Instant) -> Option<Token> {
    let reply: Reply = serde_json::from_slice(body).ok()?;
    let filled = |value: Option<String>| value.filter(|value| !value.is_empty());
    let value = Secret::new(filled(reply.token).or(filled(reply.access_token))?);
    let seconds = reply.expires_in.as_ref().and_then(Value::as_f64).filter(|seconds| *seconds > 0.0);
    let life = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(DEFAULT_LIFE);
    let life = life.min(MAX_LIFETIME);
    Some(Token { value, until: now + life.saturating_sub(MARGIN.min(life / 2)) })
}

/// The actions that a token grants on a repository, if it is a JWT with the claim `access`.
pub(super) fn granted(token: &str, repository: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Claims {
        access: Vec<Access>,
    }
    #[derive(Deserialize)]
    struct Access {
        #[serde(default)]
        name: String,
        #[serde(default)]
        actions: Vec<String>,
    }
    let payload = base64::decode(token.split('.').nth(1)?)?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    let mine = claims.access.into_iter().filter(|access| access.name == repository);
    Some(mine.flat_map(|access| access.actions).collect())
}

/// Valid tokens by realm, service and scopes.
#[derive(Debug, Default)]
pub(super) struct Cache(BTreeMap<String, Token>);

impl Cache {
    /// The token for this realm, service and these scopes, unless it is to be renewed.
    pub(super) fn get(&self, key: &str, now: Instant) -> Option<&Token> {
        self.0.get(key).filter(|token| now < token.until)
    }

    pub(super) fn put(&mut self, key: String, token: Token) {
        self.0.insert(key, token);
    }

    /// Forgets a token that was refused.
    pub(super) fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(repository: &str, action: Action) -> Scope {
        Scope { repository: repository.into(), action }
    }

    #[test]
    fn an_order_is_a_get_with_a_password_or_a_post_with_a_refresh_token() {
        let realm = url::parse("https://auth.example/token?account=a").unwrap();
        let scopes = [scope("o/a", Action::Push), scope("o/b", Action::Pull)];
        let user = Credential::Basic { user: "u".into(), secret: Secret::new("p") };
        let get = order(&realm, Some("r.io"), &scopes, Some(&user)).unwrap();
        assert_eq!(
            get.url.to_string(),
            "https://auth.example/token?account=a&service=r.io&scope=repository:o/a:pull%2Cpush&scope=repository:o/b:pull"
        );
        assert_eq!(get.basic.unwrap().expose(), "Basic dTpw");
        assert!(get.form.is_none());

        let refresh = Credential::Identity(Secret::new("a+b"));
        let post = order(&realm, Some("r.io"), &scopes, Some(&refresh)).unwrap();
        assert_eq!(post.url, realm);
        assert!(post.basic.is_none());
        assert_eq!(
            post.form.unwrap().expose(),
            "grant_type=refresh_token&service=r.io&client_id=xtask&scope=repository:o/a:pull%2Cpush%20repository:o/b:pull&refresh_token=a%2Bb"
        );

        let anonymous = order(&realm, None, &scopes[1..], None).unwrap();
        assert_eq!(anonymous.url.query(), Some("account=a&scope=repository:o/b:pull"));
        assert!(anonymous.basic.is_none());
    }

    #[test]
    fn an_answer_is_renewed_a_little_before_its_end() {
        let now = Instant::now();
        let cases = [
            (r#"{"token":"t"}"#, Some(("t", 50))),
            (r#"{"access_token":"a","expires_in":300}"#, Some(("a", 290))),
            (r#"{"token":"","access_token":"a","expires_in":8}"#, Some(("a", 4))),
            (r#"{"token":"t","access_token":"a","expires_in":"300"}"#, Some(("t", 50))),
            (r#"{"token":"t","expires_in":-5}"#, Some(("t", 50))),
            (r#"{"token":"t","expires_in":1e300}"#, Some(("t", 50))),
            (r#"{"token":"t","expires_in":1e9}"#, Some(("t", 86_390))),
            (r#"{"expires_in":300}"#, None),
            ("<html>", None),
        ];
        for (body, expected) in cases {
            let token = read(body.as_bytes(), now);
            let seen = token.as_ref().map(|token| (token.value.expose(), (token.until - now).as_secs()));
            assert_eq!(seen, expected, "{body}");
        }
    }

    #[test]
    fn grants_are_read_from_a_jwt_and_not_from_opaque_tokens() {
        let jwt =
            |claims: &str| format!("e30.{}.sig", base64::encode(claims.as_bytes()).trim_end_matches('='));
        let access =
            r#"{"access":[{"type":"repository","name":"o/a","actions":["pull","push"]},{"name":"o/b"}]}"#;
        assert_eq!(granted(&jwt(access), "o/a"), Some(vec!["pull".into(), "push".into()]));
        assert_eq!(granted(&jwt(access), "o/b"), Some(Vec::new()));
        for opaque in ["djE6b3duZXI6", "a.b.c", "", ".", &jwt("{}")] {
            assert_eq!(granted(opaque, "o/a"), None, "{opaque}");
        }
    }

    #[test]
    fn a_token_is_reused_until_renewal_or_refusal() {
        let now = Instant::now();
        let mut cache = Cache::default();
        cache.put("k".into(), read(br#"{"token":"t"}"#, now).unwrap());
        assert!(cache.get("k", now + Duration::from_secs(49)).is_some());
        assert!(cache.get("k", now + Duration::from_secs(50)).is_none());
        assert!(cache.get("other", now).is_none());
        cache.forget("k");
        assert!(cache.get("k", now).is_none());
    }
}
