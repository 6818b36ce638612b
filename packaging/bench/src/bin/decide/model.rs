//! The node that is asked about: people, hostings, instances and shares drawn from a fixed seed, and the questions.

use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use latchkey_access::rows::{IndexingSet, MaintenanceSet, ShareInvite, SiteNameShow, SsoOpen};
use latchkey_access::{
    AccessTable, Actor, Effect, FileAccess, GrantedBy, Hosting, HostingState, Instance, InstanceId, LogInAs, Operation,
    OperationSpec, Person, PersonId, Php, Privilege, PrivilegeSet, Role, Runs, Share, ShareId, ShareState, SsoRedeemer,
    Terms, Web, WebKind, WpUser, decide,
};

const PEOPLE: u64 = 20_000;
const INSTANCES: u64 = 10_000;
const SHARES_ON_EACH: u64 = 10;

/// When the questions are asked.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// An operation of the hosting, to ask about what counts for every site on it.
pub(crate) enum CronList {}

impl Operation for CronList {
    const SPEC: &'static OperationSpec = &OperationSpec {
        name: "cron.list",
        summary: "List the cron jobs",
        privilege: Privilege::ManageCron,
        effect: Effect::Read,
        runs: Runs::Now,
    };
}

type Decide = fn(&AccessTable, &Actor, &InstanceId, Timestamp) -> bool;

fn decides<O: Operation>(table: &AccessTable, actor: &Actor, instance: &InstanceId, now: Timestamp) -> bool {
    decide::<O>(table, actor, instance, now).is_ok()
}

/// The operations that are asked about.
const ASKED: [(&OperationSpec, Decide); 6] = [
    (CronList::SPEC, decides::<CronList>),
    (SsoOpen::SPEC, decides::<SsoOpen>),
    (SiteNameShow::SPEC, decides::<SiteNameShow>),
    (MaintenanceSet::SPEC, decides::<MaintenanceSet>),
    (IndexingSet::SPEC, decides::<IndexingSet>),
    (ShareInvite::SPEC, decides::<ShareInvite>),
];

/// May this person run this operation on that instance?
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) person: PersonId,
    pub(crate) actor: Actor,
    pub(crate) instance: InstanceId,
    pub(crate) operation: &'static OperationSpec,
    decide: Decide,
}

impl Question {
    pub(crate) fn decide(&self, table: &AccessTable) -> bool {
        (self.decide)(table, &self.actor, &self.instance, NOW)
    }
}

/// Everything that both sides are built from.
pub(crate) struct Model {
    pub(crate) people: Vec<Person>,
    pub(crate) hostings: Vec<Hosting>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) shares: Vec<Share>,
    pub(crate) questions: Vec<Question>,
}

impl Model {
    /// Draws the node and the questions.
    pub(crate) fn generate(questions: usize) -> anyhow::Result<Self> {
        let mut random = Random(0x5eed);
        let people = (0..PEOPLE).map(person).collect::<anyhow::Result<_>>()?;
        let mut model =
            Self { people, hostings: Vec::new(), instances: Vec::new(), shares: Vec::new(), questions: Vec::new() };
        for number in 0..INSTANCES {
            model.add_instance(number, &mut random)?;
        }
        for number in 0..INSTANCES {
            model.add_shares(number, &mut random)?;
        }
        while model.questions.len() < questions {
            let question = model.question(&mut random)?;
            model.questions.push(question);
        }
        Ok(model)
    }

    /// The table that decisions are made from.
    pub(crate) fn table(&self) -> AccessTable {
        AccessTable::from_rows(
            self.people.iter().cloned(),
            self.hostings.iter().cloned(),
            self.instances.iter().cloned(),
            self.shares.iter().cloned(),
        )
    }

    /// Every second instance is on the hosting of the one before, except that every third hosting has only one.
    fn add_instance(&mut self, number: u64, random: &mut Random) -> anyhow::Result<()> {
        let hosting = format!("hosting-{}", first_on_hosting(number)).parse()?;
        let owner = person_id(number);
        if first_on_hosting(number) == number {
            let state = if random.one_in(20) { HostingState::Suspended } else { HostingState::Active };
            let owners = if random.one_in(2) { vec![owner] } else { Vec::new() };
            self.hostings.push(hosting_of(&hosting, owners, state));
        }
        self.instances.push(Instance {
            id: instance_id(number)?,
            hosting,
            docroot: format!("/home/s{number}/site"),
            url: format!("https://site{number}.example"),
            label: format!("Site {number}"),
            database: format!("s{number}_wp"),
            owners: vec![owner],
            staging_of: None,
        });
        Ok(())
    }

