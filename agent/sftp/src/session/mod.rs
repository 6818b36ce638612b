//! A session on a channel: takes requests as they come in, answers them, and lets go of its files when it ends.
//!
//! Requests are carried out one after the other, so the order on each handle is the client's; only reads that would
//! wait for the disk go to other threads, and whatever could overtake them there waits for them.

mod answer;
mod attributes;
mod handles;
mod listing;
mod naming;
mod reading;
mod room;
mod uploads;
mod writing;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use latchkey_files::tree::Tree;
use russh::{ChannelId, ChannelMsg, ChannelReadHalf};

use crate::conn::{Alive, Gate, Switch};
use crate::gatekeeper::{Access, FileEvent};
use crate::packet::FramingError;
use crate::packet::input::{Input, Packet};
use crate::packet::reply::Replies;
use crate::quota::Quota;
use handles::Handles;
use reading::Reads;
use writing::{Pace, WriteFailure};

/// Replies are sent when there are as many, or when there is nothing more to answer.
const REPLIES_WORTH_SENDING_BYTES: usize = 64 * 1024;

/// Takes note of what a session did.
pub(crate) trait Notes: Send + Sync {
    fn note(&self, event: FileEvent);
}

/// What a connection was let in with; its channels share it.
pub(crate) struct Entered {
    pub(crate) tree: Tree,
    pub(crate) access: Access,
    pub(crate) quota: Option<Arc<Quota>>,
    pub(crate) notes: Box<dyn Notes>,
    pub(crate) alive: Alive,
}

/// The channel as the session sees it.
pub(crate) struct Line {
    pub(crate) incoming: ChannelReadHalf,
    pub(crate) outgoing: russh::server::Handle,
    pub(crate) channel: ChannelId,
    pub(crate) gate: Arc<Gate>,
    pub(crate) switch: Switch,
}

/// A session on one channel.
pub(crate) struct Session {
    entered: Arc<Entered>,
    line: Line,
    input: Input,
    replies: Replies,
    handles: Handles,
    reads: Reads,
    write_failure: WriteFailure,
    pace: Pace,
}

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
enum Over {
    /// The client has no more requests.
    #[error("the client is done")]
    Finished,
    /// The connection is gone or was ended.
    #[error("the connection is gone")]
    Gone,
    /// The client sent what is no request.
    #[error("not understood")]
    Framing(#[from] FramingError),
}

impl Session {
    pub(crate) fn new(entered: Arc<Entered>, line: Line) -> Self {
        Self {
            entered,
            line,
            input: Input::default(),
            replies: Replies::default(),
            handles: Handles::default(),
            reads: Reads::default(),
            write_failure: WriteFailure::default(),
            pace: Pace::default(),
        }
    }

    /// Serves the channel until it or the connection ends. When it returns nothing of the session holds a file.
    pub(crate) async fn run(mut self) {
        let Err(over) = self.serve().await;
        self.reads.finish_all().await;
        match over {
            Over::Finished => {
                let (outgoing, channel) = (&self.line.outgoing, self.line.channel);
                // Each fails only when the connection is gone, and then there is nobody to tell.
                let _ = outgoing.exit_status_request(channel, 0).await;
                let _ = outgoing.eof(channel).await;
                let _ = outgoing.close(channel).await;
            }
            Over::Gone => {}
            Over::Framing(error) => {
                tracing::info!(%error, "an SFTP client sent what is no request");
                self.line.switch.throw();
            }
        }
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, Over> {
        loop {
            if self.line.switch.is_thrown() {
                return Err(Over::Gone);
            }
            match self.input.next()? {
                Some(Packet::Init { .. }) => self.replies.version(),
                Some(Packet::Request(id, request)) => self.answer(id, request).await,
                Some(Packet::Write(piece)) => self.write(piece).await,
                None => self.take_in().await?,
            }
            self.reads.collect_ready(&mut self.replies, &mut self.handles);
            if self.replies.len() >= REPLIES_WORTH_SENDING_BYTES {
                self.send().await?;
            }
        }
    }

    /// Waits for more input; replies are sent before there is any waiting.
    async fn take_in(&mut self) -> Result<(), Over> {
        let ready = at_once(self.line.incoming.wait()).await;
        let message = match ready {
            Some(message) => message,
            None => {
                self.send().await?;
                tokio::select! {
                    biased;
                    () = self.line.switch.thrown() => return Err(Over::Gone),
                    () = self.reads.collect_next(&mut self.replies, &mut self.handles) => return Ok(()),
                    message = self.line.incoming.wait() => message,
                }
            }
        };
        match message {
            Some(ChannelMsg::Data { data }) => {
                self.line.gate.sub(data.len());
                self.input.push(data);
                Ok(())
            }
            Some(ChannelMsg::Eof | ChannelMsg::Close) => {
                if self.input.is_within_packet() {
                    tracing::debug!("an SFTP client hung up within a request");
                }
                while !self.reads.are_none() {
                    self.reads.collect_next(&mut self.replies, &mut self.handles).await;
                }
                self.send().await?;
                Err(Over::Finished)
            }
            Some(_) => Ok(()),
            None => Err(Over::Gone),
        }
    }

    /// Sends what there is. Waits while the client's window is full: that is what bounds the replies.
    async fn send(&mut self) -> Result<(), Over> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let bytes: Bytes = self.replies.take();
        tokio::select! {
            biased;
            () = self.line.switch.thrown() => Err(Over::Gone),
            sent = self.line.outgoing.data(self.line.channel, bytes) => sent.map_err(|_unsent| Over::Gone),
        }
    }
}

impl Drop for Session {
    /// Notes what was done with files that the client did not close.
    fn drop(&mut self) {
        for handle in self.handles.drain() {
            handle.note_end(&*self.entered.notes);
        }
    }
}

/// What a future gives without waiting, if anything.
async fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
