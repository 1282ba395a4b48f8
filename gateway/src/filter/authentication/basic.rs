//! Names and passwords (RFC 7617).

use std::rc::Rc;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::credential;
use super::failure::Refused;
use super::passwords::{Busy, Passwords};
use super::{Found, Method, ResumeMethod};
use crate::exchange::{Exchange, Identity, Kind};

const MALFORMED: Refused = Refused::wrong("basic_malformed", "The name and the password are malformed.");
const WRONG: Refused = Refused::wrong("password_wrong", "The name or the password is wrong.");

/// Names and passwords.
#[derive(Debug)]
pub struct Basic {
    name: String,
    challenge: String,
    forward: bool,
    pub(super) passwords: Arc<Passwords>,
}

impl Basic {
    /// Users of a realm, which holds neither quotes nor backslashes.
    pub fn new(name: String, realm: &str, forward: bool, passwords: Arc<Passwords>) -> Self {
        Self { name, challenge: format!("Basic realm=\"{realm}\", charset=\"UTF-8\""), forward, passwords }
    }

    fn judge(&self, name: &str, checked: Result<bool, Busy>) -> Found {
        match (checked, self.passwords.user(name)) {
            (Ok(true), Some(user)) => {
                let mut identity = Identity::new(Kind::Basic, &self.name, user.name.clone());
                identity.groups.clone_from(&user.groups);
                Found::Known(Rc::new(identity))
            }
            (Ok(_), _) => Found::Wrong(WRONG),
            (Err(Busy), _) => Found::Unsettled(Refused::unsettled("passwords_waiting", Some(1), None)),
        }
    }
}

/// Reads the base64 of `NAME:PASSWORD`. Neither holds control characters (RFC 7617 section 2).
fn read(credentials: &[u8]) -> Option<(String, Vec<u8>)> {
    let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    let is_good = !decoded.chars().any(char::is_control);
    is_good.then(|| (name.to_owned(), password.as_bytes().to_vec()))
}

impl Method for Basic {
    fn find(self: Arc<Self>, exchange: &mut Exchange<'_>) -> Found {
        let Some(found) = credential::of_scheme(exchange.request, b"basic") else { return Found::Absent };
        let Some((name, password)) = found.ok().and_then(read) else { return Found::Wrong(MALFORMED) };
        if let Some(known) = self.passwords.recall(&name, &password) {
            return self.judge(&name, Ok(known));
        }
        Found::Wait(Box::pin(async move {
            let checked = Arc::clone(&self.passwords).check(name.clone(), password).await;
            Box::new(move |_: &mut Exchange<'_>| self.judge(&name, checked)) as ResumeMethod
        }))
    }

    fn challenge(&self) -> Option<&str> {
        Some(&self.challenge)
    }

    fn strip(&self, exchange: &mut Exchange<'_>) {
        if !self.forward {
            credential::strip_scheme(exchange.request, b"basic");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn credentials_are_read() {
        let table = [
            ("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some(("Aladdin", "open sesame"))),
            // With a colon in the password, and in UTF-8 (RFC 7617 section 2.1).
            ("YTpiOmM=", Some(("a", "b:c"))),
            ("dGVzdDoxMjPCow==", Some(("test", "123£"))),
            ("Og==", Some(("", ""))),
            ("dGVzdDoxMjOj", None),
            ("YWI=", None),
            ("YTpiCg==", None),
            ("QWxhZGRpbjpvcGVuIHNlc2FtZQ", None),
            ("a:b", None),
            ("", None),
        ];
        for (text, expected) in table {
            let found = read(text.as_bytes());
            let expected = expected.map(|(name, password)| (name.to_owned(), password.as_bytes().to_vec()));
            assert_eq!(found, expected, "{text}");
        }
    }
}
