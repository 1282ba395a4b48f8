//! A connection on which commands are sent without waiting for the replies to those before.
//!
//! One task writes and reads. Commands that come together are written together. Replies come in the order
//! of the commands; a reply to a command whose request has ended is dropped.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot::{Receiver, Sender, channel};

use super::resp::{self, Reply};
use super::store::Store;
use crate::dial::dial;
use crate::endpoint::{Address, Endpoint, EndpointConfig, Scheme};
use crate::net::Stream;
use crate::proxy_protocol::Proxied;

/// The time for a connection with TLS and the login.
const CONNECT: Duration = Duration::from_secs(2);
/// After so long without a reply a connection is given up.
const DEAD: Duration = Duration::from_secs(2);
/// The most commands without a reply.
const MAX_WAITING: usize = 10_000;
/// What is read at once in bytes.
const READ: usize = 16 << 10;

/// A connection, closed when it is dropped.
#[derive(Debug)]
pub struct Connection(Rc<Shared>);

/// The state that the task shares with the senders.
#[derive(Debug, Default)]
struct Shared {
    out: RefCell<Vec<u8>>,
    /// The commands without a reply, oldest first, each with its start.
    waiting: RefCell<VecDeque<(Option<Sender<Reply>>, Instant)>>,
    /// Of the task.
    waker: RefCell<Option<Waker>>,
    closed: Cell<bool>,
    opened: Cell<bool>,
}

impl Connection {
    /// Begins to connect. Commands are accepted at once and sent after the login.
    pub fn open(store: &Arc<Store>, address: &Address) -> Self {
        let shared = Rc::new(Shared::default());
        let (store, address) = (Arc::downgrade(store), address.clone());
        let task = Rc::clone(&shared);
        tokio::task::spawn_local(async move {
            let Some(store) = store.upgrade() else { return };
            let opened = tokio::time::timeout(CONNECT, open(&store, &address)).await;
            let result = match opened.unwrap_or_else(|_| Err("no connection in time".to_owned())) {
                Ok(stream) => {
                    store.connected();
                    task.opened.set(true);
                    // The task must not keep the store alive while it is idle.
                    let store = Arc::downgrade(&store);
                    let ended = task.run(stream).await;
                    store.upgrade().zip(ended.err())
                }
                Err(why) => Some((store, why)),
            };
            task.end();
            if let Some((store, why)) = result {
                store.failed(&format!("{address}: {why}"));
            }
        });
        Self(shared)
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.0.closed.get()
    }

    /// Whether the server accepted the login.
    pub fn was_opened(&self) -> bool {
        self.0.opened.get()
    }

    /// Sends a command that `write` appends; none if the server has not answered for `timeout`, so that
    /// further requests do not wait in vain.
    pub fn send(&self, timeout: Duration, write: impl FnOnce(&mut Vec<u8>)) -> Option<Receiver<Reply>> {
        let now = Instant::now();
        let mut waiting = self.0.waiting.borrow_mut();
        if let Some((_, since)) = waiting.front() {
            let silent = now.duration_since(*since);
            if silent > DEAD.max(timeout) && self.was_opened() {
                drop(waiting);
                self.close();
                return None;
            }
            if silent > timeout {
                return None;
            }
        }
        if self.is_closed() || waiting.len() >= MAX_WAITING {
            return None;
        }
        let (sender, receiver) = channel();
        waiting.push_back((Some(sender), now));
        write(&mut self.0.out.borrow_mut());
        self.0.wake();
        Some(receiver)
    }

    /// Sends a command before the next one; its reply is not waited for.
    pub fn send_unanswered(&self, words: &[&[u8]]) {
        if !self.is_closed() && self.0.waiting.borrow().len() < MAX_WAITING {
            self.0.waiting.borrow_mut().push_back((None, Instant::now()));
            resp::write(&mut self.0.out.borrow_mut(), words);
            self.0.wake();
        }
    }

