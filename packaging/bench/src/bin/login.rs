//! How long WP Admin SSO takes from the POST of the token to the redirect, with WordPress's own login POST beside it: the
//! same site, the same WordPress user, turn about.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock and prints what it saw"
)]

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use latchkey_bench::client::{Connection, port_of};
use latchkey_bench::figures::{median, print};
use latchkey_bench::node::{Api, Instance, Node};
use serde_json::{Value, json};
use tokio::net::TcpStream;

const PERSON: &str = "visitor@example.org";
const WARM_UP: usize = 5;
/// Tokens are good for a minute, so they are made in batches.
const BATCHES: usize = 6;
const BATCH: usize = 10;

fn main() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure())
}

async fn measure() -> Result<()> {
    let node = Node::running()?;
    let live = node.live()?;
    let api = Api::of(&node)?;
    let share = api.share(&node, PERSON, json!({"id": 1, "login": live.admin.login})).await?;
    let own_login = own_login(live);
    for token in tokens(&api, live, WARM_UP).await? {
        post(live, &redemption(live, &node, &token)).await?;
        post(live, &own_login).await?;
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for batch in 0..BATCHES {
        for token in tokens(&api, live, BATCH).await? {
            let redemption = redemption(live, &node, &token);
            if batch % 2 == 0 {
                ours.push(post(live, &redemption).await?);
                theirs.push(post(live, &own_login).await?);
            } else {
                theirs.push(post(live, &own_login).await?);
                ours.push(post(live, &redemption).await?);
            }
        }
    }
    let ratio = median(ours.iter().zip(&theirs).map(|(one, other)| one / other).collect());
    print("sso, POST to redirect", (median(ours), "WordPress login", median(theirs)), "ms", ratio);
    api.call(&node.owner, "DELETE", &format!("/v1/instances/{}/shares/{share}", live.id), &json!({})).await?;
    Ok(())
}

async fn tokens(api: &Api, live: &Instance, count: usize) -> Result<Vec<String>> {
    let path = format!("/v1/instances/{}/operations/sso.open", live.id);
    let mut tokens = Vec::new();
    for _ in 0..count {
        let opened = api.call(PERSON, "POST", &path, &json!({})).await?;
        let url = opened.get("url").and_then(Value::as_str).context("no URL to hand over at")?;
        tokens.push(url.rsplit('/').next().unwrap_or_default().to_owned());
    }
    Ok(tokens)
}

fn redemption(live: &Instance, node: &Node, token: &str) -> Vec<u8> {
    let origin = format!("Origin: {}\r\n", node.gateway.url);
    form(live, "/.well-known/latchkey-sso", &origin, &format!("token={token}"))
}

fn own_login(live: &Instance) -> Vec<u8> {
    let fields = format!(
        "log={}&pwd={}&testcookie=1&wp-submit=Log+In&redirect_to={}%2Fwp-admin%2F",
        live.admin.login, live.admin.password, live.url
    );
    form(live, "/wp-login.php", "Cookie: wordpress_test_cookie=WP%20Cookie%20check\r\n", &fields)
}

fn form(live: &Instance, path: &str, headers: &str, fields: &str) -> Vec<u8> {
    let host = live.url.trim_start_matches("http://");
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{fields}",
        fields.len()
    )
    .into_bytes()
}

/// Milliseconds from before the connection is made until the redirect to WP Admin has come with its cookies.
async fn post(live: &Instance, request: &[u8]) -> Result<f64> {
    let start = Instant::now();
    let stream = TcpStream::connect(("127.0.0.1", port_of(&live.url)?)).await.context("connect to the site")?;
    let mut connection = Connection::on(stream);
    let answer = connection.exchange(request).await?;
    let took = start.elapsed();
    let head = String::from_utf8_lossy(answer.head);
    ensure!(
        answer.status == 302 && head.contains("/wp-admin/") && head.contains("wordpress_logged_in_"),
        "the login was answered with {head}{}",
        String::from_utf8_lossy(answer.body)
    );
    connection.drain().await?;
    Ok(took.as_secs_f64() * 1e3)
}
