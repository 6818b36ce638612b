//! Random lives of shares: whatever people do in whatever order, nobody gets more than whoever granted it holds.
//!
//! A small store applies random steps the way the agent does, asking the crate before each; after every step each
//! person asks for everything, and the answers are compared with the rules written out a second time, naively.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod node;

use std::collections::BTreeSet;
use std::time::Duration;

use latchkey_access::rows::{ShareInvite, SiteNameShow, SsoOpen};
use latchkey_access::{
    Actor, Ending, FileAccess, FileAccessKind, GrantFault, GrantedBy, Holdings, HostingState, Instance, InstanceId,
    LogInAs, Operation, PersonId, Privilege, PrivilegeSet, Role, Share, ShareId, ShareState, Terms, actor_holdings,
    decide, decide_own_share, hosting_privileges, may_change, may_grant, plan_ending, share_holdings,
};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use crate::node::{CronList, Node, With, actor, pinned};

const PEOPLE: [&str; 5] = ["olga", "lead", "dev", "guest", "sam"];
const ACTORS: [&str; 9] = ["panel", "olga", "sam", "lead", "lead", "dev", "dev", "guest", "guest"];
const SITES: [&str; 3] = ["live", "stage", "far"];
const HOSTINGS: [&str; 2] = ["acme", "other"];

