//! Who makes a request, and from where: what the audit and the limits need to know beside the actor.

use latchkey_access::{AccessTable, Actor};

use crate::request;
use crate::store::audit::{AuditRow, Outcome};

/// The origin of a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// On whose behalf.
    pub(crate) actor: Actor,
    /// A client certificate's URI, `cli`, `gateway`, `redeemer` or `agent`.
    pub(crate) via: String,
    /// The address it came from.
    pub(crate) address: Option<String>,
    /// The request.
    pub(crate) request_id: Option<String>,
}

/// What to note in the audit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Note {
    pub(crate) operation: String,
    pub(crate) instance: Option<String>,
    pub(crate) share: Option<String>,
    pub(crate) rule: Option<String>,
    pub(crate) detail: Option<String>,
}

impl Note {
    /// A note about an operation or call.
    pub(crate) fn of(operation: impl Into<String>) -> Self {
        Self { operation: operation.into(), ..Self::default() }
    }

    /// The same about an instance.
    pub(crate) fn on(mut self, instance: impl ToString) -> Self {
        self.instance = Some(instance.to_string());
        self
    }

    /// The same about a share.
    pub(crate) fn share(mut self, share: impl ToString) -> Self {
        self.share = Some(share.to_string());
        self
    }

    /// The same with the rule that decided.
    pub(crate) fn rule(mut self, rule: impl ToString) -> Self {
        self.rule = Some(rule.to_string());
        self
    }

    /// The same with a sentence.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl Caller {
    /// The agent itself, by its own or in the course of a request.
    pub(crate) fn agent() -> Self {
        Self { actor: Actor::Panel, via: "agent".into(), address: None, request_id: request::current_id() }
    }

    /// A row for the audit; its number is set when it is appended.
    pub(crate) fn audit_row(&self, table: &AccessTable, note: Note, outcome: Outcome, at: jiff::Timestamp) -> AuditRow {
        AuditRow {
            seq: 0,
            at,
            actor: self.actor_name(table),
            via: self.via.clone(),
            operation: note.operation,
            outcome,
            instance: note.instance,
            share: note.share,
            rule: note.rule,
            detail: note.detail,
            address: self.address.clone(),
            request_id: self.request_id.clone(),
        }
    }

    fn actor_name(&self, table: &AccessTable) -> String {
        match &self.actor {
            Actor::Panel if self.via == "agent" => "agent".into(),
            Actor::Panel => "panel".into(),
            Actor::Nobody => "nobody".into(),
            Actor::Stranger(email) => email.to_string(),
            Actor::Person(id) => table.person(*id).map_or_else(|| id.to_string(), |person| person.email.to_string()),
        }
    }
}
