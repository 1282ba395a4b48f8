//! Frames of any kind in any order: the connection ends or goes on, and nothing panics.

use std::future::poll_fn;
use std::rc::Rc;

use gateway::http::fields::Fields;
use gateway::http2::{BodyEvent, PREFACE, RequestLine, Settings, connect, serve};
use tokio::io::{AsyncWriteExt, duplex};
use tokio::task::{JoinHandle, spawn_local};

use crate::wire::{SETTINGS, Wire, get, run};

/// xorshift, from a seed that is not 0.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).expect("a bound")).expect("below the bound")
    }

    fn byte(&mut self) -> u8 {
        self.below(256).to_le_bytes()[0]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.byte()).collect()
    }
}

/// Frames that mostly have a sound form, so that they come far.
async fn send_frames(wire: &mut Wire, random: &mut Random) {
    let mut next = 1;
    for _ in 0..60 {
        let kind = random.below(11).to_le_bytes()[0];
        let flags = random.byte() & [0x05, 0x25, 0x2d, 0x04][random.below(4)];
        let stream = match random.below(4) {
            0 => 0,
            1 => u32::try_from(random.below(12)).expect("an id"),
            _ => next,
        };
        let mut payload = match (kind, random.below(4)) {
            (1 | 9, 0..=2) => get(&[("a", "b"), ("content-length", "3")]),
            (3 | 8, 0..=2) => random.bytes(0x7f).into_iter().chain([0; 4]).take(4).collect(),
            (6 | 7, 0..=2) => random.bytes(9).into_iter().chain([0; 8]).take(8).collect(),
            (4, 0..=2) => vec![0, 1 + random.byte() % 8, 0, 0, random.byte(), random.byte()],
            _ => random.bytes(600),
        };
        if random.below(10) == 0 && !payload.is_empty() {
            let at = random.below(payload.len());
            payload[at] = random.byte();
        }
        if kind == 1 {
            next += 2;
        }
        if wire.try_send(kind, flags, stream, &payload).await.is_err() {
            break;
        }
        if random.below(8) == 0 {
            tokio::task::yield_now().await;
        }
    }
}

async fn finished<T>(task: JoinHandle<T>) {
    task.await.expect("a task that does not panic");
}

#[test]
fn a_server_takes_anything() {
    for seed in 1..300 {
        run(async {
            let mut random = Random(seed * 0x9e37_79b9);
            let (ours, theirs) = duplex(1 << 20);
            let mut driver = serve(theirs, &PREFACE[..10], Rc::new(Settings::default()));
            let server = spawn_local(async move {
                let mut tasks = Vec::new();
                while let Some(request) = poll_fn(|cx| driver.poll_request(cx)).await {
                    tasks.push(spawn_local(async move {
                        let stream = request.stream;
                        if stream.send_head(200, &request.head.fields, false).is_err() {
                            return;
                        }
                        while let Ok(BodyEvent::Data(piece)) = poll_fn(|cx| stream.poll_body(cx)).await {
                            stream.release(piece.len());
                            let _ = poll_fn(|cx| stream.poll_send(cx, &piece, false)).await;
                        }
                        let _ = poll_fn(|cx| stream.poll_send(cx, b"", true)).await;
                    }));
                }
                for task in tasks {
                    finished(task).await;
                }
            });
            let mut wire = Wire { io: ours };
            wire.io.write_all(&PREFACE[10..]).await.expect("the preface");
            wire.send(SETTINGS, 0, 0, &[]).await;
            send_frames(&mut wire, &mut random).await;
            drop(wire);
            finished(server).await;
        });
    }
}

#[test]
fn a_client_takes_anything() {
    for seed in 1..300 {
        run(async {
            let mut random = Random(seed * 0x9e37_79b9);
            let (ours, theirs) = duplex(1 << 20);
            let (driver, sender) = connect(theirs, Rc::new(Settings::default()));
            let driver = spawn_local(driver);
            let mut tasks = Vec::new();
            for _ in 0..4 {
                let line = RequestLine {
                    method: b"GET",
                    scheme: Some(b"http"),
                    authority: Some(b"a"),
                    path: Some(b"/"),
                    protocol: None,
                    content_length: None,
                };
                let stream = sender.open(&line, &Fields::new(), false).expect("a stream");
                tasks.push(spawn_local(async move {
                    while poll_fn(|cx| stream.poll_head(cx)).await.is_ok_and(|head| head.status < 200) {}
                    while let Ok(BodyEvent::Data(piece)) = poll_fn(|cx| stream.poll_body(cx)).await {
                        stream.release(piece.len());
                    }
                }));
            }
            let mut wire = Wire { io: ours };
            wire.send(SETTINGS, 0, 0, &[]).await;
            wire.send(1, 4, 1, &[0x88]).await;
            send_frames(&mut wire, &mut random).await;
            drop(wire);
            finished(driver).await;
            for task in tasks {
                finished(task).await;
            }
        });
    }
}
