//! Reach: what a share really amounts to, beyond the words of its privileges.

use std::sync::LazyLock;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{AccessTable, Holdings, LogInAs, Privilege, PrivilegeSet, ReachWord, Share, share_terms_now};

/// What a share amounts to, with what causes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reach {
    /// Amounts to an administrator of the site.
    pub effective_admin: bool,
    /// Reaches other sites on the same hosting.
    pub reaches_other_sites: bool,
    /// Sees passwords, keys or personal data.
    pub sees_secrets: bool,
    /// Can make further authority that outlives the share.
    pub can_mint: bool,
    /// Can do what cannot be undone.
    pub destroys: bool,
    /// Why, for each flag that is set.
    pub because: Vec<ReachCause>,
}

/// A flag of [`Reach`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReachFlag {
    /// [`Reach::effective_admin`]
    EffectiveAdmin,
    /// [`Reach::reaches_other_sites`]
    ReachesOtherSites,
    /// [`Reach::sees_secrets`]
    SeesSecrets,
    /// [`Reach::can_mint`]
    CanMint,
    /// [`Reach::destroys`]
    Destroys,
}

/// One reason for one flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReachCause {
    /// The flag.
    pub flag: ReachFlag,
    /// The privilege, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privilege: Option<&'static str>,
    /// The fact: a sentence.
    pub fact: String,
}

impl Reach {
    fn add(&mut self, flag: ReachFlag, privilege: Option<Privilege>, fact: &str) {
        *match flag {
            ReachFlag::EffectiveAdmin => &mut self.effective_admin,
            ReachFlag::ReachesOtherSites => &mut self.reaches_other_sites,
            ReachFlag::SeesSecrets => &mut self.sees_secrets,
            ReachFlag::CanMint => &mut self.can_mint,
            ReachFlag::Destroys => &mut self.destroys,
        } = true;
        self.because.push(ReachCause { flag, privilege: privilege.map(Privilege::id), fact: fact.to_owned() });
    }
}

impl Privilege {
    /// Whether it lets somebody make themselves an administrator of the site.
    pub fn amounts_to_administrator(self) -> bool {
        ADMINISTRATORS.contains(self)
    }
}

impl Holdings {
    /// Whether its holder could leave something on the hosting with which they come back.
    pub fn can_leave_something(&self) -> bool {
        let privileges = ADMINISTRATORS.with(Privilege::WpAdminSso);
        self.file_access.writes() || !self.privileges.meet(privileges).is_empty()
    }
}

/// What amounts to an administrator of the site by itself.
static ADMINISTRATORS: LazyLock<PrivilegeSet> = LazyLock::new(|| {
    let amounts = |privilege: &Privilege| {
        let mut reach = Reach::default();
        privilege.entry().reach.iter().for_each(|word| of_word(&mut reach, *privilege, *word, false));
        reach.effective_admin
    };
    Privilege::ALL.iter().copied().filter(amounts).fold(PrivilegeSet::EMPTY, PrivilegeSet::with)
});

const RUNS_CODE: &str = "runs code as the site's system user, so a pinned Log In As is no limit";
const SHARED_USER: &str = "the sites of this hosting share one system user";

/// What a share amounts to now, or would if it were active.
pub fn reach(table: &AccessTable, share: &Share, now: Timestamp) -> Reach {
    let holdings = share_terms_now(table, share, now);
    let hosting = table.instance(&share.instance).map(|instance| &instance.hosting);
    let shared_user = hosting.is_some_and(|hosting| table.instances_of(hosting).count() > 1);
    let mut reach = Reach::default();
    for privilege in holdings.privileges.iter() {
        for word in &privilege.entry().reach {
            of_word(&mut reach, privilege, *word, shared_user);
        }
    }
    if holdings.privileges.contains(Privilege::WpAdminSso) {
        match (&holdings.log_in_as, share.pinned_is_administrator) {
            (Some(LogInAs::All(_)), _) => {
                reach.add(ReachFlag::EffectiveAdmin, Some(Privilege::WpAdminSso), "logs in as any WordPress user");
            }
            (Some(LogInAs::Pinned(_)), Some(true)) => {
                let fact = "the WordPress user to log in as is an administrator";
                reach.add(ReachFlag::EffectiveAdmin, Some(Privilege::WpAdminSso), fact);
            }
            _ => {}
        }
    }
    if holdings.file_access.writes() {
        let fact = "a file account that writes runs code as the site's system user";
        reach.add(ReachFlag::EffectiveAdmin, None, fact);
        reach.add(ReachFlag::SeesSecrets, None, fact);
        if shared_user {
            reach.add(ReachFlag::ReachesOtherSites, None, SHARED_USER);
        }
    } else if holdings.file_access.reads() {
        reach.add(ReachFlag::SeesSecrets, None, "a file account reads wp-config.php");
    }
    reach
}

fn of_word(reach: &mut Reach, privilege: Privilege, word: ReachWord, shared_user: bool) {
    let mut add = |flag, fact| reach.add(flag, Some(privilege), fact);
    match word {
        ReachWord::Plain | ReachWord::State | ReachWord::Session => {}
        ReachWord::Secrets => add(ReachFlag::SeesSecrets, "shows secrets"),
        ReachWord::Code => {
            add(ReachFlag::EffectiveAdmin, RUNS_CODE);
            add(ReachFlag::SeesSecrets, RUNS_CODE);
            if shared_user {
                add(ReachFlag::ReachesOtherSites, SHARED_USER);
            }
        }
        ReachWord::Account => add(ReachFlag::ReachesOtherSites, "acts on every site of the hosting"),
        ReachWord::Mint => {
            add(ReachFlag::CanMint, "makes users, passwords or shares that outlive it");
            if privilege != Privilege::ManageSharedAccess {
                add(ReachFlag::EffectiveAdmin, "makes authority of its own");
            }
        }
        ReachWord::Destroy => add(ReachFlag::Destroys, "cannot be undone"),
    }
}