    /// Four shares by the panel or the owner, three by the first of them, three by those: chains of up to three shares.
    fn add_shares(&mut self, number: u64, random: &mut Random) -> anyhow::Result<()> {
        let id = |place: u64| ShareId::from_number(number * SHARES_ON_EACH + place);
        let anybody = random.below(PEOPLE);
        for place in 0..SHARES_ON_EACH {
            let granted_by = match place {
                0..2 => GrantedBy::Panel,
                2..4 => GrantedBy::Owner(person_id(number)),
                _ => GrantedBy::Share(id(place - 4 + place % 2)),
            };
            // Steps that are coprime enough never meet the same person twice on one instance, nor its owner.
            let person = person_id(number + 1 + (anybody + place * 1_777) % (PEOPLE - 1));
            self.shares.push(Share {
                id: id(place),
                person,
                instance: instance_id(number)?,
                terms: terms(place, random)?,
                state: match random.below(20) {
                    0 => ShareState::Revoked,
                    1 => ShareState::Suspended,
                    2 => ShareState::Pending,
                    _ => ShareState::Active,
                },
                granted_by,
                apply_to_staging: false,
                linked_to: None,
                follows: false,
                generation: 1,
                note: None,
                created_at: NOW,
                accepted_at: None,
                pinned_is_administrator: None,
                log_in_as_mismatch: None,
            });
        }
        Ok(())
    }

    /// Mostly somebody who holds a share there, otherwise one on the next site, the owner, or anybody.
    fn question(&self, random: &mut Random) -> anyhow::Result<Question> {
        let share = random.pick(&self.shares)?;
        let number = share_number(share);
        let (person, site) = match random.below(10) {
            0 => (person_id(number), number),
            1 => (person_id(random.below(PEOPLE)), number),
            2 | 3 => (share.person, number ^ 1),
            _ => (share.person, number),
        };
        let (operation, decide) = *random.pick(&ASKED)?;
        Ok(Question { person, actor: Actor::Person(person), instance: instance_id(site)?, operation, decide })
    }
}

fn share_number(share: &Share) -> u64 {
    share.instance.as_str().trim_start_matches("site-").parse().unwrap_or(0)
}

const fn first_on_hosting(number: u64) -> u64 {
    if number % 6 < 4 { number - number % 2 } else { number }
}

fn person_id(number: u64) -> PersonId {
    // Ids are random numbers in life: spread them, so that neighbours in the model are none in a table.
    PersonId::from_number((number % PEOPLE + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn instance_id(number: u64) -> anyhow::Result<InstanceId> {
    format!("site-{number}").parse().context("an instance id")
}

fn person(number: u64) -> anyhow::Result<Person> {
    Ok(Person { id: person_id(number), email: format!("person{number}@example.org").parse()?, name: None })
}

fn hosting_of(id: &latchkey_access::HostingId, owners: Vec<PersonId>, state: HostingState) -> Hosting {
    Hosting {
        id: id.clone(),
        system_user: id.to_string(),
        home: format!("/home/{id}"),
        db_prefix: format!("{id}_"),
        owners,
        adapters: Vec::new(),
        state,
        php: Php { binary: "/usr/bin/php8.2".to_owned(), ini: None },
        web: Web { kind: WebKind::Nginx, sso: SsoRedeemer::Location },
        log_paths: Vec::new(),
    }
}

fn terms(place: u64, random: &mut Random) -> anyhow::Result<Terms> {
    let role = if place < 4 {
        Role::FullAccess
    } else {
        *random.pick(&[Role::ViewAndSso, Role::Developer, Role::FullAccess])?
    };
    let dropped = Privilege::ALL.iter().copied().filter(|_| random.one_in(8)).collect::<PrivilegeSet>();
    let day = Duration::from_secs(86_400);
    let log_in_as = match random.below(3) {
        0 => LogInAs::Pinned(WpUser { id: 2, login: "editor".to_owned() }),
        _ => LogInAs::ALL,
    };
    Ok(Terms {
        role: Role::Custom,
        privileges: role.privileges().without(dropped),
        log_in_as: Some(log_in_as),
        file_access: FileAccess::NONE,
        expires_at: match random.below(10) {
            0 => Some(NOW - day),
            1 | 2 => Some(NOW + day),
            _ => None,
        },
    })
}

/// SplitMix64: the same node and questions in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> anyhow::Result<&'a T> {
        from.get(self.below(from.len() as u64) as usize).context("pick from nothing")
    }
}
