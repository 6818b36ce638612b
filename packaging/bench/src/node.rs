//! The node that is measured, as its ready file describes it, and the few calls that prepare a measurement.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::{Credentials, port_of};

/// The part of a ready file that matters here.
#[derive(Deserialize)]
pub struct Node {
    /// The panel API.
    pub panel: Panel,
    /// The gateway.
    pub gateway: Gateway,
    /// The owner of everything.
    pub owner: String,
    /// The instances, the live one first.
    pub instances: Vec<Instance>,
    /// SFTP.
    pub sftp: FileServer,
    /// FTP over TLS.
    pub ftp: FileServer,
    /// Process ids.
    pub pids: Pids,
    /// The state directory of serve.
    pub state: PathBuf,
}

/// Where clients of files connect.
#[derive(Deserialize)]
pub struct FileServer {
    /// Its address.
    pub host: IpAddr,
    /// Its port.
    pub port: u16,
}

impl FileServer {
    /// Both.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}

/// How the panel API is called.
#[derive(Deserialize)]
pub struct Panel {
    /// Its origin.
    pub url: String,
    /// The root of all certificates.
    pub ca: PathBuf,
    /// A client certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// How the gateway is reached.
#[derive(Deserialize)]
pub struct Gateway {
    /// Its origin.
    pub url: String,
}

/// One instance.
#[derive(Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Its origin.
    pub url: String,
    /// Where its `wp-load.php` is.
    pub docroot: PathBuf,
    /// A WordPress administrator.
    pub admin: Login,
}

/// A WordPress login.
#[derive(Deserialize)]
pub struct Login {
    /// Its name.
    pub login: String,
    /// Its password.
    pub password: String,
}

/// Process ids.
#[derive(Deserialize)]
pub struct Pids {
    /// `latchkey serve`.
    pub serve: u32,
    /// `latchkey-broker`.
    pub broker: u32,
    /// `latchkey-ftpauth`.
    pub ftpauth: u32,
    /// The FTP server.
    pub pure_ftpd: u32,
}

impl Node {
    /// Reads the ready file that `LATCHKEY_READY_FILE` names.
    ///
    /// # Errors
    /// When there is none.
    pub fn running() -> Result<Self> {
        let path = std::env::var_os("LATCHKEY_READY_FILE").context("LATCHKEY_READY_FILE names no running demo")?;
        let text = std::fs::read_to_string(path).context("read the ready file")?;
        serde_json::from_str(&text).context("parse the ready file")
    }

    /// The live instance.
    ///
    /// # Errors
    /// When the node has no instance.
    pub fn live(&self) -> Result<&Instance> {
        self.instances.first().context("the node has no instance")
    }

    /// The panel's client certificate.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn credentials(&self) -> Result<Credentials> {
        Credentials::read(&self.panel.ca, &self.panel.cert, &self.panel.key)
    }

    /// The certificate and key that the panel API shows its clients.
    #[must_use]
    pub fn server_certificate(&self) -> (PathBuf, PathBuf) {
        (self.panel.ca.with_file_name("panel.pem"), self.panel.ca.with_file_name("panel.key"))
    }
}

/// The panel API. Every call has a connection of its own: idle ones are closed by the agent.
pub struct Api {
    credentials: Credentials,
    port: u16,
}

impl Api {
    /// The node's.
    ///
    /// # Errors
    /// When the panel's certificate cannot be read.
    pub fn of(node: &Node) -> Result<Self> {
        Ok(Self { credentials: node.credentials()?, port: port_of(&node.panel.url)? })
    }

    /// Calls as an actor; the answer must be a success.
    ///
    /// # Errors
    /// When it is not; the error quotes the answer.
    pub async fn call(&self, actor: &str, method: &str, path: &str, body: &Value) -> Result<Value> {
        let mut connection = self.credentials.connect(self.port).await?;
        let answer = connection.exchange(&request(actor, method, path, body)?).await?;
        let text = String::from_utf8_lossy(answer.body);
        ensure!((200..300).contains(&answer.status), "{method} {path}: {} {text}", answer.status);
        serde_json::from_str(&text).with_context(|| format!("parse the answer to {method} {path}"))
    }

    /// A share that is in use: its id.
    ///
    /// # Errors
    /// When the agent refuses.
    pub async fn share(&self, node: &Node, person: &str, log_in_as: Value) -> Result<String> {
        self.share_with(node, person, json!({"role": "view_and_sso", "log_in_as": log_in_as})).await
    }

    /// A share with these terms that is in use: its id.
    ///
    /// # Errors
    /// When the agent refuses.
    pub async fn share_with(&self, node: &Node, person: &str, mut input: Value) -> Result<String> {
        let shares = format!("/v1/instances/{}/shares", node.live()?.id);
        input.as_object_mut().context("terms are an object")?.insert("email".into(), json!(person));
        let share = self.call(&node.owner, "POST", &shares, &input).await?;
        let id = share.get("id").and_then(Value::as_str).context("the share has no id")?.to_owned();
        self.call(person, "POST", &format!("{shares}/{id}/accept"), &json!({})).await?;
        Ok(id)
    }
}

/// A request of the API, as bytes.
///
/// # Errors
/// When the kernel has no random numbers.
pub fn request(actor: &str, method: &str, path: &str, body: &Value) -> Result<Vec<u8>> {
    let body = if method == "GET" { String::new() } else { body.to_string() };
    Ok(format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nLatchkey-Actor: {actor}\r\nIdempotency-Key: {:032x}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        u128::from(getrandom::u64().context("ask the kernel for a random number")?),
        body.len()
    )
    .into_bytes())
}
