//! `gateway explain`: shows how a snapshot handles a request.

mod answer;
mod report;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use http::Version;

use super::print;
use crate::exchange::{Exchange, Peer, Request, Response};
use crate::http::name::Name;
use crate::http::{Failure, Rejection};
use crate::http1::request::{self, TARGET_TOO_LONG};
use crate::observe::stderr::{print_line, say};
use crate::prepare;
use crate::settings::{Settings, Source};
use crate::snapshot::{self, Process, Snapshot};
use crate::worker::Worker;
use answer::Answer;

/// The request to explain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its method.
    pub method: String,
    /// Its URL, or its path and query.
    pub url: String,
    /// Its fields, each as `Name: value`.
    pub fields: Vec<String>,
    /// The client's address.
    pub client: IpAddr,
    /// Whether the output is JSON.
    pub json: bool,
}

/// Explains a request: 0 with a route, 1 if it is refused, 2 for settings with problems.
pub fn run(source: &Source, question: &Question) -> ExitCode {
    let (file, settings, problems) = source.load();
    let name = file.as_deref().map_or_else(|| "built-in".to_owned(), |file| file.display().to_string());
    let process = Process::new(1, false);
    let (prepared, found) = prepare::prepare(settings, &name, problems, &process, None);
    if !found.problems.is_empty() {
        for problem in &found.problems {
            print_line(problem);
        }
        say("the settings have problems; see gateway check");
        return ExitCode::from(2);
    }
    let (settings, snapshot) = prepared.compile(&process);
    let answer = match ask(question, &settings, &snapshot, &process) {
        Ok(answer) => answer,
        Err(error) => {
            say(error);
            return ExitCode::from(2);
        }
    };
    print(&if question.json { format!("{:#}\n", answer.json(&name)) } else { answer.text(&name) });
    ExitCode::from(u8::from(answer.route.is_none()))
}

/// The parts of a URL.
struct Url<'u> {
    scheme: Option<&'u str>,
    authority: &'u str,
    target: &'u str,
}

fn split(url: &str) -> Result<Url<'_>, String> {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (Some(scheme), rest),
        Some((scheme, _)) => return Err(format!("'{scheme}' is not http or https")),
        None => (None, url),
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    if scheme.is_none() && !authority.is_empty() && url != "*" {
        return Err(format!("'{url}' is not a URL or a path; write http://{url} or /{url}"));
    }
    if url == "*" {
        return Ok(Url { scheme, authority: "", target: url });
    }
    Ok(Url { scheme, authority, target })
}

/// The listener for a URL: the one with its port, or else the first one with its scheme.
fn listener<'s>(snapshot: &'s Snapshot, url: &Url<'_>) -> Result<&'s snapshot::Listener, String> {
    let Some(scheme) = url.scheme else {
        return snapshot.listeners.first().ok_or_else(|| "there is no listener".to_owned());
    };
    let fits = |listener: &&snapshot::Listener| listener.tls.is_some() == (scheme == "https");
    let port = url.authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let with_port = |listener: &&snapshot::Listener| Some(listener.settings.address.port()) == port;
    let all = || snapshot.listeners.iter().filter(fits);
    all().find(with_port).or_else(|| all().next()).ok_or_else(|| format!("no listener accepts {scheme}"))
}

fn ask<'s>(
    question: &'s Question,
    settings: &'s Settings,
    snapshot: &'s Snapshot,
    process: &Process,
) -> Result<Answer<'s>, String> {
    let url = split(&question.url)?;
    let listener = listener(snapshot, &url)?;
    let worker = Worker::new((0, 1), Arc::clone(&process.metrics), process.log.worker());
    let address = SocketAddr::new(question.client, 0);
    let peer = Peer::new(Arc::clone(&listener.settings), address, None, listener.tls.is_some());
    let (mut request, mut response) = (Request::default(), Response::default());
    let mut exchange = Exchange::begin(&worker, &peer, &mut request, &mut response);
    let mut answer = Answer::new(&listener.settings, question);
    let head = head(question, &url)?;
    if let Err(refused) = read(exchange.request, &head, &listener.settings) {
        answer.refuse(&refused);
        return Ok(answer);
    }
    exchange.client = crate::filter::forwarded::client(&exchange.request.fields, &peer);
    answer.client = exchange.client.to_string();
    answer.find(settings, snapshot, &mut exchange);
    Ok(answer)
}

/// The head of the request, as a client would send it in HTTP/1.1.
fn head(question: &Question, url: &Url<'_>) -> Result<Vec<u8>, String> {
    let mut fields = String::new();
    let mut has_host = false;
    for field in &question.fields {
        let Some((name, value)) = field.split_once(':').filter(|_| !field.contains(['\r', '\n', '\0']))
        else {
            return Err(format!("'{}' is not a field; write 'Name: value'", field.escape_debug()));
        };
        has_host |= name.eq_ignore_ascii_case("host");
        fields.push_str(&format!("{name}: {}\r\n", value.trim()));
    }
    if !has_host {
        let host = if url.authority.is_empty() { "localhost" } else { url.authority };
        fields.insert_str(0, &format!("Host: {host}\r\n"));
    }
    let slash = if url.target.starts_with('/') || url.target == "*" { "" } else { "/" };
    Ok(format!("{} {slash}{} HTTP/1.1\r\n{fields}\r\n", question.method, url.target).into_bytes())
}

fn read(request: &mut Request, head: &[u8], listener: &crate::settings::Listener) -> Result<(), Rejection> {
    let parsed = request::parse(head, &listener.head, &mut request.fields)?;
    let Some(parsed) = parsed else {
        return Err(Rejection::bad("request_line", "The request is incomplete."));
    };
    let (start, end) = parsed.target;
    if end - start > listener.max_request_line {
        return Err(TARGET_TOO_LONG);
    }
    request.method = parsed.method;
    request.version = Version::HTTP_11;
    request.framing = parsed.framing;
    let target = request.fields.bytes().get(start..end).unwrap_or_default();
    let host = request.fields.get(Name::Host);
    request.target.read_http1(request.method.as_str().as_bytes(), target, host, false)
}

impl Default for Question {
    fn default() -> Self {
        Self {
            method: String::new(),
            url: String::new(),
            fields: Vec::new(),
            client: Ipv4Addr::LOCALHOST.into(),
            json: false,
        }
    }
}

impl Answer<'_> {
    fn refuse(&mut self, refused: &dyn Failure) {
        let (status, reason) = (refused.status(), refused.reason());
        self.outcome = format!("refused with {} ({reason}): {}", status.as_u16(), refused.public());
    }
}
