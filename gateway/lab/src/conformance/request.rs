//! Rows about requests over HTTP/1: bytes in, and what the service must see.

use anyhow::{Result, bail, ensure};

use super::gateway::Gateway;
use super::message::{Framing, Message, Wire, values};
use super::service::Service;

/// What the service must see of a request.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    line: Option<String>,
    has: Vec<(&'static str, Vec<String>)>,
    some: Vec<&'static str>,
    lacks: Vec<&'static str>,
    body: Option<Vec<u8>>,
    framing: Option<Framing>,
    trailer: Option<(&'static str, Option<&'static str>)>,
}

/// What must become of a request.
#[derive(Clone, Debug)]
pub enum Want {
    /// It is answered with one of these and the connection is closed; nothing of it reaches the service, nor
    /// what follows it on the connection.
    Refused(&'static [u16]),
    /// The gateway answers for itself with one of these; the connection may go on.
    Answered(&'static [u16]),
    /// The service sees it, and its answer comes back.
    Passes(Seen),
    /// One or the other.
    Either(&'static [u16], Seen),
}

/// A row.
#[derive(Clone, Debug)]
pub struct Request {
    pub name: &'static str,
    /// Number of the RFC and section, such as `9112 6.3`.
    pub rules: &'static [&'static str],
    pub bytes: Vec<u8>,
    pub want: Want,
    /// Whether the connection must end after the answer.
    closes: bool,
    /// Whether the service may see a part of what is refused.
    may_begin: bool,
    /// Whether the connection may end after the answer.
    may_close: bool,
}

/// A request that must be refused.
pub fn refused(
    name: &'static str,
    rules: &'static [&'static str],
    bytes: impl Into<Vec<u8>>,
    statuses: &'static [u16],
) -> Request {
    Request {
        name,
        rules,
        bytes: bytes.into(),
        want: Want::Refused(statuses),
        closes: true,
        may_begin: false,
        may_close: false,
    }
}

/// A request that the gateway answers for itself.
pub fn answered(
    name: &'static str,
    rules: &'static [&'static str],
    bytes: impl Into<Vec<u8>>,
    statuses: &'static [u16],
) -> Request {
    Request {
        name,
        rules,
        bytes: bytes.into(),
        want: Want::Answered(statuses),
        closes: false,
        may_begin: false,
        may_close: false,
    }
}

/// A request that must pass.
pub fn passes(name: &'static str, rules: &'static [&'static str], bytes: impl Into<Vec<u8>>) -> Request {
    Request {
        name,
        rules,
        bytes: bytes.into(),
        want: Want::Passes(Seen::default()),
        closes: false,
        may_begin: false,
        may_close: false,
    }
}

impl Request {
    fn seen(mut self, change: impl FnOnce(Seen) -> Seen) -> Self {
        if let Want::Passes(seen) | Want::Either(_, seen) = &mut self.want {
            *seen = change(std::mem::take(seen));
        }
        self
    }

    /// The service sees this request line.
    pub fn line(self, line: &str) -> Self {
        self.seen(|seen| seen.line(line))
    }

    /// The service sees this field once, with exactly this value.
    pub fn has(self, name: &'static str, value: impl Into<String>) -> Self {
        self.seen(|seen| seen.has(name, value))
    }

    /// The service sees this field so often, with these values in this order.
    pub fn has_all(self, name: &'static str, values: &[&str]) -> Self {
        self.seen(|seen| seen.has_all(name, values))
    }

    /// The service sees this field, whatever its value.
    pub fn some(self, name: &'static str) -> Self {
        self.seen(|seen| seen.some(name))
    }

    /// The service does not see this field.
    pub fn lacks(self, name: &'static str) -> Self {
        self.seen(|seen| seen.lacks(name))
    }

    /// The service sees this body.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        self.seen(|seen| seen.body(body))
    }

    /// The service sees the body's end told so.
    pub fn framing(self, framing: Framing) -> Self {
        self.seen(|seen| seen.framing(framing))
    }

    /// The service sees this trailer, or none of that name.
    pub fn trailer(self, name: &'static str, value: Option<&'static str>) -> Self {
        self.seen(|seen| seen.trailer(name, value))
    }

    /// The service may see the beginning of it, never a whole message.
    pub fn may_begin(mut self) -> Self {
        self.may_begin = true;
        self
    }

    /// Being refused with one of these is as good.
    pub fn or(mut self, statuses: &'static [u16]) -> Self {
        if let Want::Passes(seen) = self.want {
            self.want = Want::Either(statuses, seen);
        }
        self
    }

    /// The connection may end after the answer.
    pub fn may_close(mut self) -> Self {
        self.may_close = true;
        self
    }

    /// The connection must end after the answer.
    pub fn closes(mut self) -> Self {
        self.closes = true;
        self
    }

    fn method(&self) -> &str {
        let line = self.bytes.split(|&byte| byte == b' ').next().unwrap_or_default();
        std::str::from_utf8(line).unwrap_or_default().trim_start()
    }

    /// Runs it; an error says what was wrong.
    pub fn check(&self, gateway: &Gateway, service: &Service) -> Result<()> {
        let mut wire = Wire::connect(gateway.plain)?;
        // A second request behind it: it must be answered on its own, or not at all.
        wire.send(
            &[&self.bytes[..], b"GET /behind HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"].concat(),
        );
        let mut response = wire.response(self.method())?;
        while response.as_ref().is_some_and(|response| matches!(response.status(), 100 | 102..200)) {
            response = wire.response(self.method())?;
        }
        let Some(response) = response else { bail!("closed without an answer") };
        let status = response.status();
        let after = if self.closes { None } else { behind(&mut wire)? };
        if self.closes {
            let rest = wire.rest()?;
            ensure!(rest.is_empty(), "after {status}: {}", rest.escape_ascii());
        }
        let seen = service.seen();
        let first = seen.iter().find(|seen| !is_behind(seen));
        match &self.want {
            Want::Refused(statuses) => {
                ensure!(statuses.contains(&status), "{status}, not {statuses:?}; the service saw {seen:?}");
                let whole = |seen: &std::result::Result<Message, String>| {
                    seen.as_ref().is_ok_and(|message| !message.cut)
                };
                let bad = if self.may_begin { seen.iter().any(whole) } else { !seen.is_empty() };
                ensure!(!bad, "{status}, and the service saw {seen:?}");
            }
            Want::Answered(statuses) => {
                ensure!(statuses.contains(&status), "{status}, not {statuses:?}; the service saw {seen:?}");
                ensure!(first.is_none(), "the service saw {first:?}");
            }
            Want::Either(statuses, _) if statuses.contains(&status) && first.is_none() => {}
            Want::Passes(want) | Want::Either(_, want) => {
                ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&response.body).trim());
                match first {
                    None => bail!("200, and the service saw nothing"),
                    Some(Err(error)) => bail!("the service cannot read it: {error}"),
                    Some(Ok(message)) => want.check(message)?,
                }
                let over = self.closes || self.may_close && after.is_none();
                if !over {
                    ensure!(after == Some(200), "the next request on the connection: {after:?}");
                }
                let others = seen.iter().filter(|seen| !is_behind(seen)).count();
                ensure!(others == 1, "the service saw {others} requests: {seen:?}");
            }
        }
        Ok(())
    }
}

