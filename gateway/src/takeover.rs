//! Takeover of the listening sockets by a second gateway process, so that an upgrade refuses no connection.
//!
//! The first process listens on a Unix socket. The second one connects to it at its start, receives the
//! listening sockets (`SCM_RIGHTS`, unix(7)), listens on them and reports that it is ready; then the first
//! one drains. Both have the same sockets, so that a connection in the accept queue is accepted by one of the
//! two.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use rustix::process::getuid;
use tokio::sync::oneshot;

use crate::observe::stderr::say;

/// Longer than a gateway needs to start or to answer.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// Maximum number of sockets per message; the system allows 253.
const MAX_SOCKETS_PER_MESSAGE: usize = 64;
/// Data byte of a message with sockets: more messages follow, or it is the last one.
const MORE: u8 = b'+';
const LAST: u8 = b'.';
/// Message of the second process when it accepts requests.
const READY: u8 = b'r';

/// A running gateway that has handed over its sockets.
#[derive(Debug)]
pub struct Predecessor {
    stream: UnixStream,
    /// Its listening sockets.
    pub sockets: Vec<TcpListener>,
}

impl Predecessor {
    /// Requests the sockets from the gateway at this path; `None` if there is no gateway.
    ///
    /// # Errors
    ///
    /// It does not answer, or it belongs to another user.
    pub fn ask(path: &Path) -> io::Result<Option<Self>> {
        let stream = match UnixStream::connect(path) {
            // The socket of an ended gateway refuses connections.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                return Ok(None);
            }
            connected => connected?,
        };
        stream.set_read_timeout(Some(START_TIMEOUT))?;
        let mut sockets = Vec::new();
        while receive(&stream, &mut sockets)? != LAST {}
        Ok(Some(Self { stream, sockets }))
    }

    /// Tells it to drain.
    ///
    /// # Errors
    ///
    /// It has ended in the meantime.
    pub fn release(mut self) -> io::Result<()> {
        self.stream.write_all(&[READY])
    }
}

/// Offers the sockets to the next gateway, and notifies `taken` after a takeover.
///
/// # Errors
///
/// The path cannot be used.
pub fn offer(
    path: &Path,
    sockets: impl Fn() -> Option<Vec<TcpListener>> + Send + 'static,
    taken: oneshot::Sender<()>,
) -> io::Result<()> {
    // Bound under a temporary name and renamed, so that one of the two gateways always listens at the path.
    let mut own = path.as_os_str().to_owned();
    own.push(format!(".{}", std::process::id()));
    let listener = UnixListener::bind(&own)?;
    fs::rename(&own, path)?;
    thread::Builder::new().name("takeover".to_owned()).spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            match hand_over(stream, &sockets) {
                Ok(()) => {
                    // Without a receiver the gateway is about to end.
                    let _ = taken.send(());
                    return;
                }
                Err(error) => say(format_args!("the takeover by another gateway failed: {error}")),
            }
        }
    })?;
    Ok(())
}

fn hand_over(mut stream: UnixStream, sockets: &impl Fn() -> Option<Vec<TcpListener>>) -> io::Result<()> {
    if socket_peercred(&stream)?.uid != getuid() {
        return Err(io::Error::other("it belongs to another user"));
    }
    stream.set_read_timeout(Some(START_TIMEOUT))?;
    let sockets = sockets().ok_or_else(|| io::Error::other("this gateway is already stopping"))?;
    let mut parts = sockets.chunks(MAX_SOCKETS_PER_MESSAGE).peekable();
    while let Some(part) = parts.next() {
        let kind = if parts.peek().is_some() { MORE } else { LAST };
        send(&stream, part, kind)?;
    }
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    if kind == [READY] { Ok(()) } else { Err(io::Error::other("it is not a gateway")) }
}

fn send(stream: &UnixStream, sockets: &[TcpListener], kind: u8) -> io::Result<()> {
    let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS_PER_MESSAGE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&sockets));
    sendmsg(stream, &[IoSlice::new(&[kind])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Appends the sockets of one message; returns its data byte.
fn receive(stream: &UnixStream, sockets: &mut Vec<TcpListener>) -> io::Result<u8> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS_PER_MESSAGE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut kind = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let got = recvmsg(stream, &mut [IoSliceMut::new(&mut kind)], &mut control, flags)?;
    if got.bytes == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it sent no sockets"));
    }
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(all) = message {
            sockets.extend(all.map(|socket: OwnedFd| TcpListener::from(socket)));
        }
    }
    Ok(kind[0])
}
