//! A second gateway takes the listening sockets of the first over: another program takes the place of the one that
//! runs, and no connection is refused.
//!
//! The first listens on a Unix socket. The second asks there when it starts, gets the sockets (`SCM_RIGHTS`, unix(7)),
//! listens there itself and says that it is ready; then the first drains. Both have the same sockets, so that a
//! connection that waits to be accepted is accepted by one of the two.

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

/// Longer than a gateway takes to start, or to answer another.
const PATIENCE: Duration = Duration::from_mins(1);
/// The most sockets in one message; the system takes 253.
const TOGETHER: usize = 64;
/// What a message with sockets says: others follow, or it is the last.
const MORE: u8 = b'+';
const LAST: u8 = b'.';
/// What the second gateway says once it serves.
const READY: u8 = b'r';

/// A gateway that runs and has handed its sockets over.
#[derive(Debug)]
pub struct Predecessor {
    stream: UnixStream,
    /// Its listening sockets.
    pub sockets: Vec<TcpListener>,
}

impl Predecessor {
    /// Asks the gateway at this path for its sockets; none if there is no gateway.
    ///
    /// # Errors
    ///
    /// It does not answer, or it is of another user.
    pub fn ask(path: &Path) -> io::Result<Option<Self>> {
        let stream = match UnixStream::connect(path) {
            // A socket whose gateway has ended refuses.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                return Ok(None);
            }
            connected => connected?,
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut sockets = Vec::new();
        while receive(&stream, &mut sockets)? != LAST {}
        Ok(Some(Self { stream, sockets }))
    }

    /// Tells it to drain.
    ///
    /// # Errors
    ///
    /// It has ended meanwhile.
    pub fn release(mut self) -> io::Result<()> {
        self.stream.write_all(&[READY])
    }
}

/// Hands the sockets over to whoever takes the place of this gateway, and tells `taken` then.
///
/// # Errors
///
/// The path cannot be used.
pub fn offer(
    path: &Path,
    sockets: impl Fn() -> Option<Vec<TcpListener>> + Send + 'static,
    taken: oneshot::Sender<()>,
) -> io::Result<()> {
    // Under another name first: at every moment one of the two gateways listens at the path.
    let mut own = path.as_os_str().to_owned();
    own.push(format!(".{}", std::process::id()));
    let listener = UnixListener::bind(&own)?;
    fs::rename(&own, path)?;
    thread::Builder::new().name("takeover".to_owned()).spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            match hand_over(stream, &sockets) {
                Ok(()) => {
                    // Where nobody waits, the gateway ends anyway.
                    let _ = taken.send(());
                    return;
                }
                Err(error) => say(format_args!("no other gateway has taken over: {error}")),
            }
        }
    })?;
    Ok(())
}

fn hand_over(mut stream: UnixStream, sockets: &impl Fn() -> Option<Vec<TcpListener>>) -> io::Result<()> {
    if socket_peercred(&stream)?.uid != getuid() {
        return Err(io::Error::other("it is of another user"));
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    let sockets = sockets().ok_or_else(|| io::Error::other("this one ends already"))?;
    let mut parts = sockets.chunks(TOGETHER).peekable();
    while let Some(part) = parts.next() {
        let says = if parts.peek().is_some() { MORE } else { LAST };
        send(&stream, part, says)?;
    }
    let mut says = [0];
    stream.read_exact(&mut says)?;
    if says == [READY] { Ok(()) } else { Err(io::Error::other("it is no gateway")) }
}

fn send(stream: &UnixStream, sockets: &[TcpListener], says: u8) -> io::Result<()> {
    let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(TOGETHER))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&sockets));
    sendmsg(stream, &[IoSlice::new(&[says])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Appends the sockets of one message; gives what it says.
fn receive(stream: &UnixStream, sockets: &mut Vec<TcpListener>) -> io::Result<u8> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(TOGETHER))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut says = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let got = recvmsg(stream, &mut [IoSliceMut::new(&mut says)], &mut control, flags)?;
    if got.bytes == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it handed no sockets over"));
    }
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(all) = message {
            sockets.extend(all.map(|socket: OwnedFd| TcpListener::from(socket)));
        }
    }
    Ok(says[0])
}
