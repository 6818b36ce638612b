//! The panel's API, called as somebody with somebody's certificate.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use xtask::node::{Certificate, Node, OWNER};

use crate::exchange::{Request, Response};

/// A caller of the API.
#[derive(Clone)]
pub struct Api<'n> {
    node: &'n Node,
    actor: Option<String>,
    certificate: Certificate,
}

impl<'n> Api<'n> {
    /// The panel acting as itself.
    #[must_use]
    pub fn panel(node: &'n Node) -> Self {
        Self::acting_as(node, "panel")
    }

    /// The panel acting for the owner of `demo`, `live` and `second`.
    #[must_use]
    pub fn owner(node: &'n Node) -> Self {
        Self::acting_as(node, OWNER)
    }

    /// The panel acting for a person.
    #[must_use]
    pub fn acting_as(node: &'n Node, actor: &str) -> Self {
        let certificate = node.agent().unwrap().panel_certificate().clone();
        Self { node, actor: Some(actor.to_owned()), certificate }
    }

    /// The same with another certificate of the node's authority.
    #[must_use]
    pub fn with_uri(mut self, name: &str, uri: &str) -> Self {
        self.certificate = self.node.agent().unwrap().certificate(name, uri).unwrap();
        self
    }

    /// The same without naming an actor.
    #[must_use]
    pub fn without_actor(mut self) -> Self {
        self.actor = None;
        self
    }

    /// A request that is not sent yet.
    #[must_use]
    pub fn request(&self, method: &str, path: &str) -> Request {
        let agent = self.node.agent().unwrap();
        let request = Request::new(method, format!("{}{path}", agent.urls().panel))
            .trusting(&agent.ca())
            .identified_by(&self.certificate);
        match &self.actor {
            Some(actor) => request.header("Latchkey-Actor", actor),
            None => request,
        }
    }

    /// GET.
    #[must_use]
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path).send()
    }

    /// POST, with an idempotency key of its own.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Response {
        self.request("POST", path).header("Idempotency-Key", &new_key()).json(body).send()
    }

    /// PATCH.
    #[track_caller]
    pub fn patch(&self, path: &str, body: &Value) -> Response {
        self.request("PATCH", path).json(body).send()
    }

    /// PUT.
    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Response {
        self.request("PUT", path).json(body).send()
    }

    /// DELETE.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Response {
        self.request("DELETE", path).send()
    }

    /// Runs an operation.
    #[track_caller]
    pub fn operate(&self, instance: &str, operation: &str, input: &Value) -> Response {
        self.post(&format!("/v1/instances/{instance}/operations/{operation}"), input)
    }

    /// Asks what a person may do, and by which rule.
    #[track_caller]
    pub fn explain(&self, instance: &str, person: &str, operation: &str) -> Value {
        let question = serde_json::json!({ "person": person, "operation": operation });
        self.post(&format!("/v1/instances/{instance}/explain"), &question).done()
    }
}

/// An idempotency key that nobody has used.
#[must_use]
pub fn new_key() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
