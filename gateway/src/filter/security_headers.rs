//! Fields that make browsers stricter. A field that the service sends itself is kept.

use super::{Filter, Phase, forwarded};
use crate::exchange::Exchange;
use crate::settings;

/// Adds fields to responses that lack them.
#[derive(Debug)]
pub struct SecurityHeaders {
    fields: Vec<(&'static str, String)>,
    /// `Strict-Transport-Security` (RFC 6797); over TLS only.
    hsts: Option<String>,
}

impl SecurityHeaders {
    /// The filter of a route, if it adds fields.
    pub fn compile(settings: Option<&settings::SecurityHeaders>) -> Option<Self> {
        let settings = settings?;
        let mut fields = vec![
            ("x-content-type-options", "nosniff".to_owned()),
            ("referrer-policy", settings.referrer_policy.clone()),
        ];
        fields.extend(settings.frame_options.map(|value| ("x-frame-options", value.to_owned())));
        for (name, value) in [
            ("content-security-policy", &settings.content_security_policy),
            ("permissions-policy", &settings.permissions_policy),
        ] {
            fields.extend(value.clone().map(|value| (name, value)));
        }
        let hsts = settings.hsts.map(|age| {
            let mut value = format!("max-age={}", age.as_secs());
            for (is_set, word) in [
                (settings.hsts_include_subdomains, "; includeSubDomains"),
                (settings.hsts_preload, "; preload"),
            ] {
                value.push_str(if is_set { word } else { "" });
            }
            value
        });
        Some(Self { fields, hsts })
    }
}

impl Filter for SecurityHeaders {
    fn name(&self) -> &'static str {
        "security_headers"
    }

    fn phase(&self) -> Phase {
        Phase::Response
    }

    fn response(&self, exchange: &mut Exchange<'_>) {
        let is_secure = forwarded::scheme(&exchange.request.fields, exchange.peer) == "https";
        let hsts = self.hsts.as_deref().filter(|_| is_secure).map(|hsts| ("strict-transport-security", hsts));
        let fields = &mut exchange.response.fields;
        for (name, value) in self.fields.iter().map(|(name, value)| (*name, value.as_str())).chain(hsts) {
            if fields.named(name.as_bytes()).next().is_none() {
                fields.push(name.as_bytes(), value.as_bytes());
            }
        }
    }
}
