//! Who may do what on which instance.
//!
//! Pure rules: no I/O, no clock, no randomness; time and ids are parameters. The rules carry the numbers A1 to A14
//! that ARCHITECTURE.md explains. What acts on a decision lives elsewhere and needs a [`Permit`], which only
//! [`decide`] makes.

mod catalogue;
mod decide;
mod delegate;
mod email;
mod end;
mod file_access;
mod file_account;
mod holdings;
mod hosting;
mod ids;
mod log_in_as;
mod operations;
mod person;
mod privilege_set;
mod reach;
mod share;
mod table;

pub use catalogue::{Catalogue, Category, PrivilegeEntry, ReachWord, Role, RoleEntry, catalogue};
pub use decide::{
    Actor, Denial, DenialKind, Explanation, OwnShare, PanelPermit, Permit, Rule, decide, decide_own_share,
    decide_panel, explain, hosting_privileges, sees,
};
pub use delegate::{GrantFault, may_change, may_grant};
pub use email::{Email, InvalidEmail};
pub use end::{Ending, plan_ending};
pub use file_access::{FileAccess, FileAccessKind};
pub use file_account::{FilePermit, FileProtocol, decide_files, decide_hosting_files};
pub use holdings::{Holdings, actor_holdings, share_holdings, share_terms_now};
pub use hosting::{Hosting, HostingState, Instance, Php, SsoRedeemer, Web, WebKind};
pub use ids::{AdapterName, HostingId, InstanceId, InvalidId, PersonId, ShareId};
pub use log_in_as::{LogInAs, WpUser, WpUserChoice, choose_wp_user};
pub use operations::{Effect, Operation, OperationSpec, Runs, operation, operations, rows};
pub use person::Person;
pub use privilege_set::{PrivilegeSet, UnknownPrivilege};
pub use reach::{Reach, ReachCause, ReachFlag, reach};
pub use share::{GrantedBy, Share, ShareState, Terms};
pub use table::AccessTable;

pub use catalogue::Privilege;
