//! Certificates that come and go while the agent runs: exchanged, revoked, no longer listed.

use std::fs;
use std::path::PathBuf;

use latchkey_tests::api::Api;
use latchkey_tests::exchange::Request;
use latchkey_tests::streams::AuditStream;
use latchkey_tests::waiting::eventually;
use xtask::node::{Certificate, Node, PANEL_URI};
use xtask::process::Program;

crate::trials! { alone:
    a_revoked_certificate_is_cut_while_it_listens_and_does_not_come_back,
    a_certificate_that_is_no_longer_listed_is_cut,
    a_servers_certificate_is_exchanged_while_clients_are_connected,
    a_configuration_at_fault_is_refused_and_everything_stays;
    beside_others:
    no_session_is_resumed_at_the_panels_door,
}

fn health(node: &Node, certificate: &Certificate) -> Request {
    let agent = node.agent().unwrap();
    let request = Request::new("GET", format!("{}/v1/health", agent.urls().panel));
    request.trusting(&agent.ca()).identified_by(certificate)
}

fn pki(node: &Node) -> PathBuf {
    node.agent().unwrap().ca().parent().unwrap().to_owned()
}

fn latchkey(node: &Node, arguments: &[&str]) -> String {
    let program = Program::new(node.agent().unwrap().paths().programs.join("latchkey"));
    program.args(arguments.iter().copied()).text().unwrap()
}

/// Something that changes the audit, so that open streams have an event to show.
fn make_an_event(node: &Node) {
    Api::panel(node)
        .without_actor()
        .with_uri("stranger", "urn:latchkey:panel:stranger")
        .get("/v1/health")
        .refused(403, "forbidden");
}

#[track_caller]
fn still_listens(node: &Node, stream: &AuditStream) {
    let before = stream.events();
    make_an_event(node);
    eventually("the stream goes on", || stream.events() > before);
}

fn a_revoked_certificate_is_cut_while_it_listens_and_does_not_come_back(node: &Node) {
    let agent = node.agent().unwrap();
    let leaving = agent.certificate("leaving", PANEL_URI).unwrap();
    let (cut, stays) = (AuditStream::open(node, &leaving), AuditStream::open(node, agent.panel_certificate()));
    let list = pki(node).join("revoked");
    let before = fs::read(&list).unwrap();
    let directory = pki(node).display().to_string();
    latchkey(node, &["pki", "revoke", "--dir", &directory, "--certificate", leaving.certificate.to_str().unwrap()]);
    eventually("the stream of the revoked certificate is cut", || cut.is_closed());
    let error = health(node, &leaving).try_send().unwrap_err();
    assert!(error.contains("certificate revoked"), "{error}");
    still_listens(node, &stays);
    // A list that cannot be read lets nobody back in.
    fs::write(&list, "nonsense\n").unwrap();
    eventually("the fault is said", || log(node).contains("line 1: expected sha256:"));
    health(node, &leaving).try_send().unwrap_err();
    fs::write(&list, before).unwrap();
    eventually("off the list it is good again", || health(node, &leaving).try_send().is_ok());
    assert!(!stays.is_closed());
}

fn log(node: &Node) -> String {
    fs::read_to_string(node.serve().unwrap().log()).unwrap()
}

/// Writes serve's configuration and has it read; `undo` it in the same way.
fn configure(node: &Node, text: &str) {
    fs::write(&node.agent().unwrap().paths().serve_config, text).unwrap();
    node.serve().unwrap().reload().unwrap();
}

fn a_certificate_that_is_no_longer_listed_is_cut(node: &Node) {
    let agent = node.agent().unwrap();
    let before = fs::read_to_string(&agent.paths().serve_config).unwrap();
    let row = "\n[[panel.peers]]\nuri = \"urn:latchkey:panel:for-a-while\"\nscopes = [\"panel\", \"people\"]\n";
    let certificate = agent.certificate("for-a-while", "urn:latchkey:panel:for-a-while").unwrap();
    assert_eq!(health(node, &certificate).send().status, 403);
    configure(node, &format!("{before}{row}"));
    eventually("the new row counts", || health(node, &certificate).send().status == 200);
    let (cut, stays) = (AuditStream::open(node, &certificate), AuditStream::open(node, agent.panel_certificate()));
    configure(node, &before);
    eventually("the stream is cut", || cut.is_closed());
    assert_eq!(health(node, &certificate).send().status, 403);
    still_listens(node, &stays);
}

/// The serial number of what a port shows.
fn serial_of(node: &Node, origin: &str) -> String {
    let address = origin.trim_start_matches("https://");
    let ca = node.agent().unwrap().ca();
    let shown = Program::new("openssl").args(["s_client", "-connect", address, "-CAfile"]).arg(ca).text();
    // Without a certificate of ours the panel ends the handshake after it has shown its own.
    let text = match shown {
        Ok(text) => text,
        Err(error) => panic!("{error:#}"),
    };
    let from = text.find("-----BEGIN CERTIFICATE-----").unwrap();
    Program::new("openssl").args(["x509", "-noout", "-serial"]).input(&text[from..]).text().unwrap()
}

fn a_servers_certificate_is_exchanged_while_clients_are_connected(node: &Node) {
    use std::os::unix::fs::{MetadataExt, chown};
    let agent = node.agent().unwrap();
    let stream = AuditStream::open(node, agent.panel_certificate());
    let directory = pki(node).display().to_string();
    let owner = fs::metadata(pki(node).join("gateway.key")).unwrap().uid();
    let before = serial_of(node, &agent.urls().gateway);
    latchkey(node, &["pki", "issue", "--force", "--dir", &directory, "--name", "gateway", "--server", "127.0.0.1"]);
    // Its key is root's: it cannot be used, which is said, and the old one is shown on.
    eventually("the fault is said", || log(node).contains("what was read again is refused"));
    assert_eq!(serial_of(node, &agent.urls().gateway), before);
    chown(pki(node).join("gateway.key"), Some(owner), Some(owner)).unwrap();
    node.serve().unwrap().reload().unwrap();
    eventually("the new certificate is shown", || serial_of(node, &agent.urls().gateway) != before);
    still_listens(node, &stream);
}

fn a_configuration_at_fault_is_refused_and_everything_stays(node: &Node) {
    let agent = node.agent().unwrap();
    let before = fs::read_to_string(&agent.paths().serve_config).unwrap();
    let stream = AuditStream::open(node, agent.panel_certificate());
    configure(node, "state_dir = 7\n");
    eventually("the fault is said", || log(node).contains("the configuration cannot be used"));
    assert_eq!(health(node, agent.panel_certificate()).send().status, 200);
    still_listens(node, &stream);
    configure(node, &before);
}

fn no_session_is_resumed_at_the_panels_door(node: &Node) {
    let agent = node.agent().unwrap();
    let address = agent.urls().panel.trim_start_matches("https://").to_owned();
    for version in ["-tls1_2", "-tls1_3"] {
        let client = Program::new("openssl")
            .args(["s_client", "-reconnect", version, "-connect", &address, "-CAfile"])
            .arg(agent.ca())
            .arg("-cert")
            .arg(&agent.panel_certificate().certificate)
            .arg("-key")
            .arg(&agent.panel_certificate().key);
        let text = client.text().unwrap();
        assert!(text.contains("New, TLS") && !text.contains("Reused, TLS"), "{version}: {text}");
    }
}
