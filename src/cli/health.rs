//! `health`: requests `/livez` of the running process. It uses the standard library alone because it runs every few
//! seconds.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::{CommandError, ConfigArg, Io};
use crate::config::load_ops_address;

/// Timeout of connecting, of writing and of each read. Container health checks allow 30 s in all by default.
const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(super) struct Health {
    #[command(flatten)]
    file: ConfigArg,
}

impl Health {
    pub(super) fn run(self, io: &mut Io<'_>) -> Result<(), CommandError> {
        let address = connect_address(load_ops_address(self.file.config.as_deref(), io.variables)?);
        check_liveness(address).with_context(|| format!("not alive at {address}"))?;
        io.print("alive")
    }
}

/// The address to connect to: a listener on all addresses is reached on loopback.
pub(super) fn connect_address(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listening.port())
}

fn check_liveness(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let request = format!("GET /livez HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // Read to the end, so that the server sees no reset. The status line alone decides, even if the rest is missing.
    let mut answer = Vec::new();
    let end = stream.take(64 * 1024).read_to_end(&mut answer);
    let Some(status) = answer.get(..12) else {
        end.context("no answer in time")?;
        bail!("the answer is cut off");
    };
    ensure!(status == b"HTTP/1.1 200", "it answered {:?}", String::from_utf8_lossy(status));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// The result of asking a server that gives this answer, and the request that the server received.
    fn asked(answer: &'static str) -> (anyhow::Result<()>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = [0; 1024];
            let len = stream.read(&mut request).expect("a request");
            stream.write_all(answer.as_bytes()).expect("answered");
            String::from_utf8_lossy(&request[..len]).into_owned()
        });
        let result = check_liveness(address);
        (result, server.join().expect("served"))
    }

    #[test]
    fn only_200_is_alive() {
        let (result, request) = asked("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        assert!(result.is_ok(), "{result:?}");
        assert!(request.starts_with("GET /livez HTTP/1.1\r\nhost: 127.0.0.1:"), "{request}");
        for answer in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "HTTP/1.1 2", "", "SSH-2.0"] {
            assert!(asked(answer).0.is_err(), "{answer}");
        }
    }

    #[test]
    fn health_without_a_listener_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        assert!(check_liveness(address).is_err());
    }

    #[test]
    fn address_of_a_wildcard_is_reached_on_loopback() {
        for (listening, asked) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("10.0.0.5:9090", "10.0.0.5:9090"),
        ] {
            let address = connect_address(listening.parse().expect("an address"));
            assert_eq!(address.to_string(), asked);
        }
    }
}
