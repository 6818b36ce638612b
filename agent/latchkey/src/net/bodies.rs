//! The bodies of requests and replies: a connection's work goes on between the end of the one and the end of the other.

use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use crate::room::Place;

/// Of a body that was not read to its end this many bytes more are thrown away, for no longer than that.
const MOST_THROWN_AWAY: usize = 64 << 20;
const THROWING_AWAY: Duration = Duration::from_secs(10);

/// The body of a request: work begins when all of it is there.
pub(super) struct Arriving<K: Clone + Eq + Hash> {
    /// None when it is dropped.
    body: Option<Incoming>,
    place: Arc<Place<K>>,
}

impl<K: Clone + Eq + Hash> Arriving<K> {
    pub(super) const fn new(body: Incoming, place: Arc<Place<K>>) -> Self {
        Self { body: Some(body), place }
    }
}

impl<K: Clone + Eq + Hash> HttpBody for Arriving<K> {
    type Data = Bytes;
    type Error = ArrivalFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ArrivalFault>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *body).poll_frame(context));
        let complete = frame.is_none() || body.is_end_stream();
        Poll::Ready(match frame {
            _ if complete && !self.place.begin_work() => Some(Err(ArrivalFault::Displaced)),
            frame => frame.map(|frame| frame.map_err(ArrivalFault::Broken)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl<K: Clone + Eq + Hash> Drop for Arriving<K> {
    fn drop(&mut self) {
        if let Some(rest) = self.body.take().filter(|body| !body.is_end_stream()) {
            tokio::spawn(throw_away(rest));
        }
    }
}

/// Reads what nobody wants. A peer that is still sending when its connection is closed does not see the reply.
async fn throw_away(mut rest: Incoming) {
    let reading = async {
        let mut length = 0;
        while let Some(Ok(frame)) = rest.frame().await {
            length += frame.into_data().map_or(0, |data| data.len());
            if length > MOST_THROWN_AWAY {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(THROWING_AWAY, reading).await;
}

/// Why a body did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArrivalFault {
    /// The connection made place for another.
    #[error("the connection made place for another")]
    Displaced,
    /// The other end broke it off.
    #[error("the body was broken off")]
    Broken(#[source] hyper::Error),
}

/// The body of a reply that comes bit by bit: work ends with it.
pub(super) struct Leaving<K: Clone + Eq + Hash> {
    pub(super) body: Body,
    pub(super) place: Arc<Place<K>>,
}

impl<K: Clone + Eq + Hash> HttpBody for Leaving<K> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }
}

impl<K: Clone + Eq + Hash> Drop for Leaving<K> {
    fn drop(&mut self) {
        self.place.end_work();
    }
}
