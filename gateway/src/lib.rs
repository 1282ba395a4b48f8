//! An HTTP gateway: it accepts requests, decides by host, path and method where they go, and
//! forwards them.
//!
//! The rooms, from the bottom up; each knows only those before it: [`http`], [`settings`] and
//! [`observe`], [`tls`], [`proxy_protocol`], [`endpoint`], [`dial`], [`probe`], [`route`], [`policy`],
//! [`upstream`], [`listener`], [`proxy`], [`admin`], [`run`] and [`cli`].

#![forbid(unsafe_code)]

pub mod admin;
pub mod cli;
pub mod dial;
pub mod endpoint;
pub mod http;
pub mod listener;
pub mod observe;
pub mod policy;
pub mod probe;
pub mod proxy;
pub mod proxy_protocol;
pub mod route;
pub mod run;
pub mod settings;
pub mod tls;
pub mod upstream;
