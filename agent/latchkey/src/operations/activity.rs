//! `activity.list`: what was done on an instance through the agent, from the audit.
//!
//! The owner and the panel see all of it. Whoever holds a share sees what was done, but not who was refused; of others
//! who it was only with the right to list them, and never from where or with what words.

use jiff::Timestamp;
use latchkey_access::rows::{ActivityList, ShareList};
use latchkey_access::{AccessTable, Permit, decide};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Run};
use crate::limit::PageLimit;
use crate::problem::Problem;
use crate::store::audit::{self, AuditRow, Outcome};

/// Which page.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ActivityInput {
    /// How many are looked at.
    limit: PageLimit,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Something that was done, or tried.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Deed {
    /// When.
    #[schemars(with = "String")]
    at: Timestamp,
    /// Who: an address, `panel`, or `agent` for what the agent did by itself. Absent where the asker may not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// The operation.
    operation: String,
    /// How it went.
    outcome: Outcome,
    /// The share that it rested on, or that was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<String>,
    /// A sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The address it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Deeds {
    /// Newest first. There may be fewer than were looked at.
    items: Vec<Deed>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Run for ActivityList {
    type Input = ActivityInput;
    type Output = Deeds;

    async fn run(context: &Context, permit: Permit<Self>, input: ActivityInput) -> Result<Deeds, Problem> {
        let limit = input.limit.get();
        let wrong = |_| Problem::invalid("cursor", "expected `next` of the page before");
        let before: Option<u64> = input.cursor.map(|text| text.parse()).transpose().map_err(wrong)?;
        let (serve, instance) = (&context.serve, permit.instance().to_string());
        let rows = serve.read(move |connection| audit::before(connection, before, &instance, limit)).await?;
        let next = rows.last().filter(|_| rows.len() == limit as usize).map(|row| row.seq.to_string());
        let table = serve.state.table();
        let asker = Asker {
            sees_all: permit.share().is_none(),
            may_list_people: decide::<ShareList>(&table, permit.actor(), permit.instance(), serve.state.clock.now())
                .is_ok(),
            email: own_email(&table, &permit),
        };
        Ok(Deeds { items: rows.into_iter().filter_map(|row| asker.shown(row)).collect(), next })
    }
}

fn own_email(table: &AccessTable, permit: &Permit<ActivityList>) -> Option<String> {
    Some(table.person(permit.actor().person()?)?.email.to_string())
}

/// Who asks, and what they may know of others.
struct Asker {
    sees_all: bool,
    may_list_people: bool,
    email: Option<String>,
}

impl Asker {
    /// What of a row is shown; nothing if somebody else was refused.
    fn shown(&self, row: AuditRow) -> Option<Deed> {
        let is_own = self.email.as_ref() == Some(&row.actor);
        let sees_it = self.sees_all || is_own;
        if row.outcome == Outcome::Denied && !sees_it {
            return None;
        }
        let is_nobody = matches!(row.actor.as_str(), "panel" | "agent");
        Some(Deed {
            at: row.at,
            actor: Some(row.actor).filter(|_| sees_it || is_nobody || self.may_list_people),
            operation: row.operation,
            outcome: row.outcome,
            share: row.share.filter(|_| sees_it),
            detail: row.detail.filter(|_| sees_it),
            address: row.address.filter(|_| sees_it),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(actor: &str, outcome: Outcome) -> AuditRow {
        AuditRow {
            seq: 1,
            at: Timestamp::UNIX_EPOCH,
            actor: actor.into(),
            via: "cli".into(),
            operation: "site_name.set".into(),
            outcome,
            instance: Some("live".into()),
            share: Some("s".into()),
            rule: None,
            detail: Some("words".into()),
            address: Some("203.0.113.9".into()),
            request_id: None,
        }
    }

    fn guest(may_list_people: bool) -> Asker {
        Asker { sees_all: false, may_list_people, email: Some("jo@example.org".into()) }
    }

    #[test]
    fn a_guest_sees_their_own_whole_and_of_others_what_was_done() {
        let own = guest(false).shown(row("jo@example.org", Outcome::Denied)).unwrap();
        assert_eq!((own.actor.as_deref(), own.address.as_deref()), (Some("jo@example.org"), Some("203.0.113.9")));
        let of_other = guest(false).shown(row("ada@example.org", Outcome::Allowed)).unwrap();
        assert_eq!((of_other.actor, of_other.share, of_other.detail, of_other.address), (None, None, None, None));
        let of_panel = guest(false).shown(row("panel", Outcome::Allowed)).unwrap();
        assert_eq!((of_panel.actor.as_deref(), of_panel.detail), (Some("panel"), None));
        assert!(guest(true).shown(row("ada@example.org", Outcome::Denied)).is_none());
    }

    #[test]
    fn who_it_was_is_for_those_who_may_list_the_people() {
        let deed = guest(true).shown(row("ada@example.org", Outcome::Failed)).unwrap();
        assert_eq!((deed.actor.as_deref(), deed.address), (Some("ada@example.org"), None));
    }

    #[test]
    fn an_owner_and_the_panel_see_all() {
        for email in [Some("owner@example.org".into()), None] {
            let asker = Asker { sees_all: true, may_list_people: true, email };
            let deed = asker.shown(row("eve@example.org", Outcome::Denied)).unwrap();
            assert!(deed.actor.is_some() && deed.address.is_some() && deed.detail.is_some());
        }
    }
}
