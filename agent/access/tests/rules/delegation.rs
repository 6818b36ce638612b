//! A10 and A11: who may grant, change, end and adopt what, and what is left below.

use super::*;

#[test]
fn a10_nobody_grants_more_than_they_hold() {
    let mut node = Node::new();
    let lead = node.share("lead", "live", sharing([NAME]), GrantedBy::Panel);
    check_grant(&node, "lead", custom([NAME]), Ok(GrantedBy::Share(lead)));
    check_grant(&node, "lead", sharing([NAME]), Ok(GrantedBy::Share(lead)));
    check_grant(&node, "lead", custom([NAME, SSO]), Err("403 A10"));
    check_grant(&node, "olga", role(Role::Developer), Ok(GrantedBy::Owner(person("olga"))));
    check_grant(&node, "olga", role(Role::FullAccess), Err("403 A10"));
    check_grant(&node, "panel", role(Role::FullAccess), Ok(GrantedBy::Panel));
    // A10 comes before the other faults of the same input.
    check_grant(&node, "lead", custom([CRON]).with_log_in_as(Some(LogInAs::ALL)), Err("403 A10"));
}

#[test]
fn a10_nobody_grants_another_log_in_as_than_their_own() {
    let mut node = Node::new();
    let terms = sharing([SSO]).with_log_in_as(Some(pinned(2, "editor")));
    let lead = node.share("lead", "live", terms, GrantedBy::Panel);
    let grant = |log_in_as| custom([SSO]).with_log_in_as(log_in_as);
    check_grant(&node, "lead", grant(Some(pinned(2, "editor"))), Ok(GrantedBy::Share(lead)));
    check_grant(&node, "lead", grant(None), Ok(GrantedBy::Share(lead)));
    check_grant(&node, "lead", grant(Some(pinned(1, "admin"))), Err("403 A10"));
    check_grant(&node, "lead", grant(Some(LogInAs::ALL)), Err("403 A10"));
}

#[test]
fn a10_nobody_grants_files_beyond_their_own() {
    use FileAccessKind::{Ftp, Sftp, SftpAndFtp};
    let mut node = Node::new();
    let terms = sharing([]).with_files(files(Sftp, "wp-content", false));
    let lead = node.share("lead", "live", terms, GrantedBy::Panel);
    let grant = |files| custom([]).with_files(files);
    check_grant(&node, "lead", grant(FileAccess::NONE), Ok(GrantedBy::Share(lead)));
    check_grant(&node, "lead", grant(files(Sftp, "wp-content", false)), Ok(GrantedBy::Share(lead)));
    check_grant(&node, "lead", grant(files(Sftp, "wp-content/themes", true)), Ok(GrantedBy::Share(lead)));
    check_grant(&node, "lead", grant(files(Sftp, "", true)), Err("403 A10"));
    check_grant(&node, "lead", grant(files(Sftp, "wp-content-2", true)), Err("403 A10"));
    check_grant(&node, "lead", grant(files(Ftp, "wp-content", false)), Err("403 A10"));
    check_grant(&node, "lead", grant(files(SftpAndFtp, "wp-content", false)), Err("403 A10"));
    node.alter(lead, |share| share.terms.file_access.read_only = true);
    check_grant(&node, "lead", grant(files(Sftp, "wp-content", true)), Ok(GrantedBy::Share(lead)));
    check_grant(&node, "lead", grant(files(Sftp, "wp-content", false)), Err("403 A10"));
}

#[test]
fn a10_a_file_account_is_cut_down_to_the_one_above() {
    use FileAccessKind::{Ftp, Sftp, SftpAndFtp};
    #[track_caller]
    fn check(above: FileAccess, below: FileAccess, left: FileAccess) {
        let mut node = Node::new();
        let grantor = node.share("lead", "live", custom([]).with_files(above), GrantedBy::Panel);
        let share = node.share("dev", "live", custom([]).with_files(below), GrantedBy::Share(grantor));
        assert_eq!(share_holdings(&node.table, node.row(share), NOON).file_access, left);
    }
    check(FileAccess::ALL, FileAccess::ALL, FileAccess::ALL);
    check(FileAccess::NONE, FileAccess::ALL, FileAccess::NONE);
    check(files(Sftp, "", false), FileAccess::ALL, files(Sftp, "", false));
    check(files(Sftp, "", false), files(Ftp, "", false), FileAccess::NONE);
    check(files(SftpAndFtp, "a", false), files(Ftp, "a/b", false), files(Ftp, "a/b", false));
    check(files(Sftp, "a/b", false), files(Sftp, "a", true), files(Sftp, "a/b", true));
    check(files(Sftp, "a", false), files(Sftp, "b", false), FileAccess::NONE);
    check(files(Sftp, "", true), files(Ftp, "", false), FileAccess::NONE);
}

