//! Tests of `latchkey pki`: what OpenSSL and an independent parser make of the files.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use x509_parser::prelude::{GeneralName, X509Certificate};

use super::*;

fn now() -> Timestamp {
    Timestamp::now()
}

fn init(dir: &Path) -> Init {
    Init { dir: dir.to_owned(), name: Some("Test".into()), days: AUTHORITY_DAYS, force: false }
}

fn issue(dir: &Path, name: &str) -> Issue {
    Issue { dir: dir.to_owned(), name: name.into(), client_uri: None, servers: Vec::new(), days: None, force: false }
}

fn client(dir: &Path, uri: &str) -> Command {
    Command::Issue(Issue { client_uri: Some(uri.into()), ..issue(dir, "panel") })
}

fn server(dir: &Path, names: &[&str]) -> Command {
    let servers = names.iter().map(|name| (*name).to_owned()).collect();
    Command::Issue(Issue { servers, ..issue(dir, "site") })
}

fn authority() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    run(&Command::Init(init(dir.path())), now()).unwrap();
    dir
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

#[track_caller]
fn refused(command: &Command, at: Timestamp, expected: &str) {
    let text = chain(&run(command, at).unwrap_err());
    assert!(text.contains(expected), "expected {expected:?} in {text:?}");
}

#[track_caller]
fn with_certificate(path: &Path, check: impl FnOnce(&X509Certificate<'_>)) {
    let pem = std::fs::read(path).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
    check(&pem.parse_x509().unwrap());
}

#[track_caller]
fn openssl(arguments: &[&str], dir: &Path) -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test needs an independent program, the spawner is not linked here"
    )]
    let output = std::process::Command::new("openssl").args(arguments).current_dir(dir).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "openssl {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn openssl_accepts_the_chain_for_its_purpose_only() {
    let dir = authority();
    run(&client(dir.path(), "urn:latchkey:panel:main"), now()).unwrap();
    run(&server(dir.path(), &["node.example", "127.0.0.1"]), now()).unwrap();
    let verify = |purpose: &str, file: &str| {
        openssl(&["verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", purpose, file], dir.path())
    };
    assert_eq!(verify("sslclient", "panel.pem"), "panel.pem: OK\n");
    assert_eq!(verify("sslserver", "site.pem"), "site.pem: OK\n");
    let names = ["-verify_hostname", "node.example", "site.pem"];
    openssl(&[&["verify", "-CAfile", "ca.pem"], &names[..]].concat(), dir.path());
    let address = ["-verify_ip", "127.0.0.1", "site.pem"];
    openssl(&[&["verify", "-CAfile", "ca.pem"], &address[..]].concat(), dir.path());
    #[expect(clippy::disallowed_methods, reason = "see `openssl`")]
    let wrong = std::process::Command::new("openssl")
        .args(["verify", "-CAfile", "ca.pem", "-purpose", "sslserver", "panel.pem"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(!wrong.status.success());
}

#[test]
fn a_client_certificate_has_exactly_the_uri() {
    let dir = authority();
    run(&client(dir.path(), "urn:latchkey:panel:main"), now()).unwrap();
    with_certificate(&dir.path().join("panel.pem"), |certificate| {
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names, [GeneralName::URI("urn:latchkey:panel:main")]);
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !usage.any);
        assert!(!certificate.is_ca());
    });
}

#[test]
fn a_server_certificate_has_its_names_and_addresses() {
    let dir = authority();
    run(&server(dir.path(), &["node.example", "::1"]), now()).unwrap();
    with_certificate(&dir.path().join("site.pem"), |certificate| {
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        let mut loopback = [0_u8; 16];
        loopback[15] = 1;
        let expected = [GeneralName::DNSName("node.example"), GeneralName::IPAddress(&loopback)];
        assert_eq!(names.value.general_names, expected);
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth);
    });
}

#[test]
fn the_authority_signs_end_certificates_only() {
    let dir = authority();
    with_certificate(&dir.path().join("ca.pem"), |certificate| {
        let constraints = certificate.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(0));
        assert!(certificate.key_usage().unwrap().unwrap().value.key_cert_sign());
    });
}

#[test]
fn serial_numbers_are_random() {
    let (one, other) = (authority(), authority());
    let serial = |dir: &tempfile::TempDir| openssl(&["x509", "-in", "ca.pem", "-noout", "-serial"], dir.path());
    assert_ne!(serial(&one), serial(&other));
    assert_eq!(serial(&one).trim().len(), "serial=".len() + 32);
}