/// One thing that happens on the node. An [`Index`] picks one of the shares that there are by then.
#[derive(Debug, Clone)]
enum Step {
    Invite { by: &'static str, whom: &'static str, site: &'static str, wish: Wish, accepts: bool },
    Accept { share: Index },
    Edit { by: &'static str, share: Index, wish: Wish },
    Suspend { by: &'static str, share: Index },
    Reinstate { by: &'static str, share: Index },
    End { by: &'static str, share: Index, adopt: Vec<Index> },
    Leave { share: Index },
    Clock { seconds: i64 },
    Hosting { id: &'static str, state: HostingState },
    OwnersOfHosting { id: &'static str, owners: Vec<&'static str> },
    OwnersOfSite { site: &'static str, owners: Vec<&'static str> },
}

/// Terms that somebody wishes for; the time is counted from the step.
#[derive(Debug, Clone)]
struct Wish {
    /// No more than whoever wishes it holds; most of the others are refused.
    modest: bool,
    privileges: Vec<Privilege>,
    log_in_as: Option<LogInAs>,
    file_access: FileAccess,
    lasts_s: Option<u64>,
}

impl Wish {
    fn terms(&self, node: &Node, by: &str, site: &InstanceId) -> Terms {
        let privileges: PrivilegeSet = self.privileges.iter().copied().collect();
        let wanted = Holdings {
            privileges,
            log_in_as: self.log_in_as.clone().filter(|_| privileges.contains(Privilege::WpAdminSso)),
            file_access: self.file_access.clone(),
            expires_at: self.lasts_s.map(|seconds| node.now + Duration::from_secs(seconds)),
        };
        let held = actor_holdings(&node.table, &actor(by), node.table.instance(site).unwrap(), node.now);
        let Holdings { privileges, log_in_as, file_access, expires_at } =
            if self.modest { wanted.meet(&held) } else { wanted };
        Terms { role: Role::Custom, privileges, log_in_as, file_access, expires_at }
    }
}

fn wish() -> impl Strategy<Value = Wish> {
    use Privilege::{ManageCron, ManageMysql, ManageSharedAccess, UpdateSiteName, ViewLogs, WpAdminSso};
    let some = subsequence(vec![UpdateSiteName, WpAdminSso, ManageCron, ManageMysql, ViewLogs], 0..=5);
    let shares_on = prop::bool::weighted(0.7);
    let log_in_as = select(vec![
        None,
        Some(LogInAs::ALL),
        Some(LogInAs::ALL),
        Some(pinned(2, "editor")),
        Some(pinned(3, "author")),
    ]);
    let files = |kind, path: &str, read_only| FileAccess { kind, path: path.to_owned(), read_only };
    let file_access = select(vec![
        FileAccess::NONE,
        FileAccess::ALL,
        files(FileAccessKind::Sftp, "a", false),
        files(FileAccessKind::Sftp, "a/b", true),
        files(FileAccessKind::Ftp, "", false),
    ]);
    let lasts_s = select(vec![None, None, None, Some(20), Some(60)]);
    let modest = prop::bool::weighted(0.8);
    (some, shares_on, log_in_as, file_access, lasts_s, modest).prop_map(
        |(mut privileges, shares_on, log_in_as, file_access, lasts_s, modest)| {
            privileges.extend(shares_on.then_some(ManageSharedAccess));
            Wish { modest, privileges, log_in_as, file_access, lasts_s }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let by = || select(&ACTORS[..]);
    let share = any::<Index>;
    let site = || select(&SITES[..]);
    let hosting = || select(&HOSTINGS[..]);
    let owners = || subsequence(PEOPLE.to_vec(), 0..=2);
    prop_oneof![
        16 => (by(), select(&PEOPLE[..]), site(), wish(), prop::bool::weighted(0.8))
            .prop_map(|(by, whom, site, wish, accepts)| Step::Invite { by, whom, site, wish, accepts }),
        1 => share().prop_map(|share| Step::Accept { share }),
        4 => (by(), share(), wish()).prop_map(|(by, share, wish)| Step::Edit { by, share, wish }),
        2 => (by(), share()).prop_map(|(by, share)| Step::Suspend { by, share }),
        2 => (by(), share()).prop_map(|(by, share)| Step::Reinstate { by, share }),
        2 => (by(), share(), prop::collection::vec(any::<Index>(), 0..=2))
            .prop_map(|(by, share, adopt)| Step::End { by, share, adopt }),
        1 => share().prop_map(|share| Step::Leave { share }),
        2 => (-50_i64..50).prop_map(|seconds| Step::Clock { seconds }),
        1 => (hosting(), select(vec![HostingState::Active, HostingState::Active, HostingState::Suspended]))
            .prop_map(|(id, state)| Step::Hosting { id, state }),
        1 => (hosting(), owners()).prop_map(|(id, owners)| Step::OwnersOfHosting { id, owners }),
        1 => (site(), owners()).prop_map(|(site, owners)| Step::OwnersOfSite { site, owners }),
    ]
}

/// What the agent's store does with the crate's answers.
struct Store {
    node: Node,
    shares: Vec<ShareId>,
    /// Every share that was seen to be over once, be it written down or by the clock.
    over: BTreeSet<ShareId>,
}

impl Store {
    fn new() -> Self {
        let mut node = Node::new();
        for name in PEOPLE {
            node.person(name);
        }
        node.table.remove_instance(&"shop".parse().unwrap());
        node.put_instance("stage", "acme", &["olga"]);
        node.put_hosting("other", &["sam"]);
        node.put_instance("far", "other", &["sam", "olga"]);
        let everything = || node::custom(Privilege::EVERY).with_files(FileAccess::ALL);
        let mut shares = Vec::new();
        for site in SITES {
            let lead = node.share("lead", site, everything(), GrantedBy::Panel);
            shares.extend([lead, node.share("dev", site, everything(), GrantedBy::Share(lead))]);
        }
        Self { node, shares, over: BTreeSet::new() }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Invite { by, whom, site, wish, accepts } => self.invite(by, whom, site, wish, *accepts),
            Step::Accept { share } => {
                let Some(row) = self.pick(share) else { return };
                let own = decide_own_share(&self.node.table, &Actor::Person(row.person), row.id);
                if own.is_ok() && row.state == ShareState::Pending {
                    self.node.alter(row.id, |share| share.state = ShareState::Active);
                }
            }
            Step::Edit { by, share, wish } => {
                let Some(row) = self.pick(share) else { return };
                let terms = wish.terms(&self.node, by, &row.instance);
                if let Ok(granted_by) = may_change(&self.node.table, &actor(by), &row, Some(&terms), self.node.now) {
                    self.node.alter(row.id, |share| (share.terms, share.granted_by) = (terms, granted_by));
                }
            }
            Step::Suspend { by, share } => self.move_state(by, share, ShareState::Active, ShareState::Suspended),
            Step::Reinstate { by, share } => self.move_state(by, share, ShareState::Suspended, ShareState::Active),
            Step::End { by, share, adopt } => {
                let Some(row) = self.pick(share) else { return };
                let below: Vec<ShareId> = self.node.table.granted_through(&row).map(|below| below.id).collect();
                let any = |index: &Index| self.pick(index).map(|row| row.id);
                let one = |index: &Index| {
                    if below.is_empty() { any(index) } else { Some(*index.get(&below)) }
                };
                let adopt: Vec<ShareId> = adopt.iter().filter_map(one).collect();
                self.end(&actor(by), &row, &adopt, ShareState::Revoked);
            }
            Step::Leave { share } => {
                let Some(row) = self.pick(share) else { return };
                self.end(&Actor::Person(row.person), &row, &[], ShareState::Revoked);
            }
            Step::Clock { seconds } => {
                self.note_expiries();
                self.node.now += jiff::SignedDuration::from_secs(*seconds);
            }
            Step::Hosting { id, state } => self.node.set_hosting(id, *state),
            Step::OwnersOfHosting { id, owners } => self.node.put_hosting(id, owners),
            Step::OwnersOfSite { site, owners } => {
                let hosting = if *site == "far" { "other" } else { "acme" };
                self.node.put_instance(site, hosting, owners);
            }
        }
    }

    /// One that was not written down as ended.
    fn pick(&self, index: &Index) -> Option<Share> {
        let rows = self.shares.iter().map(|id| self.node.row(*id));
        let going_on: Vec<&Share> = rows.filter(|row| !row.state.is_final()).collect();
        (!going_on.is_empty()).then(|| (*index.get(&going_on)).clone())
    }

    fn invite(&mut self, by: &str, whom: &str, site: &str, wish: &Wish, accepts: bool) {
        let main = self.grant(by, whom, site, wish, accepts, None);
        if site == "live" && main.is_some() {
            self.grant(by, whom, "stage", wish, accepts, main);
        }
    }

    fn grant(
        &mut self,
        by: &str,
        whom: &str,
        site: &str,
        wish: &Wish,
        accepts: bool,
        linked_to: Option<ShareId>,
    ) -> Option<ShareId> {
        let Node { table, now, .. } = &self.node;
        let site_id = site.parse().unwrap();
        if table.share_of_on(node::person(whom), &site_id).is_some() {
            return None;
        }
        let permit = decide::<ShareInvite>(table, &actor(by), &site_id, *now).ok()?;
        let terms = wish.terms(&self.node, by, &site_id);
        let granted_by = may_grant(table, &permit, &terms, *now).ok()?;
        let id = self.node.share(whom, site, terms, granted_by);
        self.node.alter(id, |share| {
            share.linked_to = linked_to;
            share.state = if accepts { ShareState::Active } else { ShareState::Pending };
        });
        self.shares.push(id);
        Some(id)
    }

    fn move_state(&mut self, by: &str, share: &Index, from: ShareState, to: ShareState) {
        let Some(row) = self.pick(share).filter(|row| row.state == from) else { return };
        if may_change(&self.node.table, &actor(by), &row, None, self.node.now).is_ok() {
            self.node.alter(row.id, |share| share.state = to);
        }
    }

    fn end(&mut self, by: &Actor, row: &Share, adopt: &[ShareId], state: ShareState) {
        let plan = plan_ending(&self.node.table, by, row, adopt, self.node.now);
        let Ok(Ending { ended, adopted }) = plan else { return };
        assert_eq!(ended.first(), Some(&row.id));
        for id in ended {
            self.node.alter(id, |share| share.state = if id == row.id { state } else { ShareState::Revoked });
            self.over.insert(id);
        }
        for (id, by) in adopted {
            self.node.alter(id, |share| share.granted_by = by);
        }
    }

    /// What the timer does, and whatever else notices that a share's time is over.
    fn note_expiries(&mut self) {
        for id in self.shares.clone() {
            let row = self.node.row(id).clone();
            if !row.state.is_final() && row.has_expired(self.node.now) {
                self.end(&Actor::Panel, &row, &[], ShareState::Expired);
            }
        }
    }
}

/// The rules a second time, by sets and recursion, for comparison.
impl Store {
    fn check(&mut self) {
        let now = self.node.now;
        let over = self.shares.iter().map(|id| self.node.row(*id)).filter(|row| row.is_over(now)).map(|row| row.id);
        self.over.extend(over.collect::<Vec<_>>());
        for id in &self.shares {
            self.check_share(self.node.row(*id));
        }
        for (name, site) in PEOPLE.iter().flat_map(|name| SITES.map(|site| (name, site))) {
            self.check_decision::<SiteNameShow>(name, site);
            self.check_decision::<ShareInvite>(name, site);
            self.check_decision::<SsoOpen>(name, site);
            self.check_decision::<CronList>(name, site);
        }
    }

    /// A share allows nothing when it is dead, and otherwise nothing that its grantor does not hold now.
    fn check_share(&self, share: &Share) {
        let Node { table, now, .. } = &self.node;
        let holdings = share_holdings(table, share, *now);
        if self.over.contains(&share.id) || share.state != ShareState::Active {
            assert_eq!(holdings, Holdings::NONE, "a dead share allows something: {share:?}");
            return;
        }
        let instance = self.site(share);
        let grantor = match share.granted_by {
            GrantedBy::Panel => Actor::Panel,
            GrantedBy::Owner(owner) if instance.owners.contains(&owner) => Actor::Person(owner),
            GrantedBy::Owner(_) => {
                assert_eq!(holdings, Holdings::NONE, "who is no owner any more granted: {share:?}");
                return;
            }
            GrantedBy::Share(above) => {
                let above = self.node.row(above);
                let theirs = share_holdings(table, above, *now);
                assert_eq!(GrantFault::of(&holdings, &theirs), None, "wider than {above:?}: {share:?}");
                assert!(!above.state.is_final(), "left resting on a share that ended: {share:?}");
                return;
            }
        };
        let theirs = actor_holdings(table, &grantor, instance, *now);
        assert_eq!(GrantFault::of(&holdings, &theirs), None, "wider than {grantor:?}: {share:?}");
    }

    /// The decision is the one that the naive rules make; what is allowed is allowed to every grantor above, too.
    fn check_decision<O: Operation>(&self, name: &str, site: &str) {
        let Node { table, now, .. } = &self.node;
        let person = node::person(name);
        let instance = table.instance(&site.parse().unwrap()).unwrap();
        let verdict = self.node.verdict::<O>(&Actor::Person(person), site);
        let allowed = verdict.starts_with("allow");
        assert_eq!(allowed, self.allows(person, instance, O::SPEC.privilege), "{name}: {} on {site}", O::SPEC.name);
        if O::SPEC.privilege.concerns_hosting() {
            let held = hosting_privileges(table, &Actor::Person(person), instance, *now);
            assert_eq!(held.contains(O::SPEC.privilege), allowed, "{name}: the hosting privileges on {site}");
        }
        let Ok(permit) = decide::<O>(table, &Actor::Person(person), &instance.id, *now) else {
            return;
        };
        let Some(mut share) = permit.share().map(|id| self.node.row(id)) else { return };
        assert_eq!(share.person, person);
        while let GrantedBy::Share(above) = share.granted_by {
            share = self.node.row(above);
            let above = decide::<O>(table, &Actor::Person(share.person), &share.instance, *now);
            let above = above.expect("whoever granted this may do it, too");
            if O::SPEC.privilege != Privilege::WpAdminSso {
                continue;
            }
            let fits = match (permit.log_in_as(), above.log_in_as()) {
                (Some(mine), Some(theirs)) => mine.meet(theirs).as_ref() == Some(mine),
                (mine, _) => mine.is_none(),
            };
            assert!(fits, "{name} may log in as somebody that their grantor may not");
        }
    }

    fn site(&self, share: &Share) -> &Instance {
        self.node.table.instance(&share.instance).unwrap()
    }

    fn allows(&self, person: PersonId, site: &Instance, privilege: Privilege) -> bool {
        let active = |site: &Instance| self.node.table.hosting(&site.hosting).unwrap().state == HostingState::Active;
        let through = |share: &Share| {
            let there = self.site(share);
            let counts = share.instance == site.id || privilege.concerns_hosting() && there.hosting == site.hosting;
            share.person == person && counts && self.share_allows(share, privilege)
        };
        active(site)
            && (self.owner_allows(person, site, privilege)
                || privilege.concerns_hosting() && self.owns_hosting(person, site)
                || self.shares.iter().any(|id| through(self.node.row(*id))))
    }

    fn share_allows(&self, share: &Share, privilege: Privilege) -> bool {
        let alive = share.state == ShareState::Active && !self.over.contains(&share.id);
        alive
            && share.terms.privileges.contains(privilege)
            && match share.granted_by {
                GrantedBy::Panel => true,
                GrantedBy::Owner(owner) => self.owner_allows(owner, self.site(share), privilege),
                GrantedBy::Share(above) => self.share_allows(self.node.row(above), privilege),
            }
    }

    fn owner_allows(&self, person: PersonId, site: &Instance, privilege: Privilege) -> bool {
        site.owners.contains(&person) && (!privilege.concerns_hosting() || self.owns_hosting(person, site))
    }

    fn owns_hosting(&self, person: PersonId, site: &Instance) -> bool {
        let mut sites = self.node.table.instances().filter(|other| other.hosting == site.hosting);
        let hosting = self.node.table.hosting(&site.hosting).unwrap();
        hosting.owners.contains(&person) || sites.all(|site| site.owners.contains(&person))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_ever_holds_more_than_who_granted_it_and_no_dead_share_allows(
        steps in prop::collection::vec(step(), 10..40)
    ) {
        let mut store = Store::new();
        for step in &steps {
            store.run(step);
            store.check();
        }
    }
}

#[test]
fn the_random_lives_are_lively_enough_to_prove_something() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut delegated, mut deep, mut adopted, mut ended) = (0, 0, 0, 0);
    for _ in 0..50 {
        let steps = prop::collection::vec(step(), 50).new_tree(&mut runner).unwrap().current();
        let mut store = Store::new();
        for step in &steps {
            let before = store.node.clone();
            store.run(step);
            let moved = |id: &&ShareId| {
                before.table.share(**id).is_some_and(|row| row.granted_by != store.node.row(**id).granted_by)
            };
            adopted += store.shares.iter().filter(moved).count();
        }
        for row in store.shares.iter().map(|id| store.node.row(*id)) {
            ended += usize::from(row.state.is_final());
            if let GrantedBy::Share(above) = row.granted_by {
                delegated += 1;
                deep += usize::from(matches!(store.node.row(above).granted_by, GrantedBy::Share(_)));
            }
        }
    }
    let counts = format!("{delegated} delegated, {deep} deep, {adopted} moved, {ended} ended");
    assert!(delegated > 100 && deep > 10 && adopted > 10 && ended > 50, "{counts}");
}
