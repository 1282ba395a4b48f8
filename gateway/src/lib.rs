//! An HTTP gateway: it accepts requests, chooses a route by host, path and method, and forwards them.
//!
//! The modules, from the bottom up; each uses only those before it: [`json`], [`net`], [`http`], [`http1`],
//! [`http2`], [`observe`], [`proxy_protocol`], [`tls`], [`endpoint`], [`dial`], [`fetch`], [`redis`],
//! [`trace`], [`jose`], [`probe`], [`settings`], [`state`], [`limit`], [`route`], [`worker`], [`exchange`],
//! [`filter`], [`upstream`], [`snapshot`], [`proxy`], [`listener`], [`prepare`], [`reload`], [`admin`],
//! [`takeover`], [`run`], [`commands`] and [`cli`]. `tests/seams.rs` reads this list and checks the code
//! against it.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::unreachable, clippy::unwrap_used))]

pub mod admin;
pub mod cli;
pub mod commands;
pub mod dial;
pub mod endpoint;
pub mod exchange;
pub mod fetch;
pub mod filter;
pub mod http;
pub mod http1;
pub mod http2;
pub mod jose;
pub mod json;
pub mod limit;
pub mod listener;
pub mod net;
pub mod observe;
pub mod prepare;
pub mod probe;
pub mod proxy;
pub mod proxy_protocol;
pub mod redis;
pub mod reload;
pub mod route;
pub mod run;
pub mod settings;
pub mod snapshot;
pub mod state;
pub mod takeover;
pub mod tls;
pub mod trace;
pub mod upstream;
pub mod worker;
