//! FTP: whether the server answers and insists on TLS, with a certificate that clients can use, and whether it can ask who
//! may come in.

use std::io::{self, Read as _};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, ToSocketAddrs as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::greeting::Conversation;
use super::{Finding, Patient, failure, ftp_certificate, well};
use crate::config::Ftp;

/// Nothing has to be decided for this answer.
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_ANSWER_BYTES: u64 = 1 << 10;

pub(super) fn all(patient: &Patient) -> Finding {
    let (config, broker) = match (patient.config(), patient.broker_settings()) {
        (Ok(config), Ok(broker)) => (config, broker),
        (Err(not_looked), _) | (_, Err(not_looked)) => return not_looked.into(),
    };
    match (&config.ftp, &broker.ftp) {
        (None, None) => well("not served"),
        (Some(serve), Some(auth)) => Finding::worst_of([
            server(&addresses(serve), &format!("{}, port {}", serve.host, serve.port)),
            ask_socket(&auth.socket),
            same_socket(&serve.socket, &auth.serve_socket),
            ftp_certificate::look_at(&serve.certificate, &serve.host, patient.now),
        ]),
        (serve, _) => {
            let (has, has_not) =
                if serve.is_some() { ("latchkey.toml", "broker.toml") } else { ("broker.toml", "latchkey.toml") };
            failure(
                format!("{has} has a section [ftp] and {has_not} has none"),
                "add it there; packaging/config explains it",
            )
        }
    }
}

/// Where people are told that the server is; and this machine, because from inside that may not lead back here.
fn addresses(settings: &Ftp) -> Vec<SocketAddr> {
    let told = (settings.host.as_str(), settings.port).to_socket_addrs().into_iter().flatten();
    let here = [(Ipv4Addr::LOCALHOST, settings.port).into(), (Ipv6Addr::LOCALHOST, settings.port).into()];
    told.chain(here).collect()
}

/// What became of a command that the server was told after its greeting.
enum Answer {
    /// The three digits of the reply; none if it hung up.
    Code(String),
    /// It greets in another way than an FTP server that has room.
    NoGreeting(String),
}

/// Whether the first of these addresses where somebody listens is an FTP server that lets nobody in without TLS.
fn server(addresses: &[SocketAddr], told: &str) -> Finding {
    let to_do = "systemctl status latchkey-pure-ftpd; compare its configuration with the one that is shipped";
    let judged = |at: SocketAddr| {
        Ok::<_, io::Error>(match (after(at, "AUTH TLS")?, after(at, "USER doctor")?) {
            (Answer::NoGreeting(said), _) | (_, Answer::NoGreeting(said)) => {
                failure(format!("the FTP server at {at} says {said:?} instead of a greeting"), to_do)
            }
            (Answer::Code(offer), _) if offer != "234" => {
                failure(format!("the FTP server at {at} offers no TLS"), to_do)
            }
            (_, Answer::Code(refusal)) if refusal.starts_with(['2', '3']) => {
                failure(format!("the FTP server at {at} takes passwords without TLS"), to_do)
            }
            _ => well(format!("{at} answers and insists on TLS")),
        })
    };
    let nobody = || io::Error::from(io::ErrorKind::NotConnected);
    let mut last = nobody();
    for at in addresses {
        match judged(*at) {
            Ok(finding) => return finding,
            Err(error) => last = error,
        }
    }
    failure(format!("no FTP server answers at {told}: {last}"), to_do)
}

fn after(at: SocketAddr, command: &str) -> io::Result<Answer> {
    let mut talk = Conversation::begin(at)?;
    let greeting = reply(&mut talk)?;
    if !greeting.starts_with("220 ") {
        return Ok(Answer::NoGreeting(greeting));
    }
    talk.say(command)?;
    Ok(Answer::Code(reply(&mut talk)?.chars().take(3).collect()))
}

/// The last line of the next reply: the one with a space behind its digits (RFC 959, 4.2).
fn reply(talk: &mut Conversation) -> io::Result<String> {
    loop {
        let line = talk.hear()?;
        let is_last = line.get(..3).is_some_and(|code| code.bytes().all(|byte| byte.is_ascii_digit()))
            && matches!(line.get(3..4), None | Some(" "));
        if is_last || line.is_empty() || !may_go_on(&line) {
            return Ok(line);
        }
    }
}

/// Whether a line may be one of a longer reply; anything else is no FTP.
fn may_go_on(line: &str) -> bool {
    line.starts_with(' ') || line.get(3..4) == Some("-")
}

