//! Following a log: its lines as server-sent events while they come, for as long as access lasts.
//!
//! One line, or one read of many, is held at a time: whoever listens slowly is waited for. A log that is renamed is
//! followed to its end, then its successor from the beginning; one that is emptied from the beginning, too.

use std::future::Future as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use latchkey_access::{HostingId, Operation, Permit, decide};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::Named;
use super::location::Place;
use super::open::open;
use super::page::Position;
use super::tail::{Step, Tail};
use crate::caller::Caller;
use crate::channels::{OpenWork, WorkKind, open_work, open_work_beside};
use crate::events::{SILENCE, STILL_HERE, event, only_id, without_id};
use crate::problem::Problem;
use crate::request;
use crate::serve::Serve;

/// How long nothing is read after nothing had come.
const PAUSE: Duration = Duration::from_millis(200);

/// How often it is looked whether the log was renamed. What writes it may take so long to change over.
const LOOK: Duration = Duration::from_secs(1);

/// Nobody listens any more, or nobody may.
struct Over;

/// Follows a log from a position on, or from its end. The stream is a channel of the permit's share, and of each share
/// that lets the actor see another instance that the log tells of: it ends with the first of them.
pub(crate) async fn follow<O: Operation>(
    serve: &Arc<Serve>,
    permit: &Permit<O>,
    caller: &Caller,
    named: Named,
    after: Option<Position>,
) -> Result<Body, Problem> {
    let mut works = vec![open_work(serve, permit, WorkKind::Stream, caller)?];
    for other in &named.location.tells_of {
        let permit = decide::<O>(&serve.state.table(), permit.actor(), other, serve.state.clock.now())?;
        works.push(open_work_beside(serve, &permit, WorkKind::Stream, caller)?);
    }
    let Named { hosting, place, .. } = named;
    let file = open(serve, &hosting, &place).await?.ok_or_else(|| Problem::not_found("log"))?;
    let tail = serve.blocking(move || Tail::of(file, after.as_ref())).await?;
    let tail = tail.map_err(|error| Problem::internal(&error))?;
    let (sender, receiver) = mpsc::channel(1);
    let stopped = Arc::new(AtomicBool::new(false));
    let listener = Listener { sender, works, stopped: stopped.clone(), spoke_at: Instant::now() };
    let follower = Follower { serve: serve.clone(), hosting, place, successor: None };
    request::spawn(follower.run(tail, listener));
    // What was read and not sent when access ended is not sent either.
    let allowed = ReceiverStream::new(receiver).take_while(move |_| !stopped.load(Ordering::Relaxed));
    Ok(Body::from_stream(allowed))
}

/// What is followed.
struct Follower {
    serve: Arc<Serve>,
    hosting: HostingId,
    place: Place,
    /// What has the log's name by now.
    successor: Option<Tail>,
}

impl Follower {
    async fn run(mut self, tail: Tail, mut listener: Listener) {
        // Before the first line, so that whoever comes again knows where to go on.
        if listener.say(only_id(tail.position())).await.is_ok() {
            let Err(Over) = self.tell(tail, &mut listener).await;
        }
    }

    async fn tell(&mut self, mut tail: Tail, listener: &mut Listener) -> Result<std::convert::Infallible, Over> {
        let mut looked_at = Instant::now();
        loop {
            // Not broken off: nothing of the log is open any more when the stream has ended.
            let stepped = self.serve.blocking(move || {
                let step = tail.step();
                (tail, step)
            });
            let (back, step) = stepped.await.map_err(|_| Over)?;
            tail = back;
            match step {
                Ok(Step::Lines(lines)) => {
                    let events = lines.iter().map(|(line, position)| event(position, "line", line));
                    listener.say(events.collect::<Result<String, _>>().map_err(|_| Over)?).await?;
                }
                Ok(Step::Emptied) => listener.say(rotated()?).await?,
                Ok(Step::Nothing) if looked_at.elapsed() < LOOK => listener.wait().await?,
                Ok(Step::Nothing) => {
                    looked_at = Instant::now();
                    // One look later nobody writes into it any more.
                    if let Some(successor) = self.successor.take() {
                        tail = successor;
                        listener.say(rotated()?).await?;
                    } else if let Some(found) =
                        listener.unless_over(open(&self.serve, &self.hosting, &self.place)).await?
                    {
                        self.successor = found.ok().flatten().and_then(|file| successor(&tail, file));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, hosting = %self.hosting, "a log that is followed cannot be read");
                    return Err(Over);
                }
            }
        }
    }
}

