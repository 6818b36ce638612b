//! Calls about jobs: the actor's own, or all for the panel.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use latchkey_access::Actor;
use tokio::sync::mpsc;

use super::call::Call;
use super::reply::Reply;
use crate::events::{EVENTS, SILENCE, STILL_HERE, event};
use crate::jobs::{self, JobView};
use crate::problem::Problem;
use crate::request;
use crate::serve::Serve;

pub(super) async fn show(call: Call) -> Result<Reply, Problem> {
    Reply::json(&seen(&call.serve, call.actor(), call.param("job")).await?)
}

/// Ends it. The answer is the job as it is then, or a moment later: `running` if it takes longer to stop.
pub(super) async fn cancel(call: Call) -> Result<Reply, Problem> {
    let id = call.param("job");
    jobs::find_for(&call.serve, call.actor(), id).await?;
    jobs::cancel(&call.serve, id).await;
    Reply::json(&seen(&call.serve, call.actor(), id).await?)
}

/// The job whenever it changes, until it has ended or the actor may see it no more.
pub(super) async fn events(call: Call) -> Result<Reply, Problem> {
    let id = call.param("job").to_owned();
    let job = jobs::find_for(&call.serve, call.actor(), &id).await?;
    let place = call.serve.state.channels.at_once.enter(call.actor(), job.share)?;
    let (serve, actor) = (call.serve.clone(), call.actor().clone());
    let (sender, receiver) = mpsc::channel::<Result<Bytes, Infallible>>(1);
    request::spawn(async move {
        follow(&serve, &actor, &id, &sender).await;
        drop(place);
    });
    Ok(Reply::stream(EVENTS, Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver))))
}

async fn follow(serve: &Arc<Serve>, actor: &Actor, id: &str, sender: &mpsc::Sender<Result<Bytes, Infallible>>) {
    let mut changes = serve.jobs.changes();
    let (mut told, mut number) = (None, 0_u64);
    loop {
        changes.mark_unchanged();
        let Ok(job) = seen(serve, actor, id).await else { return };
        let is_over = job.is_final();
        if told.as_ref() != Some(&job) {
            number += 1;
            let Ok(event) = event(number, "job", &job) else { return };
            told = Some(job);
            if sender.send(Ok(event.into())).await.is_err() {
                return;
            }
        }
        if is_over {
            return;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = sender.closed() => return,
            () = tokio::time::sleep(SILENCE) => {
                if sender.send(Ok(STILL_HERE.into())).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn seen(serve: &Arc<Serve>, actor: &Actor, id: &str) -> Result<JobView, Problem> {
    jobs::view(serve, jobs::find_for(serve, actor, id).await?).await
}
