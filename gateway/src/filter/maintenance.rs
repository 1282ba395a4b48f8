//! Maintenance mode of a route.

use http::StatusCode;

use super::{Answer, Filter, Phase, Verdict};
use crate::exchange::Exchange;
use crate::exchange::fault::PolicyRefusal;
use crate::http::name::Name;
use crate::http::{Failure, Source};
use crate::settings;

/// Refuses all requests with 503, except from some addresses.
#[derive(Debug)]
pub struct Maintenance(settings::Maintenance);

impl Maintenance {
    /// The filter of a route, if it is out of service.
    pub fn compile(maintenance: Option<&settings::Maintenance>) -> Option<Self> {
        maintenance.filter(|maintenance| maintenance.enabled).cloned().map(Self)
    }
}

impl Filter for Maintenance {
    fn name(&self) -> &'static str {
        "maintenance"
    }

    fn phase(&self) -> Phase {
        Phase::Entry
    }

    fn request(&self, exchange: &mut Exchange<'_>) -> Verdict {
        let client = exchange.client.parse();
        if client.is_ok_and(|client| self.0.exempt.iter().any(|network| network.contains(client))) {
            return Verdict::Continue;
        }
        let refused = PolicyRefusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            reason: "maintenance",
            public: "The service is down for maintenance.",
            retry_after: self.0.retry_after.map(|after| after.as_secs().max(1)),
        };
        let Some(body) = &self.0.body else { return Verdict::Refuse(Box::new(refused)) };
        exchange.fail_with(Source::Downstream, refused.reason);
        let mut answer = Answer { status: refused.status, body: body.clone().into(), ..Answer::default() };
        answer.fields.add(Name::ContentType, self.0.content_type.as_bytes());
        answer.fields.add(Name::CacheControl, b"no-store");
        if let Some((name, value)) = refused.field() {
            answer.fields.add(name, value.as_bytes());
        }
        Verdict::Answer(answer)
    }
}
