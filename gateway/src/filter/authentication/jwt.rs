//! Signed tokens (RFC 7519).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use graviola::hashing::{Hash, Sha256};
use serde_json::Value;

use super::credential;
use super::failure::Refused;
use super::{Found, Method};
use crate::exchange::{Exchange, Identity, Kind};
use crate::jose::{KeySet, Lookup, Remote, Rules, Token, TokenError, Unsettled, client};
use crate::settings::Credential;

/// Where the keys are.
#[derive(Debug)]
pub enum Keys {
    /// Read from a file at the start.
    Fixed(KeySet),
    /// Fetched from a URL.
    Remote(Arc<Remote>),
}

/// Signed tokens of one issuer.
#[derive(Debug)]
pub struct Jwt {
    name: String,
    place: Credential,
    forward: bool,
    rules: Rules,
    keys: Keys,
    cached: usize,
    /// Its number among all that this process ever made: the name of its tokens in the caches.
    number: u64,
}

/// A token that was verified.
struct Verified {
    identity: Rc<Identity>,
    /// Seconds since 1970.
    until: f64,
    /// The keys that verified it.
    generation: u64,
}

/// The name of a token in a cache: its authenticator and its SHA-256.
type TokenId = (u64, [u8; 32]);

thread_local! {
    /// The verified tokens of one worker. Nothing is shared between workers, so nothing is locked.
    static VERIFIED: RefCell<HashMap<TokenId, Verified>> = RefCell::default();
}

/// What is known of a token.
enum Known {
    Identity(Rc<Identity>),
    Wrong(TokenError),
    /// Its key is unknown, or there are no keys.
    Unknown(Option<String>),
}

impl Jwt {
    /// Tokens under these rules.
    pub fn new(
        name: String,
        (place, forward): (Credential, bool),
        rules: Rules,
        keys: Keys,
        cached: usize,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { name, place, forward, rules, keys, cached, number }
    }

    /// Looks at a token with the keys that are there.
    fn look(&self, text: &[u8]) -> Known {
        let now = now();
        let id = (self.number, digest(text));
        let held = match &self.keys {
            Keys::Fixed(_) => None,
            Keys::Remote(remote) => remote.keys(),
        };
        let generation = held.as_ref().map_or(0, |held| held.generation);
        let current = |verified: &Verified| verified.generation == generation && now < verified.until;
        let cached = VERIFIED.with_borrow(|all| {
            all.get(&id).filter(|verified| current(verified)).map(|verified| Rc::clone(&verified.identity))
        });
        let set = match (&self.keys, &held) {
            (Keys::Fixed(set), _) => Some(set),
            (Keys::Remote(_), Some(held)) => Some(&held.keys),
            (Keys::Remote(_), None) => None,
        };
        if let Some(identity) = cached.filter(|_| set.is_some()) {
            return Known::Identity(identity);
        }
        let token = match Token::read(text, &self.rules.algorithms) {
            Ok(token) => token,
            Err(error) => return Known::Wrong(error),
        };
        let until = match self.rules.check(&token, now) {
            Ok(until) => until,
            Err(error) => return Known::Wrong(error),
        };
        let kid = token.kid.as_deref();
        match set.map(|set| set.verify(kid, token.algorithm, token.signed, &token.signature)) {
            Some(Lookup::Verified) => {}
            Some(Lookup::Wrong) => return Known::Wrong(TokenError::Signature),
            Some(Lookup::Unknown) | None => return Known::Unknown(token.kid),
        }
        let subject = token.claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut identity = Identity::new(Kind::Jwt, &self.name, subject);
        identity.claims = token.claims;
        let identity = Rc::new(identity);
        self.keep(id, Verified { identity: Rc::clone(&identity), until, generation }, now);
        Known::Identity(identity)
    }

    /// Remembers a token. Where there is no room, those that have expired go, then any.
    fn keep(&self, id: TokenId, verified: Verified, now: f64) {
        if self.cached == 0 {
            return;
        }
        VERIFIED.with_borrow_mut(|all| {
            if all.len() >= self.cached {
                all.retain(|_, known| now < known.until);
                if all.len() >= self.cached {
                    let half = all.len() / 2;
                    let mut number = 0;
                    all.retain(|_, _| {
                        number += 1;
                        number > half
                    });
                }
            }
            all.insert(id, verified);
        });
    }

    fn unsettled(&self, why: Unsettled) -> Found {
        let Keys::Remote(remote) = &self.keys else {
            return Found::Wrong(Refused::token(TokenError::UnknownKey));
        };
        let seconds = remote.settings().min_refresh_interval.as_secs_f64().ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and not negative")]
        let retry = Some((seconds as u64).max(1));
        let url = &remote.service().url;
        Found::Unsettled(match why {
            Unsettled::Failed => {
                Refused::unsettled("keys_not_fetched", retry, Some(format!("{url}: there are no keys")))
            }
            Unsettled::Crowded => {
                let detail = format!("{url}: too many requests wait for new keys");
                Refused::unsettled("keys_awaited", retry, Some(detail))
            }
        })
    }
}

impl Method for Jwt {
    fn find(self: Arc<Self>, exchange: &mut Exchange<'_>) -> Found {
        let token = match credential::find(exchange.request, &self.place) {
            None => return Found::Absent,
            Some(Err(())) => return Found::Wrong(Refused::token(TokenError::Malformed)),
            Some(Ok(token)) => token,
        };
        let kid = match self.look(&token) {
            Known::Identity(identity) => return Found::Known(identity),
            Known::Wrong(error) => return Found::Wrong(Refused::token(error)),
            Known::Unknown(kid) => kid,
        };
        let Keys::Remote(remote) = &self.keys else {
            return Found::Wrong(Refused::token(TokenError::UnknownKey));
        };
        let (token, wanted) = (token.into_owned(), kid);
        let renewed = remote.renewed(client(&exchange.client), move |keys| {
            wanted.as_deref().is_none_or(|kid| keys.names(kid))
        });
        Found::Wait(Box::pin(async move {
            let renewed = renewed.await;
            Box::new(move |_: &mut Exchange<'_>| match (self.look(&token), renewed) {
                (Known::Identity(identity), _) => Found::Known(identity),
                (Known::Wrong(error), _) => Found::Wrong(Refused::token(error)),
                (Known::Unknown(_), Ok(())) => Found::Wrong(Refused::token(TokenError::UnknownKey)),
                (Known::Unknown(_), Err(why)) => self.unsettled(why),
            }) as super::ResumeMethod
        }))
    }

    fn challenge(&self) -> Option<&str> {
        Some("Bearer")
    }

    fn strip(&self, exchange: &mut Exchange<'_>) {
        if !self.forward {
            credential::strip(exchange.request, &self.place);
        }
    }
}

fn digest(text: &[u8]) -> [u8; 32] {
    Sha256::hash(text).as_ref().try_into().unwrap_or_default()
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
