//! Names to addresses, with servers of our own.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::dial::dns::Resolver;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::{Instant, sleep};

use crate::server::run;

/// What a server does with a question.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reply {
    /// IPv4 addresses with these last numbers, and a time to live in seconds.
    Addresses(&'static [u8], u32),
    NoSuchName,
    ServerFailure,
    Silence,
    /// As `Addresses`, but over TCP only.
    OnlyTcp(&'static [u8]),
    /// First an answer under another number.
    Forged(u8),
}

#[derive(Clone)]
struct Server {
    address: SocketAddr,
    names: Arc<Mutex<HashMap<&'static str, Reply>>>,
    questions: Arc<AtomicUsize>,
}

impl Server {
    async fn new(names: &[(&'static str, Reply)]) -> Self {
        let (udp, tcp, address) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
            let address = udp.local_addr().expect("an address");
            // The port may be taken for TCP.
            if let Ok(tcp) = TcpListener::bind(address).await {
                break (udp, tcp, address);
            }
        };
        let names = Arc::new(Mutex::new(names.iter().copied().collect()));
        let server = Self { address, names, questions: Arc::default() };
        let (over_udp, over_tcp) = (server.clone(), server.clone());
        tokio::spawn(async move {
            let mut question = [0; 512];
            while let Ok((length, from)) = udp.recv_from(&mut question).await {
                for answer in over_udp.answer(&question[..length], false) {
                    udp.send_to(&answer, from).await.expect("an open socket");
                }
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let length = stream.read_u16().await.expect("a length");
                let mut question = vec![0; usize::from(length)];
                stream.read_exact(&mut question).await.expect("a question");
                for answer in over_tcp.answer(&question, true) {
                    let length = u16::try_from(answer.len()).expect("a short answer");
                    stream.write_u16(length).await.expect("an open connection");
                    stream.write_all(&answer).await.expect("an open connection");
                }
            }
        });
        server
    }

    fn set(&self, name: &'static str, reply: Reply) {
        self.names.lock().expect("no panic").insert(name, reply);
    }

    /// Questions for IPv4 addresses so far.
    fn asked(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }

    fn answer(&self, question: &[u8], tcp: bool) -> Vec<Vec<u8>> {
        let mut labels = Vec::new();
        let mut at = 12;
        while question[at] != 0 {
            let end = at + 1 + usize::from(question[at]);
            labels.push(String::from_utf8_lossy(&question[at + 1..end]).into_owned());
            at = end;
        }
        let is_v4 = question[at + 2] == 1;
        let reply = self.names.lock().expect("no panic").get(labels.join(".").as_str()).copied();
        if is_v4 {
            self.questions.fetch_add(1, Ordering::Relaxed);
        }
        let (flags, last, ttl): ([u8; 2], &[u8], u32) = match reply {
            Some(Reply::Silence) => return Vec::new(),
            Some(Reply::ServerFailure) => ([0x81, 0x82], &[], 0),
            Some(Reply::OnlyTcp(_)) if !tcp => ([0x83, 0x80], &[], 0),
            Some(Reply::Addresses(..) | Reply::OnlyTcp(_) | Reply::Forged(_)) if !is_v4 => {
                ([0x81, 0x80], &[], 0)
            }
            Some(Reply::Addresses(last, ttl)) => ([0x81, 0x80], last, ttl),
            Some(Reply::OnlyTcp(last)) => ([0x81, 0x80], last, 60),
            Some(Reply::Forged(last)) => {
                let mut forged = respond(question, [0x81, 0x80], &[66], 60);
                forged[0] ^= 0xff;
                return vec![forged, b"x".to_vec(), respond(question, [0x81, 0x80], &[last], 60)];
            }
            Some(Reply::NoSuchName) | None => ([0x81, 0x83], &[], 0),
        };
        vec![respond(question, flags, last, ttl)]
    }

    fn resolver(&self, folder: &Path) -> Resolver {
        resolver(folder, &[self.address], "")
    }
}

fn respond(question: &[u8], flags: [u8; 2], last: &[u8], ttl: u32) -> Vec<u8> {
    let mut bytes = question.to_vec();
    bytes[2..4].copy_from_slice(&flags);
    bytes[7] = u8::try_from(last.len()).expect("few");
    for &last in last {
        bytes.extend([0xc0, 12, 0, 1, 0, 1]);
        bytes.extend(ttl.to_be_bytes());
        bytes.extend([0, 4, 10, 0, 0, last]);
    }
    bytes
}

fn resolver(folder: &Path, servers: &[SocketAddr], more: &str) -> Resolver {
    let mut lines = more.to_owned();
    for server in servers {
        lines += &format!("nameserver [{}]:{}\n", server.ip(), server.port());
    }
    let file = folder.join("resolv.conf");
    std::fs::write(&file, lines).expect("a file");
    Resolver::new(&file, &folder.join("none"))
}

/// The last numbers of the addresses of a name, or why there are none.
async fn resolve(resolver: &Resolver, name: &str) -> Result<Vec<u8>, String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let addresses = resolver.resolve(name, deadline).await.map_err(|error| error.to_string())?;
    Ok(addresses
        .iter()
        .map(|address| address.to_string().rsplit('.').next().expect("one").parse().expect("v4"))
        .collect())
}

#[test]
fn answers_are_kept_for_their_time_and_take_turns() {
    let folder = tempfile::tempdir().expect("a folder");
    run(async {
        let server = Server::new(&[("a.example", Reply::Addresses(&[1, 2, 3], 2))]).await;
        let resolver = server.resolver(folder.path());
        for expected in [[1, 2, 3], [2, 3, 1], [3, 1, 2]] {
            assert_eq!(resolve(&resolver, "a.example").await, Ok(expected.to_vec()));
        }
        assert_eq!(resolve(&resolver, "A.Example").await.map(|found| found.len()), Ok(3));
        assert_eq!(server.asked(), 1);
        server.set("a.example", Reply::Addresses(&[4], 60));
        sleep(Duration::from_millis(2100)).await;
        assert_eq!(resolve(&resolver, "a.example").await, Ok(vec![4]));
        assert_eq!(server.asked(), 2);
    });
}

#[test]
fn a_name_is_asked_for_once_by_all() {
    let folder = tempfile::tempdir().expect("a folder");
    run(async {
        let server = Server::new(&[("a.example", Reply::Addresses(&[1], 60))]).await;
        let resolver = Arc::new(server.resolver(folder.path()));
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let resolver = Arc::clone(&resolver);
                tokio::spawn(async move { resolve(&resolver, "a.example").await })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.expect("no panic"), Ok(vec![1]));
        }
        assert_eq!(server.asked(), 1);
    });
}

