//! The service behind the gateway: it records each request by the letter, and answers with the bytes it is told.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context as _, Result};

use super::message::{Message, Wire};

/// What the service answers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub bytes: Vec<u8>,
    /// Whether the connection ends after it.
    pub close: bool,
}

impl Reply {
    /// 200 with a body of two bytes.
    pub fn good() -> Self {
        Self { bytes: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec(), close: false }
    }
}

#[derive(Debug, Default)]
struct State {
    /// What was seen since it was asked last: requests, or why one could not be read.
    seen: Vec<std::result::Result<Message, String>>,
    /// Answers to the next requests; then the usual one.
    replies: VecDeque<Reply>,
}

/// A service on a port of its own, up to the end of the process.
#[derive(Clone, Debug)]
pub struct Service {
    pub address: SocketAddr,
    usual: Arc<Reply>,
    state: Arc<Mutex<State>>,
}

impl Service {
    /// Starts one that answers with [`Reply::good`].
    pub fn start() -> Result<Self> {
        Self::answering(Reply::good())
    }

    /// Starts one that answers with this where it is told nothing else.
    pub fn answering(usual: Reply) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("a port for the service")?;
        let service = Self { address: listener.local_addr()?, usual: Arc::new(usual), state: Arc::default() };
        let shared = service.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(std::result::Result::ok) {
                let service = shared.clone();
                thread::spawn(move || {
                    if let Ok(wire) = Wire::of(stream) {
                        service.serve(wire);
                    }
                });
            }
        });
        Ok(service)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut wire: Wire) {
        // A connection rests in the gateway's pool as long as that likes.
        let _ = wire.patience(std::time::Duration::from_mins(10));
        loop {
            let reply = match wire.request() {
                Ok(None) => return,
                Ok(Some(message)) => {
                    let cut = message.cut;
                    let mut state = self.lock();
                    // Loads of an oracle are not looked at: what is kept has an end.
                    if state.seen.len() < 10_000 {
                        state.seen.push(Ok(message));
                    }
                    if cut {
                        return;
                    }
                    state.replies.pop_front().unwrap_or_else(|| (*self.usual).clone())
                }
                Err(error) => {
                    self.lock().seen.push(Err(format!("{error:#}")));
                    return;
                }
            };
            if !wire.send(&reply.bytes) || reply.close {
                return;
            }
        }
    }

    /// Answers the next request with these bytes.
    pub fn reply(&self, reply: Reply) {
        self.lock().replies.push_back(reply);
    }

    /// What was seen since the last call; answers not given are dropped.
    pub fn seen(&self) -> Vec<std::result::Result<Message, String>> {
        let mut state = self.lock();
        state.replies.clear();
        std::mem::take(&mut state.seen)
    }
}
