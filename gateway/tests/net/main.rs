//! Runs the modules that reach servers with real sockets on the loopback.

mod authority;
mod server;

mod dial;
mod dns;
mod fetch;
mod probe;
mod tls;
