//! Runs the built program with real sockets on the loopback.

#[path = "../net/authority.rs"]
mod authority;
mod client;
mod gateway;
mod have;
mod redis;
mod upstream;

mod access_log;
mod admin;
mod authentication;
mod basic;
mod cli;
mod compression;
mod cors;
mod explain;
mod failures;
mod fields;
mod filters;
mod grpc;
mod http2;
mod http2_upstream;
mod jwks;
mod lifecycle;
mod limits;
mod memory;
mod prometheus;
mod protection;
mod proxying;
mod random;
mod reload;
mod schema;
mod shared_limits;
mod strict;
mod takeover;
mod tls;
mod traces;
mod tunnel;
mod tutorial;
mod websocket;
