//! The bound of the memory.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, get};
use crate::gateway::{Gateway, PATIENCE};
use crate::upstream::{Upstream, response};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// Whatever the process uses is more than the bound, so that all but the requests that are always taken are refused.
#[test]
fn without_memory_further_requests_are_refused() {
    let (go_on, goes_on) = channel::<()>();
    let goes_on = Mutex::new(goes_on);
    let upstream = Upstream::start(move |_, client| {
        // Until the test lets all of them go.
        let _ = goes_on.lock().expect("unpoisoned").recv_timeout(PATIENCE);
        client.send(response(200, "whole"));
        true
    });
    let gateway = Gateway::start(&format!(
        "max_memory = '1KiB'\n[[listeners]]\naddress = '127.0.0.1:0'\n\
         [upstreams.a]\nendpoints = ['{}']\n[[routes]]\nupstream = 'a'\n",
        upstream.address
    ));
    assert!(get(gateway.admin, "/metrics").body.contains("\ngateway_memory_max_bytes 1024\n"));
    // Sixteen in each of two workers are taken, however the system divides the connections.
    let mut clients: Vec<Client> = (0..48).map(|_| Client::connect(gateway.address)).collect();
    let deadline = Instant::now() + PATIENCE;
    let mut refused = 0;
    let mut waiting = Vec::new();
    for mut client in clients.drain(..) {
        client.send(REQUEST);
        // A look at the memory comes with a tenth of a second.
        thread::sleep(Duration::from_millis(10));
        if let Some(head) = client.head_within(Duration::from_millis(100)) {
            assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: 1"), "{head}");
            refused += 1;
        } else {
            waiting.push(client);
        }
    }
    assert!(Instant::now() < deadline, "a refusal does not wait");
    assert!(refused >= 12 && waiting.len() >= 16, "{refused} refused, {} wait", waiting.len());
    let line = gateway.logged();
    assert!(line.contains("\"status\":503") && line.contains("\"failure\":\"memory\""), "{line}");
    drop(go_on);
    for mut client in waiting {
        assert_eq!(client.answer().status, 200);
    }
    let mut client = Client::connect(gateway.address);
    client.send(REQUEST);
    assert_eq!(client.answer().status, 200, "with few requests in flight");
}
