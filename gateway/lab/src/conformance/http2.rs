//! Rows about HTTP/2: lists of fields in, and what the service must see; and scripts of frames.

use anyhow::{Result, bail, ensure};

use super::frames::{Client, Outcome};
use super::gateway::Gateway;
use super::request::Seen;
use super::service::Service;

/// What must become of a request.
#[derive(Clone, Debug)]
pub enum Want2 {
    /// The service sees it, and its answer comes back.
    Passes(Seen),
    /// It is malformed: its stream is reset, or answered with 400; nothing whole reaches the service.
    Malformed,
    /// It is answered with one of these without the service.
    Answered(&'static [u16]),
    /// It passes or is malformed.
    Either(Seen),
}

/// A request in fields.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub name: &'static str,
    pub rules: &'static [&'static str],
    fields: Vec<(String, String)>,
    data: Vec<Vec<u8>>,
    trailers: Vec<(String, String)>,
    want: Want2,
}

/// The pseudo-header fields of `GET /`.
const PSEUDO: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "t"), (":path", "/")];

fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// `GET /` with further fields.
pub fn get(
    name: &'static str,
    rules: &'static [&'static str],
    fields: &[(&str, &str)],
    want: Want2,
) -> Exchange {
    list(name, rules, &[&PSEUDO, fields].concat(), want)
}

/// Fields as given.
pub fn list(
    name: &'static str,
    rules: &'static [&'static str],
    fields: &[(&str, &str)],
    want: Want2,
) -> Exchange {
    Exchange { name, rules, fields: owned(fields), data: Vec::new(), trailers: Vec::new(), want }
}

/// A request with a method and a body in DATA frames.
pub fn send(
    name: &'static str,
    rules: &'static [&'static str],
    method: &str,
    fields: &[(&str, &str)],
    data: &[&str],
    want: Want2,
) -> Exchange {
    let mut all = PSEUDO.to_vec();
    all[0].1 = method;
    all.extend(fields);
    let mut exchange = list(name, rules, &all, want);
    exchange.data = data.iter().map(|data| data.as_bytes().to_vec()).collect();
    exchange
}

impl Exchange {
    /// With trailers behind the body.
    pub fn trailers(mut self, fields: &[(&str, &str)]) -> Self {
        self.trailers = owned(fields);
        self
    }

    /// Runs it.
    pub fn check(&self, gateway: &Gateway, service: &Service) -> Result<()> {
        let mut client = Client::open(gateway.plain)?;
        let borrowed = |fields: &'_ [(String, String)]| -> Vec<(String, String)> { fields.to_vec() };
        let fields = borrowed(&self.fields);
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let stream = client.stream();
        let ends = self.data.is_empty() && self.trailers.is_empty();
        client.headers(stream, &fields, ends);
        for (index, data) in self.data.iter().enumerate() {
            let last = index + 1 == self.data.len() && self.trailers.is_empty();
            client.frame(super::frames::DATA, u8::from(last), stream, data);
        }
        if !self.trailers.is_empty() {
            let trailers: Vec<(&str, &str)> =
                self.trailers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            client.headers(stream, &trailers, true);
        }
        let outcome = client.outcome(stream)?;
        let seen = service.seen();
        let whole = seen.iter().any(|seen| seen.as_ref().is_ok_and(|message| !message.cut));
        let malformed = match &outcome {
            Outcome::Reset(_) => true,
            Outcome::Response(answer) => answer.status == 400,
            Outcome::Goaway(_) | Outcome::Closed => false,
        };
        match (&self.want, &outcome) {
            (Want2::Malformed, _) => {
                ensure!(malformed, "{outcome:?}; the service saw {seen:?}");
                ensure!(!whole, "{outcome:?}, and the service saw {seen:?}");
            }
            // What the service saw before the fault came must be right by itself.
            (Want2::Either(want), _) if malformed => {
                for message in seen.iter().flatten().filter(|message| !message.cut) {
                    want.check(message)?;
                }
            }
            (Want2::Answered(statuses), Outcome::Response(answer)) if statuses.contains(&answer.status) => {
                ensure!(!whole, "the service saw {seen:?}");
            }
            (Want2::Passes(want) | Want2::Either(want), Outcome::Response(answer))
                if answer.status == 200 =>
            {
                match &seen[..] {
                    [Ok(message)] => want.check(message)?,
                    other => bail!("the service saw {other:?}"),
                }
            }
            _ => bail!("{outcome:?}, not {:?}", self.want),
        }
        client.alive()?;
        service.seen();
        Ok(())
    }
}