#[test]
fn a10_nobody_grants_access_that_lasts_longer_than_their_own() {
    let mut node = Node::new();
    let lead = node.share("lead", "live", sharing([NAME]).with_end(later(60)), GrantedBy::Panel);
    check_grant(&node, "lead", custom([NAME]).with_end(later(60)), Ok(GrantedBy::Share(lead)));
    check_grant(&node, "lead", custom([NAME]).with_end(later(61)), Err("403 A10"));
    check_grant(&node, "lead", custom([NAME]), Err("403 A10"));
}

#[test]
fn a10_a_narrowed_grantor_narrows_all_below() {
    let (mut node, [lead, _, guest]) = chain();
    check::<SiteNameSet>(&node, "guest", "live", "allow A7");
    check::<CronList>(&node, "guest", "shop", "allow A6");
    node.alter(lead, |share| share.terms.privileges = PrivilegeSet::EMPTY.with(CRON));
    check::<SiteNameSet>(&node, "guest", "live", "403 A10");
    check::<CronList>(&node, "guest", "shop", "allow A6");
    assert_eq!(node.row(guest).terms.privileges, custom([NAME, CRON]).privileges, "its own terms stay");
    node.alter(lead, |share| share.terms.privileges = Privilege::EVERY);
    check::<SiteNameSet>(&node, "guest", "live", "allow A7");
}

#[test]
fn a10_a_dead_grantor_leaves_nothing_below() {
    let dead = [ShareState::Pending, ShareState::Suspended, ShareState::Expired, ShareState::Revoked];
    for (place, state) in [0, 1].into_iter().flat_map(|place| dead.map(|state| (place, state))) {
        let (mut node, shares) = chain();
        node.alter(shares[place], |share| share.state = state);
        check::<SiteNameSet>(&node, "guest", "live", "403 A10");
        check::<CronList>(&node, "guest", "live", "403 A10");
        check::<CronList>(&node, "guest", "shop", "404 A2");
        assert_eq!(node.row(shares[2]).state, ShareState::Active);
        node.alter(shares[place], |share| share.state = ShareState::Active);
        check::<SiteNameSet>(&node, "guest", "live", "allow A7");
        check::<CronList>(&node, "guest", "shop", "allow A6");
    }
}

#[test]
fn a10_a_grantor_who_expires_takes_those_below_along() {
    let (mut node, [lead, ..]) = chain();
    node.alter(lead, |share| share.terms.expires_at = Some(later(60)));
    node.now = later(59);
    check::<SiteNameSet>(&node, "guest", "live", "allow A7");
    node.now = later(60);
    check::<SiteNameSet>(&node, "guest", "live", "403 A10");
}

#[test]
fn a10_what_an_owner_granted_lasts_as_long_as_they_own() {
    let mut node = Node::new();
    node.put_hosting("acme", &["olga"]);
    let terms = role(Role::FullAccess);
    let share = node.share("dev", "live", terms, GrantedBy::Owner(person("olga")));
    check::<SiteNameSet>(&node, "dev", "live", "allow A7");
    check::<CronList>(&node, "dev", "shop", "allow A6");

    node.put_hosting("acme", &[]);
    check::<SiteNameSet>(&node, "dev", "live", "allow A7");
    check::<CronList>(&node, "dev", "live", "403 A10");
    check::<CronList>(&node, "dev", "shop", "404 A2");

    node.put_instance("live", "acme", &["sam"]);
    check::<SiteNameSet>(&node, "dev", "live", "403 A10");
    assert_eq!(share_holdings(&node.table, node.row(share), NOON), Holdings::NONE, "its files and Log In As included");
}

