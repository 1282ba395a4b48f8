//! The state of a connection without its socket. The driver passes received bytes to it and writes its
//! output; the handles of streams act on it directly.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use super::code::Code;
use super::drain::Drain;
use super::error::Ended;
use super::frame;
use super::hpack::{Decoder, Encoder};
use super::limits::Rate;
use super::linger::Linger;
use super::output::Output;
use super::recent::Recent;
use super::settings::{self, Peer, Settings};
use super::streams::{Key, Streams};

/// The role of this end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Client,
}

pub(super) type Shared = Rc<RefCell<Core>>;

/// Initial flow-control window (RFC 9113 section 6.9.2).
pub(super) const FIRST_WINDOW: u32 = 65_535;

/// A field block that continues in CONTINUATION frames.
#[derive(Debug)]
pub(super) struct Continued {
    pub id: u32,
    pub end: bool,
    /// The stream depends on itself.
    pub own_parent: bool,
    pub block: Vec<u8>,
    pub frames: usize,
}

/// Counters for flood detection.
#[derive(Debug)]
pub(super) struct Rates {
    pub resets: Rate,
    pub faults: Rate,
    pub settings: Rate,
    pub pings: Rate,
    pub empty_data: Rate,
    pub window_updates: Rate,
    pub ignored: Rate,
}

#[derive(Debug)]
pub(super) struct Core {
    pub role: Role,
    pub settings: Rc<Settings>,
    pub peer: Peer,
    pub streams: Streams,
    pub decoder: Decoder,
    pub encoder: Encoder,
    pub output: Output,
    pub continued: Option<Box<Continued>>,
    /// Send window of the connection.
    pub send_window: i64,
    /// Receive window of the connection.
    pub recv_window: i64,
    /// Released bytes for which no WINDOW_UPDATE was sent yet.
    pub credit: u32,
    /// The highest stream id of the peer.
    pub last_id: u32,
    /// The next stream id of this side.
    pub next_id: u32,
    /// Recently closed streams.
    pub recent: Recent,
    /// The last stream id of the peer's GOAWAY.
    pub goaway: Option<u32>,
    /// The error code of that GOAWAY.
    pub goaway_code: Code,
    pub linger: Linger,
    pub drain: Drain,
    /// Requests that the driver has not returned yet.
    pub accepted: VecDeque<Key>,
    /// Streams that wait for capacity of the connection, in order.
    pub waiting: VecDeque<Key>,
    /// Tasks that wait to open a stream.
    pub openers: Vec<Waker>,
    pub driver: Option<Waker>,
    /// The driver is running and checks everything before it suspends.
    pub driving: bool,
    pub settings_received: bool,
    pub settings_acknowledged: bool,
    /// The number of handles that can open streams.
    pub senders: usize,
    pub ended: Option<Ended>,
    pub rates: Rates,
    pub idle_since: Instant,
}

impl Core {
    pub fn new(role: Role, settings: Rc<Settings>) -> Self {
        let now = Instant::now();
        let floods = &settings.floods;
        let rates = Rates {
            resets: Rate::new(floods.resets, now),
            faults: Rate::new(floods.faults, now),
            settings: Rate::new(floods.settings, now),
            pings: Rate::new(floods.pings, now),
            empty_data: Rate::new(floods.empty_data, now),
            window_updates: Rate::new(floods.window_updates, now),
            ignored: Rate::new(floods.ignored, now),
        };
        let mut core = Self {
            role,
            peer: Peer::new(),
            streams: Streams::default(),
            decoder: Decoder::new(settings.header_table_bytes),
            encoder: Encoder::new(),
            output: Output::default(),
            continued: None,
            send_window: i64::from(FIRST_WINDOW),
            recv_window: i64::from(settings.connection_window.max(FIRST_WINDOW)),
            credit: 0,
            last_id: 0,
            next_id: 1,
            recent: Recent::new(),
            goaway: None,
            goaway_code: Code::NO_ERROR,
            linger: Linger::default(),
            drain: Drain::Not,
            accepted: VecDeque::new(),
            waiting: VecDeque::new(),
            openers: Vec::new(),
            driver: None,
            driving: false,
            settings_received: false,
            settings_acknowledged: false,
            senders: 0,
            ended: None,
            rates,
            idle_since: now,
            settings,
        };
        core.greet();
        core
    }

    /// The connection preface (RFC 9113 section 3.4).
    fn greet(&mut self) {
        let own = &self.settings;
        let bytes = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let mut entries = [(0, 0); 5];
        let mut count = 0;
        let mut announce = |id, value| {
            if let Some(entry) = entries.get_mut(count) {
                *entry = (id, value);
                count += 1;
            }
        };
        if own.header_table_bytes != 4096 {
            announce(settings::HEADER_TABLE_SIZE, bytes(own.header_table_bytes));
        }
        if own.stream_window != FIRST_WINDOW {
            announce(settings::INITIAL_WINDOW_SIZE, own.stream_window);
        }
        announce(settings::MAX_HEADER_LIST_SIZE, bytes(own.header_list_bytes));
        match self.role {
            Role::Client => announce(settings::ENABLE_PUSH, 0),
            Role::Server => {
                announce(settings::MAX_CONCURRENT_STREAMS, own.concurrent_streams);
                if own.connect_protocol {
                    announce(settings::ENABLE_CONNECT_PROTOCOL, 1);
                }
            }
        }
        let more = own.connection_window.saturating_sub(FIRST_WINDOW);
        let out = self.output.buffer();
        if self.role == Role::Client {
            out.extend_from_slice(frame::PREFACE);
        }
        frame::settings(out, entries.get(..count).unwrap_or_default());
        if more > 0 {
            frame::window_update(out, 0, more);
        }
    }
}
