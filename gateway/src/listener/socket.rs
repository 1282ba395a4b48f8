//! Listening sockets, one per thread.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Maximum length of the accept queue. The system reduces it to its own limit.
const BACKLOG: i32 = 4096;

/// Binds `count` sockets to one address; the system distributes connections among them.
///
/// With port 0 the system chooses one port for all of them.
///
/// # Errors
///
/// The system's error, such as an address in use.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    let mut address = address;
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = open(address, count > 1)?;
        address = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::bind;

    #[test]
    fn sockets_share_a_port() {
        let sockets = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 3).expect("a free port");
        let ports: Vec<u16> =
            sockets.iter().map(|socket| socket.local_addr().expect("bound").port()).collect();
        assert_ne!(ports[0], 0);
        assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    }
}