#[test]
fn a10_a_share_cannot_rest_on_one_of_another_instance_nor_on_itself() {
    let mut node = Node::new();
    let on_shop = node.share("lead", "shop", role(Role::FullAccess), GrantedBy::Panel);
    let share = node.share("dev", "live", custom([NAME]), GrantedBy::Share(on_shop));
    check::<SiteNameSet>(&node, "dev", "live", "403 A10");
    node.alter(share, |row| row.granted_by = GrantedBy::Share(share));
    check::<SiteNameSet>(&node, "dev", "live", "403 A10");
    node.alter(share, |row| row.granted_by = GrantedBy::Share(ShareId::from_number(404)));
    check::<SiteNameSet>(&node, "dev", "live", "403 A10");
    node.alter(share, |row| row.granted_by = GrantedBy::Panel);
    check::<SiteNameSet>(&node, "dev", "live", "allow A7");
}

#[test]
fn a10_nobody_changes_their_own_share_but_may_leave_it() {
    let (node, [lead, dev, guest]) = chain();
    check_change(&node, "lead", lead, None, Err("403 A10"));
    check_change(&node, "lead", lead, Some(custom([])), Err("403 A10"));
    check_change(&node, "guest", guest, None, Err("403 A1"));
    check_change(&node, "panel", lead, None, Ok(GrantedBy::Panel));
    check_ending(&node, "dev", dev, &[], Ok((&[dev, guest], &[])));
    check_ending(&node, "guest", guest, &[], Ok((&[guest], &[])));
    check_ending(&node, "dev", dev, &[guest], Err("403 A10"));
}

#[test]
fn a10_who_may_not_share_changes_nothing() {
    let mut node = Node::new();
    let share = node.share("guest", "live", custom([]), GrantedBy::Panel);
    node.share("dev", "live", custom([NAME]), GrantedBy::Panel);
    check_change(&node, "dev", share, None, Err("403 A1"));
    check_change(&node, "sam", share, None, Err("404 A2"));
    check_ending(&node, "dev", share, &[], Err("403 A1"));
    check_change(&node, "olga", share, None, Ok(GrantedBy::Panel));
}

#[test]
fn a10_nobody_changes_a_share_wider_than_their_own() {
    let mut node = Node::new();
    node.share("lead", "live", sharing([NAME]), GrantedBy::Panel);
    let narrow = node.share("dev", "live", custom([NAME]), GrantedBy::Panel);
    let wide = node.share("ops", "live", custom([NAME, CRON]), GrantedBy::Panel);
    check_change(&node, "lead", narrow, None, Ok(GrantedBy::Panel));
    check_change(&node, "lead", wide, None, Err("403 A10"));
    check_change(&node, "lead", wide, Some(custom([NAME])), Err("403 A10"));
    check_ending(&node, "lead", wide, &[], Err("403 A10"));
    check_ending(&node, "lead", narrow, &[], Ok((&[narrow], &[])));
    node.alter(wide, |share| share.state = ShareState::Suspended);
    check_change(&node, "lead", wide, None, Err("403 A10"));
}

#[test]
fn a10_a_share_stays_wide_while_its_grantor_is_suspended() {
    let (mut node, [lead, dev, _]) = chain();
    node.share("clerk", "live", sharing([]), GrantedBy::Panel);
    check_change(&node, "clerk", dev, None, Err("403 A10"));
    node.alter(lead, |share| share.state = ShareState::Suspended);
    check_change(&node, "clerk", dev, None, Err("403 A10"));
    check_ending(&node, "clerk", dev, &[], Err("403 A10"));
    check_change(&node, "panel", dev, None, Ok(GrantedBy::Share(lead)));
}

#[test]
fn a10_who_was_narrowed_still_rules_what_rests_on_them() {
    let (mut node, [lead, dev, guest]) = chain();
    node.alter(lead, |share| share.terms = sharing([]));
    check_change(&node, "lead", dev, None, Ok(GrantedBy::Share(lead)));
    check_change(&node, "lead", guest, None, Ok(GrantedBy::Share(dev)));
    check_change(&node, "lead", dev, Some(custom([NAME])), Err("403 A10"));
    check_ending(&node, "lead", dev, &[], Ok((&[dev, guest], &[])));
}

