//! An HTTP gateway: it accepts requests, decides by host, path and method where they go, and
//! forwards them.
//!
<<<<<<< HEAD
//! The modules, from the bottom up; each knows only those before it: [`http`], [`http1`], [`net`],
//! [`settings`], [`observe`], [`worker`], [`exchange`], [`filter`], [`upstream`], [`route`],
//! [`snapshot`], [`proxy`], [`listener`], [`admin`], [`run`] and [`cli`].
=======
//! The rooms, from the bottom up; each knows only those before it: [`http`], [`http2`], [`settings`] and
//! [`observe`], [`route`], [`policy`], [`upstream`], [`listener`], [`proxy`], [`admin`], [`run`]
//! and [`cli`].
>>>>>>> http2

#![forbid(unsafe_code)]

pub mod admin;
pub mod cli;
pub mod exchange;
pub mod filter;
pub mod http;
pub mod http1;
pub mod http2;
pub mod listener;
pub mod net;
pub mod observe;
pub mod proxy;
pub mod route;
pub mod run;
pub mod settings;
pub mod snapshot;
pub mod upstream;
pub mod worker;