/// Tells that the lines that come are of another log of that name.
fn rotated() -> Result<String, Over> {
    without_id("rotated", &json!({})).map_err(|_| Over)
}

/// The log that has the name of another one by now.
fn successor(tail: &Tail, file: std::fs::File) -> Option<Tail> {
    if tail.is_of(&file).unwrap_or(true) { None } else { Tail::whole(file).ok() }
}

/// Who listens, and may.
struct Listener {
    sender: mpsc::Sender<Result<Bytes, std::convert::Infallible>>,
    works: Vec<OpenWork>,
    stopped: Arc<AtomicBool>,
    spoke_at: Instant,
}

impl Listener {
    /// Sends events; waits until those before were taken.
    async fn say(&mut self, events: String) -> Result<(), Over> {
        self.spoke_at = Instant::now();
        if events.is_empty() {
            return Ok(());
        }
        let sender = self.sender.clone();
        match self.unless_over(sender.send(Ok(Bytes::from(events)))).await? {
            Some(Ok(())) => Ok(()),
            _ => Err(Over),
        }
    }

    /// Lets some time pass.
    async fn wait(&mut self) -> Result<(), Over> {
        self.unless_over(tokio::time::sleep(PAUSE)).await?;
        if self.spoke_at.elapsed() < SILENCE {
            return Ok(());
        }
        self.say(STILL_HERE.to_owned()).await
    }

    /// Waits for something, unless nobody listens any more or nobody may.
    async fn unless_over<T>(&self, something: impl Future<Output = T>) -> Result<Option<T>, Over> {
        tokio::select! {
            biased;
            () = told_to_stop(&self.works) => {
                self.stopped.store(true, Ordering::Relaxed);
                Err(Over)
            }
            () = self.sender.closed() => Err(Over),
            value = something => Ok(Some(value)),
        }
    }
}

/// Returns when the first of them has to stop.
async fn told_to_stop(works: &[OpenWork]) {
    let mut waiting: Vec<_> = works.iter().map(|work| Box::pin(work.told_to_stop())).collect();
    std::future::poll_fn(|context| {
        let is_told = waiting.iter_mut().any(|one| one.as_mut().poll(context).is_ready());
        if is_told { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> (Listener, mpsc::Receiver<Result<Bytes, std::convert::Infallible>>) {
        let (sender, receiver) = mpsc::channel(1);
        (Listener { sender, works: vec![], stopped: Arc::default(), spoke_at: Instant::now() }, receiver)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_has_a_comment_now_and_then() {
        let (mut listener, mut receiver) = listener();
        let begun = Instant::now();
        tokio::spawn(async move { while listener.wait().await.is_ok() {} });
        for count in 1..=3 {
            assert_eq!(receiver.recv().await.unwrap().unwrap(), STILL_HERE);
            assert!(begun.elapsed() < (SILENCE + PAUSE) * count + PAUSE);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_listens_slowly_is_waited_for_and_whoever_is_gone_is_not() {
        let (mut listener, receiver) = listener();
        assert!(listener.say("one".into()).await.is_ok());
        // The second has no room until the first is taken.
        let second = tokio::time::timeout(Duration::from_secs(3600), listener.say("two".into()));
        assert!(second.await.is_err());
        drop(receiver);
        assert!(listener.say("three".into()).await.is_err());
        assert!(listener.wait().await.is_err());
    }
}
