//! Calls about the audit, for the panel.

use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::ACCEPT;
use bytes::Bytes;
use latchkey_access::decide_panel;
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use super::call::Call;
use super::reply::Reply;
use crate::events::{EVENTS, SILENCE, STILL_HERE, event};
use crate::limit::Limit;
use crate::problem::Problem;
use crate::request;
use crate::serve::Serve;
use crate::store::StoreError;
use crate::store::audit::{self, AuditRow, Head};
use crate::verification::{self, Heads, VerificationError};

/// Lines of JSON, by the two names that are in use.
pub(super) const LINES: [&str; 2] = ["application/jsonl", "application/x-ndjson"];
/// So many rows are read at a time.
const BATCH: u32 = 200;

/// Rows of the audit.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AuditPage {
    /// Oldest first.
    items: Vec<AuditRow>,
    /// The `after` of the next page, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

pub(super) async fn list(call: Call) -> Result<Reply, Problem> {
    decide_panel(call.actor())?;
    let after: u64 = call.query_as("after", "the number of a row")?.unwrap_or(0);
    let limit = call.query_as::<Limit<100, 1000>>("limit", "1 to 1000")?.unwrap_or_default().get();
    let instance = call.query("instance").map(str::to_owned);
    match call.headers.get(ACCEPT).map_or(&b""[..], HeaderValue::as_bytes) {
        kind if kind.starts_with(EVENTS.as_bytes()) => {
            return Ok(Reply::stream(EVENTS, stream(call.serve.clone(), after, instance, Form::Events)));
        }
        kind if LINES.iter().any(|lines| kind.starts_with(lines.as_bytes())) => {
            return Ok(Reply::stream(LINES[0], stream(call.serve.clone(), after, instance, Form::Lines)));
        }
        _ => {}
    }
    let rows = call.serve.read(move |connection| audit::after(connection, after, instance.as_deref(), limit)).await?;
    let next = rows.last().filter(|_| rows.len() == limit as usize).map(|row| row.seq);
    Reply::json(&AuditPage { items: rows, next })
}

/// How rows are streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Server-sent events: the rows there are, then each as it comes, until the listener hangs up.
    Events,
    /// Lines of JSON with their hashes: the rows there are.
    Lines,
}

impl Form {
    /// Some rows after a number, and the number of the last one. Blocks.
    fn read(self, connection: &Connection, after: u64, instance: Option<&str>) -> Result<Batch, StoreError> {
        match self {
            Self::Lines => audit::lines_after(connection, after, instance, BATCH),
            Self::Events => {
                let (mut text, mut last) = (String::new(), None);
                for row in audit::after(connection, after, instance, BATCH)? {
                    let seq = row.seq;
                    text += &event(seq, "audit", &row)
                        .map_err(|_| StoreError::Malformed { what: "row", text: seq.to_string() })?;
                    last = Some(seq);
                }
                Ok((text, last))
            }
        }
    }
}

type Batch = (String, Option<u64>);

/// Rows as they are taken: never more than two batches are in memory. A failure breaks the stream off, so that half an
/// export does not look like a whole one.
fn stream(serve: Arc<Serve>, mut after: u64, instance: Option<String>, form: Form) -> Body {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, StoreError>>(1);
    request::spawn(async move {
        let mut heads = serve.state.audit_heads();
        loop {
            let instance = instance.clone();
            let batch = match serve.read(move |connection| form.read(connection, after, instance.as_deref())).await {
                Ok((text, Some(last))) => {
                    after = last;
                    Ok(text)
                }
                Ok(_) if form == Form::Lines => return,
                Ok(_) => match next_event(&mut heads, &sender).await {
                    Some(text) => Ok(text),
                    None => return,
                },
                Err(error) => Err(error),
            };
            let failed = batch.is_err();
            if sender.send(batch.map(Bytes::from)).await.is_err() || failed {
                return;
            }
        }
    });
    Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver))
}

/// Waits for a row. A comment now and then keeps middle boxes from cutting a silent stream; nothing at all when the
/// listener has gone.
async fn next_event(
    heads: &mut watch::Receiver<Option<Head>>,
    sender: &mpsc::Sender<Result<Bytes, StoreError>>,
) -> Option<String> {
    tokio::select! {
        changed = heads.changed() => changed.ok().map(|()| String::new()),
        () = sender.closed() => None,
        () = tokio::time::sleep(SILENCE) => Some(STILL_HERE.to_owned()),
    }
}

pub(super) async fn verify(call: Call) -> Result<Reply, Problem> {
    decide_panel(call.actor())?;
    let serve = call.serve.clone();
    let walked = move || {
        // Walking the whole chain takes long: nobody else's reading waits for it.
        let connection = serve.state.store.reader_apart()?;
        verification::verify(&connection, &Heads::Broker(serve.broker.clone()))
    };
    Reply::json(&call.serve.blocking(walked).await??)
}

impl From<VerificationError> for Problem {
    fn from(error: VerificationError) -> Self {
        match error {
            VerificationError::Audit(error) => error.into(),
            VerificationError::Broker(error) => error.into(),
            VerificationError::File { .. } | VerificationError::NoHead { .. } => Self::internal(&error),
        }
    }
}
