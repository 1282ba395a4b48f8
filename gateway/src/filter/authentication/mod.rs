//! Who sent a request: found by the first authenticator of the route that knows.
//!
//! Every way of proving it is one file here. An authenticator that finds no credential of its kind
//! leaves the request to the next one; so does one that refuses what it finds. If none of them knows the
//! sender, the request is refused: with 503 if one could not decide, otherwise with 401.

mod api_key;
mod basic;
mod certificate;
mod credential;
mod failure;
mod forward_auth;
mod jwt;
mod load;
mod password;
mod passwords;
mod users;

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use super::{Answer, Filter, Phase, Resume, Verdict};
use crate::exchange::{Exchange, Identity};
use crate::http::fields::Fields;
use crate::settings;
pub use failure::{Denied, Refused};
pub use load::{Authenticators, hash_key};
pub use password::hash_password;

/// What an authenticator finds out about a request.
enum Found {
    /// There is no credential of its kind.
    Absent,
    /// It knows who sent the request.
    Known(Rc<Identity>),
    /// It knows, and the upstream gets these fields too.
    KnownWith(Rc<Identity>, Fields),
    /// The credential is wrong.
    Wrong(Refused),
    /// It cannot decide.
    Unsettled(Refused),
    /// A service answers the client in its place.
    Answer(Box<Answer>),
    /// It has to wait.
    Wait(Pin<Box<dyn Future<Output = ResumeMethod>>>),
}

/// What an authenticator finds out once it has waited.
type ResumeMethod = Box<dyn FnOnce(&mut Exchange<'_>) -> Found>;

/// One way in which clients prove who they are.
trait Method: std::fmt::Debug + Send + Sync {
    /// Looks at a request.
    fn find(self: Arc<Self>, exchange: &mut Exchange<'_>) -> Found;

    /// What a client without a credential is asked for (RFC 9110 section 11.6.1).
    fn challenge(&self) -> Option<&str>;

    /// Removes the credential before the request is forwarded.
    fn strip(&self, exchange: &mut Exchange<'_>) {
        let _ = exchange;
    }
}

/// An authenticator of the settings, ready for use; shared by all workers.
#[derive(Debug, Clone)]
pub struct Authenticator {
    method: Arc<dyn Method>,
    /// Fields of the forwarded request, and the claim in each.
    headers: Vec<(String, String)>,
}

/// The authenticators of one route.
#[derive(Debug)]
pub struct Authentication(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    methods: Vec<Authenticator>,
    optional: bool,
    /// What a client without credentials is asked for.
    challenges: Option<String>,
}

/// What was found by the authenticators that do not know the sender.
#[derive(Default)]
struct Seen {
    wrong: Option<Refused>,
    unsettled: Option<Refused>,
    answer: Option<Box<Answer>>,
}

impl Authentication {
    /// The filter of a route, if it asks who sends a request.
    pub fn compile(route: &settings::Route, known: &Authenticators) -> Option<Self> {
        let settings = route.authentication.as_ref()?;
        let methods = settings.any.iter().filter_map(|name| known.get(name).cloned()).collect();
        let challenges = known.challenges(&settings.any);
        Some(Self(Arc::new(Inner { methods, optional: settings.optional, challenges })))
    }
}

impl Filter for Authentication {
    fn name(&self) -> &'static str {
        "authentication"
    }

    fn phase(&self) -> Phase {
        Phase::Authentication
    }

    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        Inner::ask(&self.0, exchange, 0, Seen::default())
    }
}

impl Inner {
    /// Asks the authenticators from this number on.
    fn ask(this: &Arc<Self>, exchange: &mut Exchange<'_>, from: usize, seen: Seen) -> Verdict {
        match this.methods.get(from) {
            None => this.refuse(seen),
            Some(authenticator) => {
                let found = Arc::clone(&authenticator.method).find(exchange);
                Self::take(this, exchange, from, seen, found)
            }
        }
    }

