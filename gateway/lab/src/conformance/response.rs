//! Rows about responses: what the service sends, and what the client must get.

use anyhow::{Context as _, Result, ensure};

use super::gateway::Gateway;
use super::message::{Framing, Message, Wire, values};
use super::service::{Reply, Service};

/// What the client must get.
#[derive(Clone, Debug, Default)]
struct Gets {
    status: u16,
    framing: Option<Framing>,
    body: Option<Vec<u8>>,
    has: Vec<(&'static str, &'static str)>,
    some: Vec<&'static str>,
    lacks: Vec<&'static str>,
    interim: Vec<u16>,
    trailer: Option<(&'static str, Option<&'static str>)>,
    /// The message must be seen to be incomplete.
    cut: bool,
}

/// A row.
#[derive(Clone, Debug)]
pub struct Response {
    pub name: &'static str,
    pub rules: &'static [&'static str],
    request: Vec<u8>,
    sends: Vec<u8>,
    keep: bool,
    gets: Option<Gets>,
    /// 502 is right, or as good.
    bad_gateway: bool,
    closes: bool,
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// A response that must arrive with this status.
pub fn arrives(
    name: &'static str,
    rules: &'static [&'static str],
    sends: impl Into<Vec<u8>>,
    status: u16,
) -> Response {
    let gets = Some(Gets { status, ..Gets::default() });
    let (request, sends) = (GET.to_vec(), sends.into());
    Response { name, rules, request, sends, keep: false, gets, bad_gateway: false, closes: false }
}

/// A response that must become 502.
pub fn bad_gateway(
    name: &'static str,
    rules: &'static [&'static str],
    sends: impl Into<Vec<u8>>,
) -> Response {
    Response { gets: None, bad_gateway: true, ..arrives(name, rules, sends, 502) }
}

impl Response {
    fn gets(mut self, change: impl FnOnce(&mut Gets)) -> Self {
        if let Some(gets) = &mut self.gets {
            change(gets);
        }
        self
    }

    /// It answers this request instead of a GET.
    pub fn to(mut self, request: &str) -> Self {
        self.request = request.as_bytes().to_vec();
        self
    }

    /// The service leaves the connection open.
    pub fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    /// 502 is as good.
    pub fn or_502(mut self) -> Self {
        self.bad_gateway = true;
        self
    }

    /// The client's connection ends after it.
    pub fn closes(mut self) -> Self {
        self.closes = true;
        self
    }

    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        self.gets(|gets| gets.body = Some(body.into()))
    }

    pub fn framing(self, framing: Framing) -> Self {
        self.gets(|gets| gets.framing = Some(framing))
    }

    pub fn has(self, name: &'static str, value: &'static str) -> Self {
        self.gets(|gets| gets.has.push((name, value)))
    }

    pub fn lacks(self, name: &'static str) -> Self {
        self.gets(|gets| gets.lacks.push(name))
    }

    pub fn some(self, name: &'static str) -> Self {
        self.gets(|gets| gets.some.push(name))
    }

    pub fn interim(self, status: u16) -> Self {
        self.gets(|gets| gets.interim.push(status))
    }

    pub fn trailer(self, name: &'static str, value: Option<&'static str>) -> Self {
        self.gets(|gets| gets.trailer = Some((name, value)))
    }

    /// It must be seen to be incomplete.
    pub fn cut(self) -> Self {
        self.gets(|gets| gets.cut = true)
    }

    /// Runs it; an error says what was wrong.
    pub fn check(&self, gateway: &Gateway, service: &Service) -> Result<()> {
        service.seen();
        // A dead connection may be retried: each attempt gets the same.
        for _ in 0..4 {
            service.reply(Reply { bytes: self.sends.clone(), close: !self.keep });
        }
        let method = self.request.split(|&byte| byte == b' ').next().unwrap_or_default();
        let method = std::str::from_utf8(method)?;
        let mut wire = Wire::connect(gateway.plain)?;
        wire.send(&self.request);
        let mut interim = Vec::new();
        let response = loop {
            let response = wire.response(method)?.context("closed without an answer")?;
            if matches!(response.status(), 100 | 102..200) {
                interim.push(response.status());
            } else {
                break response;
            }
        };
        service.seen();
        let status = response.status();
        if self.bad_gateway && status == 502 {
            return after(&mut wire);
        }
        let Some(gets) = &self.gets else {
            anyhow::bail!("{}, not 502", told(&response));
        };
        gets.check(&response, &interim)?;
        if gets.cut {
            return Ok(());
        }
        if self.closes || response.framing == Framing::Close {
            let rest = wire.rest()?;
            ensure!(rest.is_empty(), "after the response: {}", rest.escape_ascii());
            return Ok(());
        }
        after(&mut wire)
    }
}

/// The client's connection is still good, and no byte of the response is left on it or on that to the service.
fn after(wire: &mut Wire) -> Result<()> {
    if !wire.send(b"GET /after HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n") {
        return Ok(());
    }
    // Closing after a failure is the gateway's right.
    let Some(next) = wire.response("GET")? else { return Ok(()) };
    ensure!(next.status() == 200 && next.body == b"ok", "the next response: {}", told(&next));
    let rest = wire.rest()?;
    ensure!(rest.is_empty(), "behind the next response: {}", rest.escape_ascii());
    Ok(())
}

fn told(response: &Message) -> String {
    format!("{} {:?}, body '{}'", response.status(), response.framing, response.body.escape_ascii())
}

impl Gets {
    fn check(&self, response: &Message, interim: &[u16]) -> Result<()> {
        ensure!(response.status() == self.status, "{}, not {}", told(response), self.status);
        ensure!(response.cut == self.cut, "{}: cut {}, not {}", told(response), response.cut, self.cut);
        ensure!(interim == self.interim, "interim responses {interim:?}, not {:?}", self.interim);
        if let Some(framing) = self.framing {
            ensure!(response.framing == framing, "{:?}, not {framing:?}", response.framing);
        }
        if let Some(body) = &self.body {
            ensure!(
                response.body == *body,
                "body '{}'",
                response.body[..response.body.len().min(80)].escape_ascii()
            );
        }
        for (name, value) in &self.has {
            let found = response.values(name);
            ensure!(found == [*value], "{name}: {found:?}, not '{value}'");
        }
        for name in &self.some {
            ensure!(!response.values(name).is_empty(), "no {name}");
        }
        for name in &self.lacks {
            let found = response.values(name);
            ensure!(found.is_empty(), "{name}: {found:?} passed");
        }
        if let Some((name, value)) = self.trailer {
            let found = values(&response.trailers, name);
            ensure!(found.first().copied() == value, "trailer {name}: {found:?}, not {value:?}");
        }
        Ok(())
    }
}