#[test]
fn old_answers_serve_while_no_server_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    run(async {
        for failure in [Reply::ServerFailure, Reply::Silence] {
            let server = Server::new(&[("a.example", Reply::Addresses(&[1], 0))]).await;
            let resolver = server.resolver(folder.path());
            assert_eq!(resolve(&resolver, "a.example").await, Ok(vec![1]));
            server.set("a.example", failure);
            sleep(Duration::from_millis(1100)).await;
            let start = Instant::now();
            assert_eq!(resolve(&resolver, "a.example").await, Ok(vec![1]));
            assert!(start.elapsed().as_millis() < 1500, "{:?}", start.elapsed());
            // Not asked again at once, so that no dial waits.
            let (asked, start) = (server.asked(), Instant::now());
            assert_eq!(resolve(&resolver, "a.example").await, Ok(vec![1]));
            assert!(server.asked() == asked && start.elapsed().as_millis() < 100);
        }
        // A name that is gone is gone.
        let server = Server::new(&[("a.example", Reply::Addresses(&[1], 0))]).await;
        let resolver = server.resolver(folder.path());
        assert_eq!(resolve(&resolver, "a.example").await, Ok(vec![1]));
        server.set("a.example", Reply::NoSuchName);
        sleep(Duration::from_millis(1100)).await;
        let text = resolve(&resolver, "a.example").await.expect_err("no name");
        assert_eq!(text, "no such name, or it has no address");
        let asked = server.asked();
        assert!(resolve(&resolver, "a.example").await.is_err());
        assert_eq!(server.asked(), asked, "kept too");
    });
}

#[test]
fn the_next_server_is_asked_where_one_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    run(async {
        for (first, least) in [(Reply::ServerFailure, 0), (Reply::Silence, 900)] {
            let bad = Server::new(&[("a.example", first)]).await;
            let good = Server::new(&[("a.example", Reply::Addresses(&[7], 60))]).await;
            let resolver = resolver(folder.path(), &[bad.address, good.address], "");
            let start = Instant::now();
            assert_eq!(resolve(&resolver, "a.example").await, Ok(vec![7]));
            let took = start.elapsed().as_millis();
            assert!((least..least + 800).contains(&took), "{took} ms");
        }
        let bad = Server::new(&[("a.example", Reply::ServerFailure)]).await;
        let text = resolve(&bad.resolver(folder.path()), "a.example").await.expect_err("no answer");
        assert_eq!(text, format!("DNS server {}: it failed (SERVFAIL)", bad.address));
    });
}

#[test]
fn long_answers_come_over_tcp_and_forged_ones_do_not_count() {
    let folder = tempfile::tempdir().expect("a folder");
    run(async {
        let names = [("long.example", Reply::OnlyTcp(&[1, 2])), ("forged.example", Reply::Forged(5))];
        let server = Server::new(&names).await;
        let resolver = server.resolver(folder.path());
        assert_eq!(resolve(&resolver, "long.example").await, Ok(vec![1, 2]));
        assert_eq!(resolve(&resolver, "forged.example").await, Ok(vec![5]));
    });
}

#[test]
fn short_names_are_searched_for() {
    let folder = tempfile::tempdir().expect("a folder");
    run(async {
        let names = [
            ("db.svc.local", Reply::Addresses(&[1], 60)),
            ("api.example", Reply::Addresses(&[2], 60)),
            ("api.example.svc.local", Reply::Addresses(&[3], 60)),
        ];
        let server = Server::new(&names).await;
        let resolver =
            resolver(folder.path(), &[server.address], "search a.svc.local svc.local\noptions ndots:5\n");
        for (name, expected) in [("db", 1), ("api.example.", 2), ("api.example", 3)] {
            assert_eq!(resolve(&resolver, name).await, Ok(vec![expected]), "{name}");
        }
    });
}

#[test]
fn addresses_and_this_machine_need_no_server() {
    let folder = tempfile::tempdir().expect("a folder");
    run(async {
        let resolver = resolver(folder.path(), &[SocketAddr::from((Ipv4Addr::LOCALHOST, 1))], "");
        let deadline = Instant::now() + Duration::from_secs(10);
        for (name, expected) in [("10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("localhost", "::1 127.0.0.1")] {
            let found = resolver.resolve(name, deadline).await.expect("an address");
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected);
        }
        for name in ["a..example", "ä.example", ""] {
            let text = resolver.resolve(name, deadline).await.expect_err("no name").to_string();
            assert_eq!(text, "it is not a DNS name", "{name}");
        }
    });
}
