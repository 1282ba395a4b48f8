//! Another gateway takes the sockets over while requests come.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::client::{Client, get};
use crate::gateway::{File, Gateway, PATIENCE, command, file};
use crate::upstream::Upstream;

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port")
}

/// Settings of a gateway whose sockets may be taken over, at ports that are free now.
fn settings(upstream: SocketAddr, folder: &std::path::Path) -> String {
    format!(
        "takeover = '{}'\nadmin.address = '{}'\n[[listeners]]\naddress = '{}'\n\
         [upstreams.a]\nendpoints = ['{upstream}']\n[[routes]]\nupstream = 'a'\n",
        folder.join("takeover").display(),
        free(),
        free()
    )
}

/// Asks again and again, on connections that stay open as long as the gateway lets them.
fn load(address: SocketAddr, done: &AtomicBool, answered: &AtomicUsize) {
    let mut client = Client::connect(address);
    while !done.load(Ordering::SeqCst) {
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
        let answer = client.answer();
        assert_eq!(answer.status, 200);
        answered.fetch_add(1, Ordering::SeqCst);
        if answer.field("connection") == Some("close") || answered.load(Ordering::SeqCst).is_multiple_of(7) {
            client = Client::connect(address);
        }
    }
}

#[test]
fn no_request_fails_while_another_gateway_takes_over() {
    let upstream = Upstream::saying("ok");
    let folder = tempfile::tempdir().expect("a folder");
    let text = settings(upstream.address, folder.path());
    // Another number of threads each time: sockets and threads need not be as many.
    let with_threads = |count: usize| file(&format!("threads = {count}\n{text}"));
    let files: Vec<File> = [2, 1, 3].into_iter().map(with_threads).collect();
    let mut current = Gateway::from_file(&files[0]);
    let (address, admin) = (current.address, current.admin);
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| load(address, &done, &answered));
        }
        for file in &files[1..] {
            thread::sleep(Duration::from_millis(300));
            let next = Gateway::from_file(file);
            assert_eq!((next.address, next.admin), (address, admin));
            current.says("another gateway has taken over: draining");
            assert_eq!(current.wait().code(), Some(0));
            assert_eq!(get(admin, "/readyz").status, 200);
            current = next;
        }
        let before = answered.load(Ordering::SeqCst);
        let deadline = std::time::Instant::now() + PATIENCE;
        while answered.load(Ordering::SeqCst) < before + 20 {
            assert!(std::time::Instant::now() < deadline, "the last gateway answers");
            thread::sleep(Duration::from_millis(10));
        }
        done.store(true, Ordering::SeqCst);
    });
    println!("{} requests, none failed", answered.load(Ordering::SeqCst));
}

#[test]
fn a_gateway_that_cannot_start_takes_nothing_over() {
    let upstream = Upstream::saying("ok");
    let folder = tempfile::tempdir().expect("a folder");
    let good = settings(upstream.address, folder.path());
    let running = Gateway::from_file(&file(&good));
    // An address that is in use, beside those that could be taken over.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    let more =
        good.replacen("[[listeners]]", &format!("[[listeners]]\naddress = '{address}'\n[[listeners]]"), 1);
    let more = file(&more);
    let mut second = command(&["run", "--config"]);
    let output = second.arg(&more).output().expect("the built program");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot listen on"), "{said}");
    running.says("the takeover by another gateway failed");
    assert_eq!(get(running.address, "/").status, 200);
    assert_eq!(get(running.admin, "/readyz").status, 200);
}