    fn take(
        this: &Arc<Self>,
        exchange: &mut Exchange<'_>,
        number: usize,
        mut seen: Seen,
        found: Found,
    ) -> Verdict {
        match found {
            Found::Known(identity) => return this.admit(exchange, number, identity, None),
            Found::KnownWith(identity, fields) => {
                return this.admit(exchange, number, identity, Some(fields));
            }
            Found::Absent => {}
            Found::Wrong(refused) => seen.wrong = seen.wrong.or(Some(refused)),
            Found::Unsettled(refused) => seen.unsettled = seen.unsettled.or(Some(refused)),
            Found::Answer(answer) => seen.answer = seen.answer.or(Some(answer)),
            Found::Wait(wait) => {
                let this = Arc::clone(this);
                return Verdict::Wait(Box::pin(async move {
                    let resume = wait.await;
                    Box::new(move |exchange: &mut Exchange<'_>| {
                        let found = resume(exchange);
                        Self::take(&this, exchange, number, seen, found)
                    }) as Resume
                }));
            }
        }
        Self::ask(this, exchange, number + 1, seen)
    }

    fn admit(
        &self,
        exchange: &mut Exchange<'_>,
        number: usize,
        identity: Rc<Identity>,
        fields: Option<Fields>,
    ) -> Verdict {
        for authenticator in &self.methods {
            authenticator.method.strip(exchange);
        }
        if let Some(fields) = fields {
            for field in fields.iter() {
                exchange.request.fields.push(field.name, field.value);
            }
        }
        let headers = self.methods.get(number).map(|authenticator| &authenticator.headers);
        for (name, claim) in headers.into_iter().flatten() {
            if let Some(value) = identity_value(&identity, claim) {
                exchange.request.fields.push(name.as_bytes(), value.as_bytes());
            }
        }
        exchange.identity = Some(identity);
        Verdict::Continue
    }

    fn refuse(&self, seen: Seen) -> Verdict {
        let challenges = || self.challenges.clone();
        match (seen.unsettled, seen.answer, seen.wrong) {
            (Some(refused), ..) => Verdict::Refuse(Box::new(refused)),
            (None, Some(answer), _) => Verdict::Answer(*answer),
            (None, None, Some(refused)) => Verdict::Refuse(Box::new(refused.or_challenge(challenges))),
            (None, None, None) if self.optional => Verdict::Continue,
            (None, None, None) => Verdict::Refuse(Box::new(Refused::missing(challenges()))),
        }
    }
}

/// The text of a claim for a field: the subject, or the values of the claim of a token with commas.
/// Nothing if there is none, or it cannot stand in a field.
fn identity_value(identity: &Identity, claim: &str) -> Option<String> {
    let value = match claim {
        "sub" => identity.subject.clone(),
        "groups" if !identity.groups.is_empty() => identity.groups.join(","),
        _ => crate::jose::values(&identity.claims, claim).join(","),
    };
    let fits = !value.is_empty() && value.bytes().all(crate::http::token::is_field_value);
    fits.then(|| crate::http::token::trim_ows(value.as_bytes()).to_vec())
        .and_then(|value| String::from_utf8(value).ok())
}

/// Removes the fields that only authenticators may set, on every route that is forwarded: a service
/// that believes them must not get them from a client.
#[derive(Debug)]
pub struct IdentityFields(Vec<String>);

impl IdentityFields {
    /// The filter of a route, if any authenticator sets fields.
    pub fn compile(known: &Authenticators) -> Option<Self> {
        let names = known.fields();
        (!names.is_empty()).then(|| Self(names.to_vec()))
    }
}

impl Filter for IdentityFields {
    fn name(&self) -> &'static str {
        "identity_fields"
    }

    fn phase(&self) -> Phase {
        Phase::Authentication
    }

    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        // Servers behind CGI read `_` as `-`.
        let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        let same = |one: &[u8], other: &[u8]| {
            one.len() == other.len() && one.iter().map(fold).eq(other.iter().map(fold))
        };
        let set = |name: &[u8]| self.0.iter().any(|own| same(own.as_bytes(), name));
        if exchange.request.fields.iter().any(|field| set(field.name)) {
            exchange.request.fields.retain(|field| !set(field.name));
        }
        Verdict::Continue
    }
}
