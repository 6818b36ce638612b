//! `POST /v1/instances/{instance}/explain`: the decision with its reasons.

use latchkey_access::rows::ShareList;
use latchkey_access::{Actor, Email, ShareState, decide, explain as explain_decision, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::reply::Reply;
use crate::body::parse_body;
use crate::problem::Problem;

/// What to explain.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplainInput {
    /// The address of a person.
    person: String,
    /// An operation, `noun.verb`.
    operation: String,
}

/// The decision with its reasons.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ExplainOutput {
    /// `allow` or `deny`.
    decision: &'static str,
    /// Whether it is allowed.
    allowed: bool,
    /// The rule that decides.
    rule: String,
    /// The privilege that the operation takes.
    privilege: &'static str,
    /// The share that the decision rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<String>,
    /// A sentence.
    detail: String,
}

pub(super) async fn explain(call: Call) -> Result<Reply, Problem> {
    let (table, now) = (call.serve.state.table(), call.serve.state.clock.now());
    let instance = call.instance()?;
    decide::<ShareList>(&table, call.actor(), &instance, now)?;
    let input: ExplainInput = parse_body(&call.body)?;
    let email: Email = input
        .person
        .parse()
        .map_err(|fault: latchkey_access::InvalidEmail| Problem::invalid("person", fault.to_string()))?;
    let spec = operation(&input.operation)
        .ok_or_else(|| Problem::invalid("operation", "expected the name of an operation from /v1/operations"))?;
    let explanation = explain_decision(&table, &Actor::by_email(&table, email), &instance, spec, now);
    let share = explanation.share.and_then(|id| table.share(id));
    let waiting = share.filter(|share| share.state != ShareState::Active).map(|share| share.state.as_str());
    let detail = match (&explanation.denial, waiting) {
        (None, _) => "allowed".to_owned(),
        (Some(_), Some(state)) => format!("the share is {state}; only an active one grants"),
        (Some(denial), None) => denial.detail.clone(),
    };
    Reply::json(&ExplainOutput {
        decision: if explanation.denial.is_none() { "allow" } else { "deny" },
        allowed: explanation.denial.is_none(),
        rule: explanation.rule.to_string(),
        privilege: spec.privilege.id(),
        share: explanation.share.map(|id| id.to_string()),
        detail,
    })
}