#[test]
fn a10_a_changed_share_stays_with_its_grantor_or_moves_to_who_changed_it() {
    let (mut node, [lead, dev, guest]) = chain();
    let chief = node.share("chief", "live", sharing([NAME, CRON, SSO, Privilege::ViewLogs]), GrantedBy::Panel);
    let change = |node: &Node, who: &str, terms: Terms, expected| check_change(node, who, guest, Some(terms), expected);
    change(&node, "chief", custom([NAME]), Ok(GrantedBy::Share(dev)));
    change(&node, "lead", custom([NAME, SSO]), Ok(GrantedBy::Share(dev)));
    change(&node, "chief", custom([NAME, Privilege::ViewLogs]), Ok(GrantedBy::Share(chief)));
    change(&node, "olga", custom([NAME, Privilege::ViewLogs]), Ok(GrantedBy::Owner(person("olga"))));
    change(&node, "panel", custom([Privilege::ManageMysql]), Ok(GrantedBy::Panel));
    node.alter(dev, |share| share.state = ShareState::Suspended);
    change(&node, "lead", custom([NAME]), Ok(GrantedBy::Share(lead)));
    node.alter(guest, |share| share.terms.privileges = PrivilegeSet::EMPTY.with(NAME));
    change(&node, "olga", custom([NAME, Privilege::ViewLogs]), Ok(GrantedBy::Owner(person("olga"))));
}

#[test]
fn a3_an_owner_takes_back_what_is_wider_than_their_own_but_gives_no_more() {
    let (mut node, _) = chain();
    let wide = node.share("wide", "live", custom([CRON]), GrantedBy::Panel);
    check_change(&node, "olga", wide, None, Ok(GrantedBy::Panel));
    check_ending(&node, "olga", wide, &[], Ok((&[wide], &[])));
    check_change(&node, "olga", wide, Some(custom([NAME])), Ok(GrantedBy::Panel));
    check_change(&node, "olga", wide, Some(custom([CRON])), Err("403 A10"));
    check_grant(&node, "olga", custom([CRON]), Err("403 A10"));
}

#[test]
fn a10_ending_a_grantor_ends_those_below_unless_they_are_adopted() {
    let (mut node, [lead, dev, guest]) = chain();
    let chief = node.share("chief", "live", sharing([NAME, CRON, SSO]), GrantedBy::Panel);
    node.share("clerk", "live", sharing([NAME, SSO]), GrantedBy::Panel);
    let unrelated = node.share("other", "live", custom([NAME]), GrantedBy::Share(chief));
    let by_chief = GrantedBy::Share(chief);
    check_ending(&node, "chief", lead, &[], Ok((&[lead, dev, guest], &[])));
    check_ending(&node, "chief", lead, &[dev], Ok((&[lead], &[(dev, by_chief)])));
    check_ending(&node, "chief", lead, &[guest], Ok((&[lead, dev], &[(guest, by_chief)])));
    check_ending(&node, "panel", dev, &[guest], Ok((&[dev], &[(guest, GrantedBy::Panel)])));
    check_ending(&node, "chief", lead, &[unrelated], Err("422 A10 adopt"));
    check_ending(&node, "chief", lead, &[lead], Err("422 A10 adopt"));
    check_ending(&node, "clerk", lead, &[], Err("403 A10"));
}

#[test]
fn a10_who_adopts_must_hold_as_much() {
    let mut node = Node::new();
    let lead = node.share("lead", "live", sharing([NAME]), GrantedBy::Panel);
    let dev = node.share("dev", "live", custom([NAME, CRON]), GrantedBy::Share(lead));
    let chief = node.share("chief", "live", sharing([NAME]), GrantedBy::Panel);
    // The grantor never held the cron jobs; adopted, the share would be cut down no more by them, but by its adopter.
    check_ending(&node, "chief", lead, &[dev], Err("403 A10"));
    node.alter(dev, |share| share.terms.privileges = PrivilegeSet::EMPTY.with(NAME));
    check_ending(&node, "chief", lead, &[dev], Ok((&[lead], &[(dev, GrantedBy::Share(chief))])));
}

#[test]
fn a10_who_rests_on_what_ends_cannot_adopt_from_it() {
    let (mut node, [lead, dev, guest]) = chain();
    let other = node.share("other", "live", custom([NAME]), GrantedBy::Share(lead));
    // `dev` may end the share above their own, and loses their own with it: what would rest on it is dead.
    check_ending(&node, "dev", lead, &[other], Err("403 A10"));
    check_ending(&node, "dev", lead, &[dev], Err("403 A10"));
    check_ending(&node, "lead", dev, &[guest], Ok((&[dev], &[(guest, GrantedBy::Share(lead))])));
}