#[test]
fn keys_are_readable_by_their_owner_only() {
    let dir = authority();
    run(&client(dir.path(), "urn:latchkey:panel:main"), now()).unwrap();
    for key in ["ca.key", "panel.key"] {
        let mode = std::fs::metadata(dir.path().join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
}

#[test]
fn nothing_is_overwritten_without_force() {
    let dir = authority();
    let path = dir.path();
    let before = std::fs::read(path.join("ca.key")).unwrap();
    refused(&Command::Init(init(path)), now(), "ca.pem exists already; --force replaces it");
    std::fs::remove_file(path.join("ca.pem")).unwrap();
    refused(&Command::Init(init(path)), now(), "ca.key exists already");
    assert!(!path.join("ca.pem").exists());
    assert_eq!(std::fs::read(path.join("ca.key")).unwrap(), before);
    run(&Command::Init(Init { force: true, ..init(path) }), now()).unwrap();
    assert_ne!(std::fs::read(path.join("ca.key")).unwrap(), before);
    let mut names: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["ca.key", "ca.pem", "revoked"]);
}

#[test]
fn a_key_of_another_authority_is_refused() {
    let (dir, other) = (authority(), authority());
    std::fs::copy(other.path().join("ca.key"), dir.path().join("ca.key")).unwrap();
    refused(&client(dir.path(), "urn:latchkey:panel:main"), now(), "ca.key is not the key of ca.pem");
}

#[test]
fn a_certificate_does_not_outlive_its_authority() {
    let dir = authority();
    let long =
        Issue { client_uri: Some("urn:x:y".into()), days: Some(AUTHORITY_DAYS + 1), ..issue(dir.path(), "panel") };
    refused(&Command::Issue(long), now(), "--days 3651: the authority itself ends at");
    let late = now() + jiff::SignedDuration::from_hours(24 * (i64::from(AUTHORITY_DAYS) - 10));
    let Done::Written(made) = run(&client(dir.path(), "urn:x:y"), late).unwrap() else { panic!("nothing was written") };
    assert!(made.until < late + jiff::SignedDuration::from_hours(24 * 11));
    let over = late + jiff::SignedDuration::from_hours(24 * 11);
    refused(
        &Command::Issue(Issue { servers: vec!["a.example".into()], ..issue(dir.path(), "b") }),
        over,
        "the authority has ended",
    );
}

#[test]
fn a_fault_names_its_argument() {
    let dir = authority();
    let path = dir.path();
    for uri in ["", "panel", "urn:", "urn:a b", "1urn:x", "urn:é"] {
        refused(&client(path, uri), now(), "--client-uri");
    }
    for name in ["", "-a.example", "a..example", "a_b", "exämple", "127.0.0.256", "a/b", "*"] {
        refused(&server(path, &[name]), now(), "--server");
    }
    for name in ["", "ca", "../x", ".x", "-x", "a/b"] {
        let issue = Issue { client_uri: Some("urn:x:y".into()), ..issue(path, name) };
        refused(&Command::Issue(issue), now(), "--name");
    }
    refused(&Command::Init(Init { name: Some(String::new()), force: true, ..init(path) }), now(), "--name");
    refused(&client(&path.join("none"), "urn:x:y"), now(), "--dir");
}

#[test]
fn a_certificate_is_put_on_the_list_by_its_file_or_its_serial_number() {
    let dir = authority();
    run(&client(dir.path(), "urn:latchkey:panel:main"), now()).unwrap();
    let list = dir.path().join("revoked");
    let der = CertificateDer::from_pem_file(dir.path().join("panel.pem")).unwrap();
    assert!(!Revoked::read(&list).unwrap().names(&der));
    let revoke = |certificate: Option<&str>, serial: Option<String>| {
        let certificate = certificate.map(|name| dir.path().join(name));
        Command::Revoke(Revoke { dir: dir.path().to_owned(), certificate, serial })
    };
    run(&revoke(Some("panel.pem"), None), now()).unwrap();
    assert!(Revoked::read(&list).unwrap().names(&der));
    std::fs::remove_file(&list).unwrap();
    let mut serial = String::new();
    with_certificate(&dir.path().join("panel.pem"), |certificate| serial = certificate.raw_serial_as_string());
    run(&revoke(None, Some(serial)), now()).unwrap();
    assert!(Revoked::read(&list).unwrap().names(&der));
    refused(&revoke(None, Some("zz".into())), now(), "--serial");
    refused(&revoke(Some("panel.key"), None), now(), "panel.key");
}