    /// Closes the connection.
    pub fn close(&self) {
        self.0.closed.set(true);
        self.0.wake();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Marks the connection as ended, and fails the waiting commands.
    fn end(&self) {
        self.closed.set(true);
        self.waiting.borrow_mut().clear();
    }

    /// Writes commands and reads replies until the connection ends; `Ok` if this side closed it.
    async fn run(&self, mut stream: Stream) -> Result<(), String> {
        let (mut output, mut written) = (Vec::new(), 0);
        let mut input = Vec::new();
        poll_fn(|cx| {
            self.waker.replace(Some(cx.waker().clone()));
            if self.closed.get() {
                let is_silent = self.waiting.borrow().front().is_some();
                return Poll::Ready(if is_silent { Err("no answer".to_owned()) } else { Ok(()) });
            }
            if let Poll::Ready(Err(error)) = self.poll_write(cx, &mut stream, (&mut output, &mut written)) {
                return Poll::Ready(Err(error.to_string()));
            }
            loop {
                if let Err(error) = ready!(poll_read(cx, &mut stream, &mut input)) {
                    return Poll::Ready(Err(error.to_string()));
                }
                if let Err(why) = self.take_replies(&mut input) {
                    return Poll::Ready(Err(why.to_owned()));
                }
            }
        })
        .await
    }

    fn poll_write(
        &self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        (output, written): (&mut Vec<u8>, &mut usize),
    ) -> Poll<io::Result<()>> {
        loop {
            if *written == output.len() {
                output.clear();
                *written = 0;
                std::mem::swap(output, &mut self.out.borrow_mut());
                if output.is_empty() {
                    return Pin::new(stream).poll_flush(cx);
                }
            }
            match ready!(Pin::new(&mut *stream).poll_write(cx, &output[*written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *written += count,
            }
        }
    }

    fn take_replies(&self, input: &mut Vec<u8>) -> Result<(), &'static str> {
        let mut at = 0;
        while let Some((reply, length)) =
            resp::read(&input[at..]).map_err(|_| "what it says is no reply of Redis")?
        {
            at += length;
            let next = self.waiting.borrow_mut().pop_front();
            let (sender, _) = next.ok_or("it replies without a command")?;
            if let Some(sender) = sender {
                // The request may have ended.
                let _ = sender.send(reply);
            }
        }
        input.drain(..at);
        Ok(())
    }
}

/// Reads at least one byte.
fn poll_read(cx: &mut Context<'_>, stream: &mut Stream, input: &mut Vec<u8>) -> Poll<io::Result<()>> {
    let begin = input.len();
    input.resize(begin + READ, 0);
    let mut buffer = ReadBuf::new(&mut input[begin..]);
    let polled = Pin::new(stream).poll_read(cx, &mut buffer);
    let count = buffer.filled().len();
    input.truncate(begin + count);
    match ready!(polled) {
        Ok(()) if count == 0 => {
            Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection")))
        }
        other => Poll::Ready(other),
    }
}

/// Connects and logs in. The server must answer before the first command is sent.
async fn open(store: &Arc<Store>, address: &Address) -> Result<Stream, String> {
    let scheme = if store.dialing.tls.is_some() { Scheme::Https } else { Scheme::Http };
    let endpoint = Endpoint::alone(EndpointConfig { scheme, ..EndpointConfig::new(address.clone()) });
    let deadline = tokio::time::Instant::now() + CONNECT;
    let dialed = dial(&endpoint, &store.dialing, &Proxied::Local, deadline).await;
    let mut stream = dialed.map_err(|error| error.to_string())?.stream;
    let mut out = Vec::new();
    let mut commands = 1;
    if let Some(credentials) = &store.config.credentials {
        let password = credentials.password.as_bytes();
        match &credentials.user {
            Some(user) => resp::write(&mut out, &[b"AUTH", user.as_bytes(), password]),
            None => resp::write(&mut out, &[b"AUTH", password]),
        }
        commands += 1;
    }
    if store.config.database != 0 {
        resp::write(&mut out, &[b"SELECT", store.config.database.to_string().as_bytes()]);
        commands += 1;
    }
    resp::write(&mut out, &[b"PING"]);
    tokio::io::AsyncWriteExt::write_all(&mut stream, &out).await.map_err(|error| error.to_string())?;
    let mut input = Vec::new();
    while commands > 0 {
        match resp::read(&input).map_err(|_| "what it says is no reply of Redis")? {
            Some((Reply::Error(error), _)) => return Err(format!("the server says: {error}")),
            Some((_, length)) => {
                input.drain(..length);
                commands -= 1;
            }
            None => poll_fn(|cx| poll_read(cx, &mut stream, &mut input))
                .await
                .map_err(|error| error.to_string())?,
        }
    }
    Ok(stream)
}