/// The status of the second request.
fn behind(wire: &mut Wire) -> Result<Option<u16>> {
    Ok(wire.response("GET")?.map(|response| response.status()))
}

fn is_behind(seen: &std::result::Result<Message, String>) -> bool {
    seen.as_ref().is_ok_and(|message| message.line == "GET /behind HTTP/1.1")
}

impl Seen {
    /// See [`Request::line`], and so on.
    pub fn line(mut self, line: &str) -> Self {
        self.line = Some(line.to_owned());
        self
    }

    pub fn has(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.has.push((name, vec![value.into()]));
        self
    }

    pub fn has_all(mut self, name: &'static str, values: &[&str]) -> Self {
        self.has.push((name, values.iter().map(|&value| value.to_owned()).collect()));
        self
    }

    pub fn some(mut self, name: &'static str) -> Self {
        self.some.push(name);
        self
    }

    pub fn lacks(mut self, name: &'static str) -> Self {
        self.lacks.push(name);
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = Some(framing);
        self
    }

    pub fn trailer(mut self, name: &'static str, value: Option<&'static str>) -> Self {
        self.trailer = Some((name, value));
        self
    }

    /// Holds a request against it.
    pub fn check(&self, message: &Message) -> Result<()> {
        if let Some(line) = &self.line {
            ensure!(message.line == *line, "request line '{}', not '{line}'", message.line);
        }
        for (name, value) in &self.has {
            let found = message.values(name);
            ensure!(found == *value, "{name}: {found:?}, not {value:?}");
        }
        for name in &self.some {
            ensure!(!message.values(name).is_empty(), "no {name}");
        }
        for name in &self.lacks {
            let found = message.values(name);
            ensure!(found.is_empty(), "{name}: {found:?} passed");
        }
        if let Some(body) = &self.body {
            ensure!(
                message.body == *body && !message.cut,
                "body '{}'{}, not '{}'",
                message.body[..message.body.len().min(80)].escape_ascii(),
                if message.cut { " cut off" } else { "" },
                body[..body.len().min(80)].escape_ascii()
            );
        }
        if let Some(framing) = self.framing {
            ensure!(message.framing == framing, "{:?}, not {framing:?}", message.framing);
        }
        if let Some((name, value)) = self.trailer {
            let found = values(&message.trailers, name);
            ensure!(found.first().copied() == value, "trailer {name}: {found:?}, not {value:?}");
        }
        Ok(())
    }
}