#[test]
fn a10_who_rests_on_what_they_adopt_would_hold_themselves_up() {
    let (mut node, [lead, dev, guest]) = chain();
    node.alter(guest, |share| share.terms = sharing([NAME, CRON, SSO]));
    check_ending(&node, "guest", lead, &[dev], Err("403 A10"));
    check_ending(&node, "panel", lead, &[dev], Ok((&[lead], &[(dev, GrantedBy::Panel)])));
}

/// A main share on `live`, with the share on the staging that is linked to it.
fn linked() -> (Node, [ShareId; 2]) {
    let mut node = Node::new();
    node.put_instance("stage", "acme", &["olga"]);
    let terms = || sharing([NAME]);
    let main = node.share("lead", "live", terms(), GrantedBy::Panel);
    let stage = node.share("lead", "stage", terms(), GrantedBy::Panel);
    node.alter(stage, |share| (share.linked_to, share.follows) = (Some(main), true));
    (node, [main, stage])
}

#[test]
fn a11_ending_the_main_share_ends_the_linked_one() {
    let (mut node, [main, stage]) = linked();
    check_ending(&node, "panel", main, &[], Ok((&[main, stage], &[])));
    check_ending(&node, "panel", stage, &[], Ok((&[stage], &[])));
    check_ending(&node, "lead", main, &[], Ok((&[main, stage], &[])));
    node.alter(stage, |share| share.follows = false);
    check_ending(&node, "panel", main, &[], Ok((&[main, stage], &[])));
    node.alter(stage, |share| share.state = ShareState::Revoked);
    check_ending(&node, "panel", main, &[], Ok((&[main], &[])));
}

#[test]
fn a11_what_rests_on_the_linked_share_ends_with_it_unless_adopted() {
    let (mut node, [main, stage]) = linked();
    let below = node.share("dev", "stage", custom([NAME]), GrantedBy::Share(stage));
    check_ending(&node, "panel", main, &[], Ok((&[main, stage, below], &[])));
    check_ending(&node, "panel", main, &[below], Ok((&[main, stage], &[(below, GrantedBy::Panel)])));
    check_ending(&node, "olga", main, &[below], Ok((&[main, stage], &[(below, GrantedBy::Owner(person("olga")))])));
}

#[test]
fn a11_a_linked_share_is_not_adopted_away_from_a_main_one_that_ends() {
    let (mut node, [main, stage]) = linked();
    let dev_main = node.share("dev", "live", custom([NAME]), GrantedBy::Share(main));
    let dev_stage = node.share("dev", "stage", custom([NAME]), GrantedBy::Share(stage));
    node.alter(dev_stage, |share| share.linked_to = Some(dev_main));
    check_ending(&node, "panel", main, &[dev_stage], Err("422 A11 adopt"));
    let both: &[_] = &[(dev_main, GrantedBy::Panel), (dev_stage, GrantedBy::Panel)];
    let plan = plan_ending(&node.table, &Actor::Panel, node.row(main), &[dev_main, dev_stage], NOON).unwrap();
    assert_eq!(plan.ended, [main, stage]);
    assert!(plan.adopted.len() == 2 && both.iter().all(|adopted| plan.adopted.contains(adopted)));
}

#[test]
fn a11_who_adopts_on_a_staging_must_be_allowed_to_share_there() {
    let (mut node, [main, stage]) = linked();
    let below = node.share("dev", "stage", custom([NAME]), GrantedBy::Share(stage));
    node.share("chief", "live", sharing([NAME]), GrantedBy::Panel);
    check_ending(&node, "chief", main, &[below], Err("404 A2"));
    let there = node.share("chief", "stage", custom([NAME]), GrantedBy::Panel);
    check_ending(&node, "chief", main, &[below], Err("403 A1"));
    node.alter(there, |share| share.terms = sharing([NAME]));
    check_ending(&node, "chief", main, &[below], Ok((&[main, stage], &[(below, GrantedBy::Share(there))])));
}

#[test]
fn a3_the_panel_ends_a_share_whose_instance_is_gone() {
    let (mut node, [lead, dev, guest]) = chain();
    node.table.remove_instance(&"live".parse().unwrap());
    check::<SiteNameSet>(&node, "guest", "live", "404 A2");
    check_ending(&node, "lead", dev, &[], Err("404 A2"));
    check_ending(&node, "panel", lead, &[], Ok((&[lead, dev, guest], &[])));
}
