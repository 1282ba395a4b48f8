//! How long a client of HTTP/2 may leave a response where it is. With its flow control it can stop
//! one stream while the connection stays well, which the time limit on writes never sees.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep};

use super::connection::Connection;

tokio::task_local! {
    /// How the response of this stream stands; each stream has a task of its own.
    static HANDED: Cell<Handed>;
}

/// What a body has handed to the codec.
#[derive(Debug, Clone, Copy, Default)]
struct Handed {
    /// Frames so far.
    frames: u64,
    /// Whether the codec has not asked for more since: it waits for the client to open its window.
    waits: bool,
}

/// Runs the streams of one connection, and ends those whose client takes nothing for too long.
#[derive(Debug, Clone)]
pub struct Streams {
    /// The connection of the streams.
    pub connection: Arc<Connection>,
    /// The longest time.
    pub limit: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let watched = watch(stream, Arc::clone(&self.connection), self.limit);
        tokio::spawn(HANDED.scope(Cell::default(), watched));
    }
}

/// Runs a stream to its end or until its client has taken nothing for `limit`. Let go of before its
/// end, the codec resets it.
async fn watch(stream: impl Future<Output = ()>, connection: Arc<Connection>, limit: Duration) {
    let mut stream = pin!(stream);
    let mut armed: Option<(u64, Pin<Box<Sleep>>)> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let handed = HANDED.with(Cell::get);
        if !handed.waits {
            armed = None;
            return Poll::Pending;
        }
        let timer = match &mut armed {
            Some((frames, timer)) if *frames == handed.frames => timer,
            armed => &mut armed.insert((handed.frames, Box::pin(sleep(limit)))).1,
        };
        loop {
            ready!(timer.as_mut().poll(cx));
            // Streams that share a slow network wait long for their turn. That is not the window,
            // and has a limit of its own.
            let until = match connection.writable_since() {
                Some(since) if since.elapsed() >= limit => return Poll::Ready(()),
                Some(since) => since + limit,
                None => Instant::now() + limit,
            };
            timer.as_mut().reset(until);
        }
    })
    .await;
}

/// A response body that tells its stream's task what it has handed over.
#[derive(Debug)]
pub struct Watched<B>(pub B);

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.0).poll_frame(cx);
        let waits = matches!(frame, Poll::Ready(Some(Ok(_))));
        // Outside of a stream's task nobody watches.
        let _ = HANDED.try_with(|handed| {
            let frames = handed.get().frames.wrapping_add(u64::from(waits));
            handed.set(Handed { frames, waits });
        });
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
