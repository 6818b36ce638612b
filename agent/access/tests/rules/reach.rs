//! Reach: no privilege is a way round, alone or with another, without being said.

use latchkey_access::{GrantedBy, Privilege, PrivilegeSet, Reach, reach};

use crate::node::{NOON, Node, With, custom, pinned};

/// What a share that is pinned to an editor amounts to with these privileges, on a hosting with other sites.
fn reach_of(privileges: &[Privilege]) -> Reach {
    let mut node = Node::new();
    let terms = custom(privileges.iter().copied().collect::<PrivilegeSet>()).with_log_in_as(
        // Log In As needs the privilege for it.
        privileges.contains(&Privilege::WpAdminSso).then(|| pinned(2, "editor")),
    );
    let share = node.share("dev", "live", terms, GrantedBy::Panel);
    node.alter(share, |share| share.pinned_is_administrator = Some(false));
    reach(&node.table, node.row(share), NOON)
}

fn flags(reach: &Reach) -> [bool; 5] {
    [reach.effective_admin, reach.reaches_other_sites, reach.sees_secrets, reach.can_mint, reach.destroys]
}

/// Who holds one of these is not held by a pinned Log In As any more, or sees what it keeps from them: whether they amount
/// to an administrator, reach other sites of the hosting, see secrets, can make further authority, do what cannot be undone.
const GO_ROUND_A_PIN: [(Privilege, [bool; 5]); 25] = {
    use Privilege::{
        ChangeDomain, CopyInstance, CreateStaging, DeleteInstance, ManageBackups, ManageConfig, ManageCron,
        ManageDebugMode, ManageDns, ManageDomains, ManageEmail, ManageFileManager, ManageFtp, ManageMysql,
        ManagePlugins, ManageSftp, ManageSharedAccess, ManageSsl, ManageThemes, ManageUsers, PhpmyadminSso, PushToLive,
        PushToStaging, UpdateWordpress, ViewLogs,
    };
    [
        // Files, cron and databases are the hosting's, not the site's: wp-config.php and wp_users are in them.
        (ManageFileManager, [true, true, true, false, false]),
        (ManageCron, [true, true, true, false, false]),
        (ManageSftp, [true, true, true, false, false]),
        (ManageFtp, [true, true, true, false, false]),
        (ManageMysql, [true, true, true, true, false]),
        (PhpmyadminSso, [true, true, true, true, false]),
        // What WordPress runs runs as the hosting's system user.
        (ManageConfig, [true, true, true, false, false]),
        (ManagePlugins, [true, true, true, false, false]),
        (ManageThemes, [true, true, true, false, false]),
        (UpdateWordpress, [true, true, true, false, false]),
        (ManageBackups, [true, true, true, false, false]),
        (PushToLive, [true, true, true, false, false]),
        // Whoever has the domain's mail or names has its passwords set anew.
        (ChangeDomain, [true, true, false, true, false]),
        (ManageEmail, [true, true, false, true, false]),
        (ManageDns, [true, true, false, true, false]),
        (ManageDomains, [true, true, false, true, false]),
        (ManageSsl, [false, true, false, false, false]),
        (ManageUsers, [true, false, false, true, false]),
        (ManageSharedAccess, [false, false, false, true, false]),
        // Copies, and what a site says about itself, with secrets masked as far as they can be told.
        (CreateStaging, [false, false, true, false, false]),
        (PushToStaging, [false, false, true, false, false]),
        (CopyInstance, [false, false, true, false, false]),
        (ViewLogs, [false, false, true, false, false]),
        (ManageDebugMode, [false, false, true, false, false]),
        (DeleteInstance, [false, false, false, false, true]),
    ]
};

#[test]
fn what_goes_round_a_pin_is_said_of_each_privilege_alone_and_of_no_other() {
    for privilege in Privilege::ALL {
        let known = GO_ROUND_A_PIN.iter().find(|(known, _)| known == privilege);
        let expected = known.map_or([false; 5], |(_, flags)| *flags);
        assert_eq!(flags(&reach_of(&[*privilege])), expected, "{privilege:?}");
    }
}

#[test]
fn two_privileges_amount_to_what_each_does_and_both_are_named() {
    for one in Privilege::ALL {
        for other in Privilege::ALL.iter().filter(|other| *other > one) {
            let (a, b, both) = (reach_of(&[*one]), reach_of(&[*other]), reach_of(&[*one, *other]));
            let either: Vec<bool> = flags(&a).into_iter().zip(flags(&b)).map(|(a, b)| a || b).collect();
            assert_eq!(flags(&both).to_vec(), either, "{one:?} with {other:?}");
            for cause in a.because.iter().chain(&b.because) {
                assert!(both.because.contains(cause), "{one:?} with {other:?}: {cause:?}");
            }
            assert_eq!(both.because.len(), a.because.len() + b.because.len(), "{one:?} with {other:?}");
        }
    }
}
