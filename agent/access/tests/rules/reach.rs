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

#[test]
fn what_goes_round_a_pin_is_said_of_each_privilege_alone() {
    let all = [true, true, true];
    for (privilege, expected) in [
        (Privilege::ManageFileManager, all),
        (Privilege::ManageCron, all),
        (Privilege::ManageMysql, all),
        (Privilege::PhpmyadminSso, all),
        // The logs of one site, with secrets masked as far as they can be told.
        (Privilege::ViewLogs, [false, false, true]),
        (Privilege::WpAdminSso, [false, false, false]),
        (Privilege::UpdateSiteName, [false, false, false]),
    ] {
        let [admin, others, secrets, ..] = flags(&reach_of(&[privilege]));
        assert_eq!([admin, others, secrets], expected, "{privilege:?}");
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
