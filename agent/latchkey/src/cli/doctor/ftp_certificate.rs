//! The file with the certificate and key of the FTP server: whose it is, how long it is good, and what it names.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

use super::{Finding, certificates, failure, well};

/// Whether people who are told `host` can use the FTP server with this file, and nobody but root can take its key.
pub(super) fn look_at(path: &Path, host: &str, now: Timestamp) -> Finding {
    Finding::worst_of([is_roots_alone(path), certificates::look_at(path, now), names(path, host)])
}

fn is_roots_alone(path: &Path) -> Finding {
    let name = path.display();
    match std::fs::metadata(path) {
        Ok(found) if found.uid() != 0 || found.mode() & 0o077 != 0 => failure(
            format!("others than root may read or change {name}, which holds the key of the FTP server"),
            format!("chown root: {name}; chmod 600 {name}; where others could read it, make a new key"),
        ),
        Ok(_) => well(format!("{name} is root's alone")),
        Err(error) => failure(format!("{name}: {error}"), to_do()),
    }
}

/// The first certificate of the file is the server's own.
fn names(path: &Path, host: &str) -> Finding {
    let name = path.display();
    let Ok(server) = ServerName::try_from(host) else {
        return failure(format!("{host:?} is no name of a host"), "correct `host` in [ftp] of latchkey.toml");
    };
    let certificate = CertificateDer::from_pem_file(path).ok();
    let Some(certificate) = certificate.as_ref().and_then(|der| ParsedCertificate::try_from(der).ok()) else {
        return failure(format!("{name} holds no certificate of a server"), to_do());
    };
    match rustls::client::verify_server_name(&certificate, &server) {
        Ok(()) => well(format!("it names {host}")),
        Err(_) => failure(format!("the certificate in {name} does not name {host}, which people are told"), to_do()),
    }
}

fn to_do() -> &'static str {
    "put certificate and key of the FTP server there, and name the file as CertFile in pure-ftpd.conf and as `certificate` in [ftp] of latchkey.toml"
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::super::is_failure;
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_file_that_clients_cannot_use_or_others_can_read_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ftp.pem");
        let now = Clock::default().now();
        let look = |host: &str, now: Timestamp| look_at(&path, host, now);
        assert!(is_failure(&look("ftp.example", now)));
        let made = rcgen::generate_simple_self_signed(["ftp.example".to_owned(), "192.0.2.7".to_owned()]).unwrap();
        fs::write(&path, made.signing_key.serialize_pem() + &made.cert.pem()).unwrap();
        for (mode, is_well) in [(0o600, true), (0o640, false), (0o604, false), (0o400, true)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(!is_failure(&look("ftp.example", now)), is_well, "{mode:o}");
        }
        assert!(!is_failure(&look("192.0.2.7", now)));
        for host in ["other.example", "192.0.2.8", "no name"] {
            assert!(is_failure(&look(host, now)), "{host}");
        }
        assert!(is_failure(&look("ftp.example", Timestamp::MAX)));
        chown(&path, Some(1), None).unwrap();
        assert!(is_failure(&look("ftp.example", now)));
        chown(&path, Some(0), None).unwrap();
        fs::write(&path, made.signing_key.serialize_pem()).unwrap();
        assert!(is_failure(&look("ftp.example", now)));
    }
}
