//! Faults by chance.

use super::http::Seen;
use super::{Fault, State};

impl State {
    /// The random fault of this request, if any.
    pub(super) fn chance(&mut self, seen: &Seen) -> Option<Fault> {
        let (percent, state, count) = &mut self.chaos;
        if *percent == 0 {
            return None;
        }
        let mut next = |below: u64| {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            (*state >> 11) % below
        };
        if next(100) >= *percent {
            return None;
        }
        *count += 1;
        let few = usize::try_from(next(2000)).unwrap_or_default();
        let limit = r#"{"errors":[{"code":"DENIED","message":"You have exceeded a secondary rate limit"}]}"#;
        let busy = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"retry-after: 880.092\u00b5s, allowed: 44000/minute"}]}"#;
        Some(match next(10) {
            0 => Fault::Answer(429, vec![("Retry-After", "0".to_owned())], busy),
            1 => Fault::Answer(403, Vec::new(), limit),
            2 => Fault::Answer(500, Vec::new(), ""),
            3 => Fault::Answer(502, Vec::new(), "<html>Bad Gateway</html>"),
            4 => Fault::Answer(503, vec![("Retry-After", "0".to_owned())], ""),
            5 if seen.length > 0 => Fault::CutRequest(few),
            6 if seen.method == "GET" => Fault::CutAnswer(few),
            7 if seen.method == "GET" => Fault::Reset(few),
            8 => Fault::Slow(few as u64 / 10),
            9 if seen.method == "GET" => Fault::Stall(few),
            _ => Fault::LoseAnswer,
        })
    }
}