/// Whether somebody answers the FTP server's questions, and root's processes alone can ask.
fn ask_socket(path: &Path) -> Finding {
    let name = path.display();
    let to_do = "systemctl restart latchkey-ftpauth";
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            failure(format!("{name} is no socket"), format!("remove it; {to_do}"))
        }
        Ok(found) if found.uid() != 0 || found.mode() & 0o077 != 0 => {
            failure(format!("others than root can ask at {name}"), to_do)
        }
        Ok(_) => match ask_nothing(path) {
            Ok(answer) if answer.starts_with("auth_ok:-1\n") => well("latchkey-ftpauth answers"),
            Ok(answer) => failure(format!("the answer at {name} is {answer:?}"), to_do),
            Err(error) => failure(format!("nobody answers at {name}: {error}"), to_do),
        },
        Err(error) => failure(format!("{name}: {error}"), to_do),
    }
}

/// Connects as the FTP server does, and asks for nobody to be let in.
fn ask_nothing(path: &Path) -> io::Result<String> {
    let mut socket = UnixStream::connect(path)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    socket.by_ref().take(LONGEST_ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Whether both configurations mean the same socket, and it is there.
fn same_socket(serve: &Path, auth: &Path) -> Finding {
    if serve != auth {
        return failure(
            format!("latchkey-ftpauth asks at {}, the agent answers at {}", auth.display(), serve.display()),
            "name the same socket in [ftp] of latchkey.toml and as serve_socket in broker.toml",
        );
    }
    match std::fs::symlink_metadata(serve) {
        Ok(found) if found.file_type().is_socket() => well("it and the agent mean the same socket"),
        Ok(_) => failure(format!("{} is no socket", serve.display()), "remove it and restart the agent"),
        Err(error) => failure(format!("{}: {error}", serve.display()), "see `serve`"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, chown};
    use std::os::unix::net::UnixListener;

    use super::super::{greeting, is_failure};
    use super::*;

    /// Judges a server that has these two conversations.
    fn judged(conversations: &'static [&'static [&'static str]]) -> Finding {
        server(&[greeting::server(conversations)], "node.example, port 21")
    }

    #[test]
    fn a_server_that_insists_on_tls_is_told_from_those_that_do_not() {
        const GREETING: &str = "220---- Welcome\r\n220-You are one of 200.\r\n220 You will be disconnected.\r\n";
        const NO_CLEARTEXT: &str = "421-No cleartext here.\r\n421 Please reconnect.\r\n";
        let insists = judged(&[&[GREETING, "234 AUTH TLS OK.\r\n"], &[GREETING, NO_CLEARTEXT]]);
        assert!(matches!(insists, Finding::Well(_)), "{insists:?}");
        let hangs_up = judged(&[&[GREETING, "234 OK\r\n"], &[GREETING, ""]]);
        assert!(matches!(hangs_up, Finding::Well(_)), "{hangs_up:?}");
        assert!(is_failure(&judged(&[&[GREETING, "500 What?\r\n"], &[GREETING, NO_CLEARTEXT]])));
        assert!(is_failure(&judged(&[&[GREETING, "234 OK\r\n"], &[GREETING, "331 Password required.\r\n"]])));
        assert!(is_failure(&judged(&[&["421 200 users are there\r\n"], &["421 200 users are there\r\n"]])));
        assert!(is_failure(&judged(&[&["SSH-2.0-OpenSSH\r\n"], &["SSH-2.0-OpenSSH\r\n"]])));
    }

    #[test]
    fn a_server_is_looked_for_at_the_next_address_where_nobody_is_at_the_first() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(is_failure(&server(&[nobody], "")));
        let somebody = greeting::server(&[&["220 a\r\n", "234 b\r\n"], &["220 a\r\n", "530 c\r\n"]]);
        assert!(matches!(server(&[nobody, somebody], ""), Finding::Well(_)));
    }

    #[test]
    fn a_socket_to_ask_at_that_is_gone_none_deaf_or_open_to_others_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ask.sock");
        assert!(is_failure(&ask_socket(&path)));
        fs::write(&path, "").unwrap();
        assert!(is_failure(&ask_socket(&path)));
        fs::remove_file(&path).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let answering = listener.try_clone().unwrap();
        std::thread::spawn(move || {
            // The one who may ask is answered; whoever comes next is not.
            answering.accept().unwrap().0.write_all(b"auth_ok:-1\nend\n").unwrap();
        });
        for (mode, fails) in [(0o600, false), (0o660, true), (0o606, true)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_failure(&ask_socket(&path)), fails, "{mode:o}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(1234), None).unwrap();
        assert!(is_failure(&ask_socket(&path)));
        chown(&path, Some(0), None).unwrap();
        drop(listener);
        assert!(is_failure(&ask_socket(&path)));
    }

    #[test]
    fn both_configurations_have_to_mean_the_same_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ftp.sock");
        assert!(is_failure(&same_socket(&path, &path)));
        let _listener = UnixListener::bind(&path).unwrap();
        assert!(matches!(same_socket(&path, &path), Finding::Well(_)));
        assert!(is_failure(&same_socket(&path, &dir.path().join("other.sock"))));
    }
}
