//! A service that decides who sent a request.

use std::rc::Rc;
use std::sync::Arc;

use http::Method as HttpMethod;

use super::failure::Refused;
use super::{Answer, Found, Method, ResumeMethod};
use crate::exchange::{Exchange, Identity, Kind};
use crate::fetch::{Call, FetchError, Reply, Service};
use crate::filter::forwarded;
use crate::http::fields::Fields;
use crate::http::hop;
use crate::http::name::Name;
use crate::settings;

/// A service that is asked about each request.
#[derive(Debug)]
pub struct ForwardAuth {
    pub name: String,
    pub service: Service,
    pub settings: settings::ForwardAuth,
}

/// What the service is asked.
struct Question {
    method: HttpMethod,
    fields: Fields,
}

impl ForwardAuth {
    fn question(&self, exchange: &Exchange<'_>) -> Question {
        let request = &exchange.request;
        let mut fields = Fields::new();
        for name in &self.settings.request_headers {
            for value in request.fields.named(name.as_bytes()) {
                fields.push(name.as_bytes(), value);
            }
        }
        let mut uri = Vec::new();
        request.target.write_to(&mut uri);
        let host = request.target.authority().unwrap_or_default();
        let scheme = forwarded::scheme(&request.fields, exchange.peer);
        for (name, value) in [
            ("x-forwarded-method", request.method.as_str().as_bytes()),
            ("x-forwarded-proto", scheme.as_bytes()),
            ("x-forwarded-host", host.as_bytes()),
            ("x-forwarded-uri", &uri),
            ("x-forwarded-for", exchange.client.as_bytes()),
            ("x-request-id", &exchange.id),
        ] {
            fields.push(name.as_bytes(), value);
        }
        let method = self.settings.method.clone().unwrap_or_else(|| request.method.clone());
        Question { method, fields }
    }

    async fn ask(&self, question: &Question) -> Result<Reply, FetchError> {
        let call = Call {
            method: question.method.clone(),
            target: None,
            fields: &question.fields,
            body: None,
            timeout: self.settings.timeout,
            max_bytes: self.settings.max_body_bytes,
        };
        self.service.call(call).await
    }

    /// What the answer of the service says.
    fn judge(&self, reply: Result<Reply, FetchError>) -> Found {
        let unsettled = |detail: String| {
            if self.settings.fail_open {
                return Found::Known(Rc::new(Identity::new(Kind::ForwardAuth, &self.name, String::new())));
            }
            Found::Unsettled(Refused::unsettled("authorization_service", None, Some(detail)))
        };
        let mut reply = match reply {
            Ok(reply) => reply,
            Err(error) => return unsettled(error.to_string()),
        };
        match reply.status.as_u16() {
            200..=299 => self.admit(&reply.fields),
            301 | 302 | 303 | 307 | 308 | 401 | 403 | 407 | 429 => {
                if hop::strip(&mut reply.fields).is_err() {
                    return unsettled(format!("{}: its Connection field is no list", self.service.url));
                }
                for framing in [Name::ContentLength, Name::TransferEncoding, Name::Trailer, Name::Date] {
                    reply.fields.remove(framing);
                }
                let Reply { status, fields, body } = reply;
                Found::Answer(Box::new(Answer { status, fields, body: body.into() }))
            }
            other => unsettled(format!("{}: the status is {other}", self.service.url)),
        }
    }

    fn admit(&self, answer: &Fields) -> Found {
        let subject =
            self.settings.subject_header.as_ref().and_then(|name| answer.named(name.as_bytes()).next());
        let subject = subject.map(|subject| String::from_utf8_lossy(subject).into_owned());
        let identity = Identity::new(Kind::ForwardAuth, &self.name, subject.unwrap_or_default());
        let mut fields = Fields::new();
        for name in &self.settings.response_headers {
            for value in answer.named(name.as_bytes()) {
                fields.push(name.as_bytes(), value);
            }
        }
        Found::KnownWith(Rc::new(identity), fields)
    }
}

impl Method for ForwardAuth {
    fn find(self: Arc<Self>, exchange: &mut Exchange<'_>) -> Found {
        let question = self.question(exchange);
        Found::Wait(Box::pin(async move {
            let reply = self.ask(&question).await;
            Box::new(move |_: &mut Exchange<'_>| self.judge(reply)) as ResumeMethod
        }))
    }

    fn challenge(&self) -> Option<&str> {
        // The service challenges by itself.
        None
    }
}
