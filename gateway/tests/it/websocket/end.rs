//! Tunnels that are ended by the gateway.

use h2::Reason;

use crate::gateway::Gateway;
use crate::http2::run;
use crate::tunnel::{agreed, ask, connect, http1_upstream, logged};

#[test]
fn a_silent_tunnel_ends_after_stream_timeout() {
    let upstream = http1_upstream(|key, _| agreed(key));
    let gateway = Gateway::with(upstream.address, "stream_timeout = '200ms'", "", "");
    run(async {
        let mut sender = connect(&gateway).await;
        let (_, mut tunnel) = ask(&mut sender, "websocket", "/ws", "").await;
        assert_eq!(tunnel.reset().await, Reason::CONNECT_ERROR);
    });
    assert!(logged(&gateway, "/ws").contains("\"failure\":\"stream_timeout\""));
}

#[test]
fn a_drain_waits_for_tunnels() {
    let upstream = http1_upstream(|key, _| agreed(key));
    let mut gateway = Gateway::before(upstream.address);
    run(async {
        let mut sender = connect(&gateway).await;
        let (_, mut tunnel) = ask(&mut sender, "websocket", "/ws", "").await;
        gateway.signal("TERM");
        gateway.says("draining");
        for _ in 0..5 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            tunnel.send("a\n");
            assert_eq!(tunnel.take(2).await, "a\n");
        }
        tunnel.send("bye\n");
        assert_eq!(tunnel.rest().await, "");
    });
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_drain_waits_for_a_tunnel_no_longer_than_its_timeout() {
    let upstream = http1_upstream(|key, _| agreed(key));
    let mut gateway = Gateway::start(&format!(
        "drain_timeout = '300ms'\n[[listeners]]\naddress = '127.0.0.1:0'\n\
         [upstreams.a]\nendpoints = ['{}']\n[[routes]]\nupstream = 'a'\n",
        upstream.address
    ));
    run(async {
        let mut sender = connect(&gateway).await;
        let (_, mut tunnel) = ask(&mut sender, "websocket", "/ws", "").await;
        gateway.signal("TERM");
        gateway.says("drain timeout reached");
        assert!(!matches!(tunnel.next().await, Some(Ok(_))));
    });
    gateway.wait();
}
