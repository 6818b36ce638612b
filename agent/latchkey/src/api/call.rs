//! One call under way: who asks, for whom, with what.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use bytes::Bytes;
use latchkey_access::{Actor, InstanceId, ShareId, sees};

use crate::caller::Caller;
use crate::net::Cut;
use crate::operations::Context;
use crate::problem::Problem;
use crate::serve::Serve;

/// One call under way.
pub(crate) struct Call {
    pub(crate) serve: Arc<Serve>,
    /// The connection that it came on.
    pub(crate) connection: Cut,
    pub(crate) caller: Caller,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The body of a call that takes it as it comes; of others it is in `body`.
    pub(super) arriving: Mutex<Body>,
    pub(super) params: HashMap<String, String>,
    pub(super) query: HashMap<String, String>,
}

impl Call {
    /// On whose behalf.
    pub(crate) const fn actor(&self) -> &Actor {
        &self.caller.actor
    }

    /// A part of the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// A parameter of the query, if it is given.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A parsed parameter of the query, if it is given.
    pub(crate) fn query_as<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Problem> {
        let wrong = |_| Problem::invalid(name, format!("expected {expected}"));
        self.query(name).map(|text| text.parse().map_err(wrong)).transpose()
    }

    /// The instance that the path names. Text that cannot be an id names none.
    pub(crate) fn instance(&self) -> Result<InstanceId, Problem> {
        self.param("instance").parse().map_err(|_| Problem::from(latchkey_access::Denial::not_found("instance")))
    }

    /// The share that the path names; it must be of the instance that the path names.
    ///
    /// Whoever neither sees the instance nor holds the share is told the same whether there is one or not (A2).
    pub(crate) fn share(&self) -> Result<ShareId, Problem> {
        let (table, now) = (self.serve.state.table(), self.serve.state.clock.now());
        let instance = self.instance()?;
        let id = self.param("share").parse::<ShareId>().ok();
        let found = id.and_then(|id| table.share(id)).filter(|share| share.instance == instance);
        let own = found.is_some_and(|share| self.actor().person() == Some(share.person));
        let sees_it = *self.actor() == Actor::Panel
            || table.instance(&instance).is_some_and(|instance| sees(&table, self.actor(), instance, now));
        if !own && !sees_it {
            return Err(latchkey_access::Denial::not_found("instance").into());
        }
        found.map(|share| share.id).ok_or_else(|| Problem::not_found("share"))
    }

    /// The generation that the caller knows, if they say so.
    pub(crate) fn known_generation(&self) -> Result<Option<u64>, Problem> {
        let Some(value) = self.headers.get(IF_MATCH) else { return Ok(None) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(None);
        }
        let number = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|text| text.parse().ok());
        number.map(Some).ok_or_else(|| Problem::invalid("If-Match", "expected the ETag of a reply, like \"3\""))
    }

    /// The body as it comes, once.
    pub(super) fn arriving(&self) -> Body {
        std::mem::take(&mut *self.arriving.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What operations work with.
    pub(crate) fn context(&self) -> Context {
        Context { serve: self.serve.clone(), caller: self.caller.clone(), job: None }
    }
}
