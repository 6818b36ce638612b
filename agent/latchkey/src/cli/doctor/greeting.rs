//! What a server of files says to whoever connects, in lines.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server that says nothing within this time does not serve.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than any server says at once.
const LONGEST_BYTES: u64 = 8 << 10;

/// A connection to a server of which a line or two is of interest. Each read and write blocks for seconds at most.
pub(super) struct Conversation {
    server: BufReader<TcpStream>,
}

impl Conversation {
    /// Connects; to this machine itself where the server listens at every address.
    pub(super) fn begin(at: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&reachable(at), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { server: BufReader::new(stream) })
    }

    /// The next line, without its end; empty when the server has hung up.
    pub(super) fn hear(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.server.by_ref().take(LONGEST_BYTES).read_until(b'\n', &mut line)?;
        Ok(String::from_utf8_lossy(&line).trim_end().chars().filter(|letter| !letter.is_control()).collect())
    }

    /// Says a line.
    pub(super) fn say(&mut self, line: &str) -> io::Result<()> {
        self.server.get_mut().write_all(format!("{line}\r\n").as_bytes())
    }
}

/// Where a server can be reached that listens at this address.
fn reachable(listening: SocketAddr) -> SocketAddr {
    match listening {
        SocketAddr::V4(at) if at.ip().is_unspecified() => ([127, 0, 0, 1], at.port()).into(),
        SocketAddr::V6(at) if at.ip().is_unspecified() => (std::net::Ipv6Addr::LOCALHOST, at.port()).into(),
        at => at,
    }
}

/// A server of one conversation after the other, for tests: it answers what it is told with the next of these texts, of
/// which the first is the greeting, and hangs up after the last.
#[cfg(test)]
pub(super) fn server(answers: &'static [&'static [&'static str]]) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for texts in answers {
            let mut client = BufReader::new(listener.accept().unwrap().0);
            for (number, text) in texts.iter().enumerate() {
                if number > 0 {
                    client.read_line(&mut String::new()).unwrap();
                }
                client.get_mut().write_all(text.as_bytes()).unwrap();
            }
        }
    });
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_at_every_address_is_asked_on_this_machine() {
        let reached = |at: &str| reachable(at.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:2022"), "127.0.0.1:2022");
        assert_eq!(reached("[::]:2022"), "[::1]:2022");
        assert_eq!(reached("192.0.2.1:2022"), "192.0.2.1:2022");
    }

    #[test]
    fn lines_are_heard_one_by_one_until_the_server_hangs_up() {
        let mut talk = Conversation::begin(server(&[&["220-a\r\n220 b\u{7}\r\n", "234 c\r\n"]])).unwrap();
        assert_eq!((talk.hear().unwrap(), talk.hear().unwrap()), ("220-a".to_owned(), "220 b".to_owned()));
        talk.say("AUTH TLS").unwrap();
        assert_eq!((talk.hear().unwrap(), talk.hear().unwrap()), ("234 c".to_owned(), String::new()));
    }
}
