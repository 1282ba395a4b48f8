//! Another path, query or host for the upstream than the client's.

use super::path_rewrite::PathRewrite;
use super::template::{Template, Values};
use super::{Filter, Phase, Verdict};
use crate::exchange::Exchange;
use crate::http::target::Form;
use crate::settings::{self, HostRewrite};

/// Changes what the upstream is asked for. Logs, metrics and templates keep what the client asked
/// for.
#[derive(Debug)]
pub struct Rewrite {
    path: Option<PathRewrite>,
    host: Option<Template>,
}

impl Rewrite {
    /// The filter of a route, if it changes anything. The host of the endpoint is not known here; it
    /// is written for each attempt.
    pub fn compile(forward: &settings::Forward, route: &settings::Route) -> Option<Self> {
        let path = forward.path.as_ref().map(|path| PathRewrite::compile(path, route));
        let host = match &forward.host {
            Some(HostRewrite::Template(template)) => Some(Template::compile(template, route)),
            Some(HostRewrite::Endpoint) | None => None,
        };
        (path.is_some() || host.is_some()).then_some(Self { path, host })
    }
}

impl Filter for Rewrite {
    fn name(&self) -> &'static str {
        "rewrite"
    }

    fn phase(&self) -> Phase {
        Phase::Target
    }

    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        let mut text = exchange.worker.buffers.take();
        let mut verdict = Verdict::Continue;
        // `OPTIONS *` asks about the server, not about a path.
        if let Some(path) = &self.path
            && exchange.request.target.form != Form::Asterisk
        {
            path.render(&Values::of(exchange), &mut text);
            if let Err(refused) = exchange.request.target.rewrite(&text) {
                verdict = Verdict::Refuse(Box::new(refused));
            }
        }
        if let Some(host) = &self.host {
            text.clear();
            host.render(&Values::of(exchange), &mut text);
            if let Err(refused) = exchange.request.target.rewrite_authority(&text) {
                verdict = Verdict::Refuse(Box::new(refused));
            }
        }
        exchange.worker.buffers.give(text);
        verdict
    }
}
