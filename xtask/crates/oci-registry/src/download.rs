//! Downloads of files over HTTP, with the certificates, proxies and retries of registries.

use std::fmt;

use anyhow::Result;
use ureq::http::{Method, Uri};

use super::reference::is_loopback;
use super::retry::{Policy, RequestError, SystemClock, Transient};
use super::url;
use super::wire::{Ask, Payload, Redirects, Timeouts, Wire};
use cli_support::error::Fault;

/// A client for downloads. Threads share its connections.
pub struct Downloads {
    wire: Wire,
    policy: Policy,
}

impl fmt::Debug for Downloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downloads").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Downloads {
    /// A client with this retry policy.
    pub fn new(policy: Policy) -> Self {
        Self::with(policy, Timeouts::default())
    }

    /// The same with other time limits.
    pub fn with(policy: Policy, timeouts: Timeouts) -> Self {
        Self { wire: Wire::new(timeouts, None), policy }
    }

    /// The bytes at `address`, at most `limit` of them, over https, or over http from this machine; none
    /// where the server has nothing of that name.
    pub fn get(&self, address: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let parsed = safe(address)?;
        self.policy.run(&SystemClock, None, || {
            let ask = Ask {
                method: Method::GET,
                url: parsed.clone(),
                headers: Vec::new(),
                authorization: None,
                payload: Payload::None,
                redirects: Redirects::Any,
            };
            let answer = self.wire.send(ask)?;
            match answer.status.as_u16() {
                200 => answer.read(limit).map(Some),
                404 | 410 | 451 => Ok(None),
                status => {
                    let fault = Fault::failed(format!("the server answers {}", answer.status)).at(address);
                    Err(if status >= 500 {
                        RequestError::transient(Transient::Broken, fault)
                    } else {
                        RequestError::permanent(fault)
                    })
                }
            }
        })
    }
}

/// Parses an address that is safe from eavesdropping: https, or this machine.
pub(super) fn safe(address: &str) -> Result<Uri, Fault> {
    let shown = cli_support::mask::without_login(address);
    let parsed = url::parse(address).ok_or_else(|| Fault::usage(format!("'{shown}' is not a URL")))?;
    let authority = parsed.authority().map_or("", |authority| authority.as_str());
    if !url::is_tls(&parsed) && !is_loopback(authority) {
        return Err(Fault::usage(format!("'{shown}' is not https: anybody on the way could change it")));
    }
    Ok(parsed)
}

/// Downloads one file as [`Downloads::get`] does; a missing file is an error.
pub fn download(address: &str, limit: u64) -> Result<Vec<u8>> {
    let bytes = Downloads::new(Policy::default()).get(address, limit)?;
    bytes.ok_or_else(|| Fault::failed("the server has no such file").at(address).into())
}
