//! Calls about the audit, for the panel.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::ACCEPT;
use bytes::Bytes;
use latchkey_access::decide_panel;
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::problem::Problem;
use crate::serve::Serve;
use crate::store::audit::{self, AuditRow, ChainFault, Head};

/// Rows of the audit.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AuditPage {
    /// Oldest first.
    items: Vec<AuditRow>,
    /// The `after` of the next page, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// What walking the chain found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Verified {
    /// How many rows were looked at.
    rows: u64,
    /// The last sound row.
    head: Option<Head>,
    /// Whether all of it is sound.
    ok: bool,
    /// The first row that does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<ChainFault>,
}

pub(super) async fn list(call: Call) -> Result<Reply, Problem> {
    decide_panel(call.actor())?;
    let after: u64 = call.query_as("after", "the number of a row")?.unwrap_or(0);
    let limit: u32 = call.query_as("limit", "1 to 1000")?.unwrap_or(100);
    if !(1..=1000).contains(&limit) {
        return Err(Problem::invalid("limit", "expected 1 to 1000"));
    }
    let instance = call.query("instance").map(str::to_owned);
    let wants_events = call.headers.get(ACCEPT).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    if wants_events {
        return Ok(Reply::events(events(call.serve.clone(), after, instance)));
    }
    let rows = call.serve.read(move |connection| audit::after(connection, after, instance.as_deref(), limit)).await?;
    let next = rows.last().filter(|_| rows.len() == limit as usize).map(|row| row.seq);
    Reply::json(&AuditPage { items: rows, next })
}

/// Rows as server-sent events: those there are, then each as it comes, until the listener hangs up.
fn events(serve: Arc<Serve>, after: u64, instance: Option<String>) -> Body {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::convert::Infallible>>(16);
    tokio::spawn(async move {
        let mut heads = serve.state.audit_heads();
        let mut after = after;
        loop {
            let instance = instance.clone();
            let read = serve.read(move |connection| audit::after(connection, after, instance.as_deref(), 200)).await;
            let Ok(rows) = read else { return };
            let drained = rows.len() < 200;
            for row in rows {
                after = row.seq;
                let Ok(text) = serde_json::to_string(&row) else { return };
                let event = format!("id: {}\nevent: audit\ndata: {text}\n\n", row.seq);
                if sender.send(Ok(event.into())).await.is_err() {
                    return;
                }
            }
            if drained {
                tokio::select! {
                    changed = heads.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                    () = tokio::time::sleep(std::time::Duration::from_secs(20)) => {
                        // A comment keeps middle boxes from cutting a silent stream.
                        if sender.send(Ok(": still here\n\n".into())).await.is_err() {
                            return;
                        }
                    }
                }
            }
        }
    });
    Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver))
}

pub(super) async fn verify(call: Call) -> Result<Reply, Problem> {
    decide_panel(call.actor())?;
    let serve = call.serve.clone();
    // Walking the whole chain takes long: nobody else's reading waits for it.
    let walked = move || serve.state.store.reader_apart().and_then(|connection| audit::verify(&connection));
    let (rows, head, fault) = call.serve.blocking(walked).await??;
    Reply::json(&Verified { rows, head, ok: fault.is_none(), fault })
}
