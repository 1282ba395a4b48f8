//! A file from the web: nothing of a registry, but the same connections, certificates and proxies.

use anyhow::Result;
use ureq::http::Method;

use super::reference::is_loopback;
use super::retry::{Passing, Policy, SystemClock, Trouble};
use super::url;
use super::wire::{Ask, Payload, Redirects, Timeouts, Wire};
use crate::error::Fault;

/// The bytes at `address`, at most `limit` of them, over https, or over http from this machine.
pub fn download(address: &str, limit: u64) -> Result<Vec<u8>> {
    let parsed = url::parse(address).ok_or_else(|| Fault::usage(format!("'{address}' is not a URL")))?;
    let authority = parsed.authority().map_or("", |authority| authority.as_str());
    if !url::is_tls(&parsed) && !is_loopback(authority) {
        return Err(
            Fault::usage(format!("'{address}' is not https: anybody on the way could change it")).into()
        );
    }
    let wire = Wire::new(Timeouts::default(), None);
    Policy::default().run(&SystemClock, None, || {
        let ask = Ask {
            method: Method::GET,
            url: parsed.clone(),
            headers: Vec::new(),
            authorization: None,
            payload: Payload::None,
            redirects: Redirects::Any,
        };
        let answer = wire.send(ask)?;
        match answer.status.as_u16() {
            200 => answer.read(limit),
            status => {
                let fault = Fault::failed(format!("the server answers {}", answer.status)).at(address);
                Err(if status >= 500 {
                    Trouble::passing(Passing::Broken, fault)
                } else {
                    Trouble::lasting(fault)
                })
            }
        }
    })
}
