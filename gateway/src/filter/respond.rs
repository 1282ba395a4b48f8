//! A fixed response.

use super::Answer;
use crate::http::name::Name;
use crate::settings;

/// The response of a route.
pub fn compile(respond: &settings::Respond) -> Answer {
    let mut answer =
        Answer { status: respond.status, body: respond.body.clone().into(), ..Answer::default() };
    if let Some(kind) = &respond.content_type {
        answer.fields.add(Name::ContentType, kind.as_bytes());
    }
    answer
}
