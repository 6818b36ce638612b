//! The access rules, one by one: every refusal beside its permission.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod decisions;
mod delegation;
mod files;
#[path = "../node/mod.rs"]
mod node;
mod reach;

use jiff::Timestamp;
use latchkey_access::rows::{
    IndexingSet, MaintenanceShow, ShareInvite, ShareList, ShareUpdate, SiteNameSet, SiteNameShow, SsoOpen,
};
use latchkey_access::{
    Actor, Denial, FileAccess, FileAccessKind, GrantedBy, Holdings, HostingState, LogInAs, Operation, Permit,
    Privilege, PrivilegeSet, Role, ShareId, ShareState, Terms, choose_wp_user, decide, decide_own_share, decide_panel,
    may_change, may_grant, operations, plan_ending, reach, sees, share_holdings,
};

use crate::node::{CronList, NOON, Node, With, actor, custom, later, person, pinned, refusal, role};

/// Asks whether somebody may run an operation.
#[track_caller]
fn check<O: Operation>(node: &Node, who: &str, instance: &str, expected: &str) {
    assert_eq!(node.verdict::<O>(&actor(who), instance), expected, "{who}: {} on {instance}", O::SPEC.name);
}

/// Asks whether somebody may grant these terms on `live`.
#[track_caller]
fn check_grant(node: &Node, who: &str, terms: Terms, expected: Result<GrantedBy, &str>) {
    let permit: Permit<ShareInvite> = decide(&node.table, &actor(who), &"live".parse().unwrap(), node.now).unwrap();
    same(may_grant(&node.table, &permit, &terms, node.now), expected);
}

/// Asks whether somebody may change a share, to these terms if there are any.
#[track_caller]
fn check_change(node: &Node, who: &str, share: ShareId, wanted: Option<Terms>, expected: Result<GrantedBy, &str>) {
    same(may_change(&node.table, &actor(who), node.row(share), wanted.as_ref(), node.now), expected);
}

/// Asks what ends, and what is adopted, when somebody ends a share.
#[track_caller]
fn check_ending(node: &Node, who: &str, share: ShareId, adopt: &[ShareId], expected: Result<Ends<'_>, &str>) {
    let plan = plan_ending(&node.table, &actor(who), node.row(share), adopt, node.now);
    let plan = plan.map(|plan| (plan.ended, plan.adopted));
    same(plan, expected.map(|(ended, adopted)| (ended.to_vec(), adopted.to_vec())));
}

type Ends<'a> = (&'a [ShareId], &'a [(ShareId, GrantedBy)]);

#[track_caller]
fn same<T: std::fmt::Debug + PartialEq>(seen: Result<T, Denial>, expected: Result<T, &str>) {
    assert_eq!(seen.map_err(|denial| refusal(&denial)), expected.map_err(str::to_owned));
}

fn files(kind: FileAccessKind, path: &str, read_only: bool) -> FileAccess {
    FileAccess { kind, path: path.to_owned(), read_only }
}

/// `Manage Shared Access` with these.
fn sharing(with: impl IntoIterator<Item = Privilege>) -> Terms {
    let set: PrivilegeSet = with.into_iter().collect();
    custom(set.with(Privilege::ManageSharedAccess))
}

const NAME: Privilege = Privilege::UpdateSiteName;
const CRON: Privilege = Privilege::ManageCron;
const SSO: Privilege = Privilege::WpAdminSso;

/// A chain: the panel granted `lead`'s share, `lead` granted `dev`'s, `dev` granted `guest`'s.
fn chain() -> (Node, [ShareId; 3]) {
    let mut node = Node::new();
    let lead = node.share("lead", "live", sharing([NAME, CRON, SSO]), GrantedBy::Panel);
    let dev = node.share("dev", "live", sharing([NAME, CRON, SSO]), GrantedBy::Share(lead));
    let guest = node.share("guest", "live", custom([NAME, CRON]), GrantedBy::Share(dev));
    (node, [lead, dev, guest])
}
