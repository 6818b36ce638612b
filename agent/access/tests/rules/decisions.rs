//! A1 to A9 and A13: who may do what where, when, and as whom.

use super::*;

#[test]
fn a1_what_no_rule_allows_is_refused() {
    let mut node = Node::new();
    node.share("dev", "live", custom([NAME]), GrantedBy::Panel);
    check::<SiteNameSet>(&node, "dev", "live", "allow A7");
    check::<IndexingSet>(&node, "dev", "live", "403 A1");
    check::<CronList>(&node, "dev", "live", "403 A1");
    let denial = decide::<IndexingSet>(&node.table, &actor("dev"), &"live".parse().unwrap(), NOON).unwrap_err();
    assert_eq!(denial.privilege, Some(Privilege::ManageSearchEngineIndexing));
}

#[test]
fn a1_a_share_without_privileges_shows_the_instance_and_allows_nothing() {
    let mut node = Node::new();
    node.share("guest", "live", custom([]), GrantedBy::Panel);
    check::<SiteNameShow>(&node, "guest", "live", "403 A1");
}

#[test]
fn a2_to_a_stranger_the_instance_does_not_exist() {
    let mut node = Node::new();
    node.share("dev", "live", custom([NAME]), GrantedBy::Panel);
    node.person("nobody");
    check::<SiteNameSet>(&node, "dev", "live", "allow A7");
    check::<SiteNameSet>(&node, "dev", "shop", "404 A2");
    check::<SiteNameSet>(&node, "nobody", "live", "404 A2");
    check::<CronList>(&node, "nobody", "live", "404 A2");
    check::<SiteNameSet>(&node, "panel", "nowhere", "404 A2");

    let unknown = Actor::by_email(&node.table, "unknown@example.org".parse().unwrap());
    assert_eq!(node.verdict::<SiteNameSet>(&unknown, "live"), "404 A2");
    let dev = Actor::by_email(&node.table, "Dev@Example.org".parse().unwrap());
    assert_eq!(node.verdict::<SiteNameSet>(&dev, "live"), "allow A7");
}

#[test]
fn a2_a_refusal_to_a_stranger_names_no_privilege() {
    let node = Node::new();
    let denial = decide::<SsoOpen>(&node.table, &actor("nobody"), &"live".parse().unwrap(), NOON).unwrap_err();
    let missing = decide::<SsoOpen>(&node.table, &actor("nobody"), &"nowhere".parse().unwrap(), NOON).unwrap_err();
    assert_eq!(denial.privilege, None);
    assert_eq!(denial, missing);
}

#[test]
fn a2_a_share_that_is_not_active_hides_the_instance() {
    let mut node = Node::new();
    let share = node.share("dev", "live", custom([NAME]), GrantedBy::Panel);
    let states = [
        (ShareState::Pending, "404 A2"),
        (ShareState::Active, "allow A7"),
        (ShareState::Suspended, "404 A2"),
        (ShareState::Expired, "404 A2"),
        (ShareState::Revoked, "404 A2"),
    ];
    for (state, expected) in states {
        node.alter(share, |share| share.state = state);
        check::<SiteNameSet>(&node, "dev", "live", expected);
    }
}

#[test]
fn a2_a_person_acts_on_their_own_share_and_on_no_other() {
    let mut node = Node::new();
    let share = node.share("dev", "live", custom([NAME]), GrantedBy::Panel);
    let own = |node: &Node, who: &str| {
        decide_own_share(&node.table, &actor(who), share).map(|own| own.share()).map_err(|denial| refusal(&denial))
    };
    for state in [ShareState::Pending, ShareState::Active, ShareState::Suspended] {
        node.alter(share, |share| share.state = state);
        assert_eq!(own(&node, "dev"), Ok(share));
        assert_eq!(own(&node, "panel"), Ok(share));
        assert_eq!(own(&node, "olga"), Err("404 A2".to_owned()));
    }
    node.set_hosting("acme", HostingState::Suspended);
    assert_eq!(own(&node, "dev"), Err("403 A4".to_owned()));
    assert_eq!(own(&node, "panel"), Ok(share));
    node.set_hosting("acme", HostingState::Active);
    node.alter(share, |share| share.state = ShareState::Revoked);
    assert_eq!(own(&node, "dev"), Err("404 A2".to_owned()));
}

#[test]
fn a3_the_panel_may_do_everything() {
    let mut node = Node::new();
    node.set_hosting("acme", HostingState::Suspended);
    check::<ShareInvite>(&node, "panel", "live", "allow A3");
    check::<CronList>(&node, "panel", "live", "allow A3");
    assert!(decide_panel(&Actor::Panel).is_ok());
    assert_eq!(refusal(&decide_panel(&actor("olga")).unwrap_err()), "403 A3");
}

#[test]
fn a3_an_owner_may_do_everything_on_their_own_instances() {
    let node = Node::new();
    check::<ShareInvite>(&node, "olga", "live", "allow A3");
    check::<SsoOpen>(&node, "olga", "live", "allow A3");
    check::<SiteNameSet>(&node, "olga", "shop", "404 A2");
}

#[test]
fn a3_hosting_operations_need_the_hosting_or_all_its_instances() {
    let mut node = Node::new();
    check::<CronList>(&node, "olga", "live", "403 A3");

    node.put_hosting("acme", &["hilde"]);
    check::<CronList>(&node, "hilde", "live", "allow A3");
    check::<SiteNameSet>(&node, "hilde", "live", "403 A1");

    node.put_instance("shop", "acme", &["sam", "olga"]);
    check::<CronList>(&node, "olga", "live", "allow A3");
    check::<CronList>(&node, "sam", "shop", "403 A3");

    node.put_instance("blog", "acme", &["sam"]);
    check::<CronList>(&node, "olga", "live", "403 A3");
}

#[test]
fn a3_an_owner_may_log_in_as_anybody() {
    let node = Node::new();
    let permit = decide::<SsoOpen>(&node.table, &actor("olga"), &"live".parse().unwrap(), NOON).unwrap();
    assert_eq!(permit.log_in_as(), Some(&LogInAs::ALL));
    assert_eq!(permit.share(), None);
}

#[test]
fn a4_a_suspended_hosting_refuses_everybody_but_the_panel() {
    let mut node = Node::new();
    node.share("dev", "live", custom([NAME, CRON]), GrantedBy::Panel);
    for (state, dev, olga) in [
        (HostingState::Active, "allow A7", "allow A3"),
        (HostingState::Suspended, "403 A4", "403 A4"),
        (HostingState::Active, "allow A7", "allow A3"),
    ] {
        node.set_hosting("acme", state);
        check::<SiteNameSet>(&node, "dev", "live", dev);
        check::<SiteNameSet>(&node, "olga", "live", olga);
        check::<SiteNameSet>(&node, "panel", "live", "allow A3");
        check::<SiteNameSet>(&node, "nobody", "live", "404 A2");
    }
    node.set_hosting("acme", HostingState::Suspended);
    check::<CronList>(&node, "dev", "shop", "403 A4");
}

#[test]
fn a4_only_an_active_share_counts_for_the_hosting() {
    let mut node = Node::new();
    let share = node.share("dev", "live", custom([CRON]), GrantedBy::Panel);
    check::<CronList>(&node, "dev", "shop", "allow A6");
    node.alter(share, |share| share.state = ShareState::Suspended);
    check::<CronList>(&node, "dev", "shop", "404 A2");
}

#[test]
fn a5_a_share_ends_at_the_very_instant_that_it_names() {
    let mut node = Node::new();
    let end = later(60);
    node.share("dev", "live", custom([NAME, CRON]).with_end(end), GrantedBy::Panel);
    let tick = std::time::Duration::from_nanos(1);
    let at = |now: Timestamp, name: &str, cron: &str| {
        let node = Node { now, ..node.clone() };
        check::<SiteNameSet>(&node, "dev", "live", name);
        check::<CronList>(&node, "dev", "shop", cron);
    };
    at(NOON, "allow A7", "allow A6");
    at(end - tick, "allow A7", "allow A6");
    at(end, "404 A2", "404 A2");
    at(end + tick, "404 A2", "404 A2");
}

#[test]
fn a5_a_share_that_was_written_down_as_expired_stays_so_when_the_clock_goes_back() {
    let mut node = Node::new();
    let share = node.share("dev", "live", custom([NAME]).with_end(later(60)), GrantedBy::Panel);
    check::<SiteNameSet>(&node, "dev", "live", "allow A7");
    node.alter(share, |share| share.state = ShareState::Expired);
    check::<SiteNameSet>(&node, "dev", "live", "404 A2");
}

#[test]
fn a5_a_share_that_is_over_has_no_terms_left_to_change() {
    let mut node = Node::new();
    let share = node.share("dev", "live", custom([NAME]).with_end(later(60)), GrantedBy::Panel);
    let longer = || Some(custom([NAME]).with_end(later(600)));
    check_change(&node, "panel", share, longer(), Ok(GrantedBy::Panel));
    node.now = later(60);
    check_change(&node, "panel", share, longer(), Err("404 A2"));
    check_ending(&node, "panel", share, &[], Ok((&[share], &[])));
}

#[test]
fn a6_a_hosting_privilege_reaches_the_other_sites_with_their_hosting_operations_only() {
    let mut node = Node::new();
    let share = node.share("dev", "live", custom([NAME, CRON]), GrantedBy::Panel);
    check::<CronList>(&node, "dev", "live", "allow A7");
    check::<CronList>(&node, "dev", "shop", "allow A6");
    check::<SiteNameSet>(&node, "dev", "live", "allow A7");
    check::<SiteNameSet>(&node, "dev", "shop", "403 A1");
    let permit = decide::<CronList>(&node.table, &actor("dev"), &"shop".parse().unwrap(), NOON).unwrap();
    assert_eq!((permit.share(), permit.log_in_as()), (Some(share), None));

    node.put_hosting("other", &[]);
    node.put_instance("far", "other", &["olga"]);
    check::<CronList>(&node, "dev", "far", "404 A2");
}

#[test]
fn a6_makes_other_sites_visible_through_a_hosting_privilege_alone() {
    let mut node = Node::new();
    node.share("dev", "live", custom([NAME]), GrantedBy::Panel);
    node.share("ops", "live", custom([CRON]), GrantedBy::Panel);
    let shop = node.table.instance(&"shop".parse().unwrap()).unwrap();
    assert!(!sees(&node.table, &actor("dev"), shop, NOON));
    assert!(sees(&node.table, &actor("ops"), shop, NOON));
    check::<SiteNameSet>(&node, "dev", "shop", "404 A2");
    check::<SiteNameSet>(&node, "ops", "shop", "403 A1");
}

#[test]
fn a6_an_owner_of_one_site_gets_hosting_operations_through_a_share_on_another() {
    let mut node = Node::new();
    check::<CronList>(&node, "olga", "live", "403 A3");
    node.share("olga", "shop", custom([CRON]), GrantedBy::Panel);
    check::<CronList>(&node, "olga", "live", "allow A6");
    check_grant(&node, "olga", custom([CRON]), Err("403 A10"));
}

#[test]
fn a7_privileges_of_several_shares_add_up() {
    let mut node = Node::new();
    node.share("dev", "live", custom([NAME]), GrantedBy::Panel);
    let on_shop = node.share("dev", "shop", custom([CRON]), GrantedBy::Panel);
    check::<SiteNameSet>(&node, "dev", "live", "allow A7");
    check::<CronList>(&node, "dev", "live", "allow A6");
    node.alter(on_shop, |share| share.state = ShareState::Revoked);
    check::<SiteNameSet>(&node, "dev", "live", "allow A7");
    check::<CronList>(&node, "dev", "live", "403 A1");
}

#[test]
fn a7_a_narrow_share_takes_nothing_from_an_owner() {
    let mut node = Node::new();
    node.share("olga", "live", custom([]), GrantedBy::Panel);
    check::<SiteNameSet>(&node, "olga", "live", "allow A3");
}

#[test]
fn a9_log_in_as_decides_whom_one_becomes() {
    let mut node = Node::new();
    let share = node.share("dev", "live", custom([SSO]), GrantedBy::Panel);
    let mut choose = |log_in_as: Option<LogInAs>, named: Option<u64>| {
        node.alter(share, |share| share.terms.log_in_as = log_in_as);
        let permit = decide::<SsoOpen>(&node.table, &actor("dev"), &"live".parse().unwrap(), NOON).unwrap();
        choose_wp_user(&permit, named).map(|choice| format!("{choice:?}")).map_err(|denial| refusal(&denial))
    };
    let editor = || Some(pinned(2, "editor"));
    let is_editor = || Ok(r#"Pinned(WpUser { id: 2, login: "editor" })"#.to_owned());
    assert_eq!(choose(None, None), Err("403 A9".to_owned()));
    assert_eq!(choose(None, Some(2)), Err("403 A9".to_owned()));
    assert_eq!(choose(Some(LogInAs::ALL), None), Err("422 A9 user".to_owned()));
    assert_eq!(choose(Some(LogInAs::ALL), Some(7)), Ok("Named(7)".to_owned()));
    assert_eq!(choose(editor(), None), is_editor());
    assert_eq!(choose(editor(), Some(2)), is_editor());
    assert_eq!(choose(editor(), Some(1)), Err("403 A9".to_owned()));
}

#[test]
fn a9_sso_without_log_in_as_is_granted_and_log_in_as_without_sso_is_not() {
    let mut node = Node::new();
    let share = node.share("dev", "live", custom([NAME]), GrantedBy::Panel);
    let without_user = custom([SSO]).with_log_in_as(None);
    let without_privilege = custom([NAME]).with_log_in_as(Some(LogInAs::ALL));
    check_grant(&node, "panel", without_user.clone(), Ok(GrantedBy::Panel));
    check_grant(&node, "panel", without_privilege.clone(), Err("422 A9 log_in_as"));
    check_change(&node, "panel", share, Some(without_user), Ok(GrantedBy::Panel));
    check_change(&node, "panel", share, Some(without_privilege), Err("422 A9 log_in_as"));
}

#[test]
fn a9_below_a_pin_only_the_pinned_user_is_left() {
    let editor = || Some(pinned(2, "editor"));
    let all = || Some(LogInAs::ALL);
    for (above, below, left) in [
        (all(), all(), all()),
        (all(), editor(), editor()),
        (editor(), all(), editor()),
        (editor(), editor(), editor()),
        (editor(), Some(pinned(2, "renamed")), None),
        (editor(), Some(pinned(3, "editor")), None),
        (None, all(), None),
        (all(), None, None),
    ] {
        let mut node = Node::new();
        let grantor = node.share("lead", "live", custom([SSO]).with_log_in_as(above), GrantedBy::Panel);
        node.share("dev", "live", custom([SSO]).with_log_in_as(below), GrantedBy::Share(grantor));
        let permit = decide::<SsoOpen>(&node.table, &actor("dev"), &"live".parse().unwrap(), NOON).unwrap();
        assert_eq!(permit.log_in_as(), left.as_ref());
    }
}

#[test]
fn a13_an_unknown_privilege_is_refused_not_ignored() {
    let set = PrivilegeSet::parse(["general.view_logs", "wordpress.update"]).unwrap();
    assert_eq!(set.iter().map(Privilege::id).collect::<Vec<_>>(), ["general.view_logs", "wordpress.update"]);
    let refused = PrivilegeSet::parse(["general.view_logs", "general.view_everything"]).unwrap_err();
    assert_eq!(refused.to_string(), "unknown privilege `general.view_everything`");
    assert!(PrivilegeSet::parse(["General.View_Logs"]).is_err());
    assert!(serde_json::from_str::<PrivilegeSet>(r#"["wordpress.update"]"#).is_ok());
    assert!(serde_json::from_str::<PrivilegeSet>(r#"["wordpress.update", "wordpress.rule"]"#).is_err());
}

#[test]
fn reach_sees_through_a_pin_and_counts_only_what_is_left() {
    let (mut node, [lead, dev, _]) = chain();
    let flags = |node: &Node, share: ShareId| reach(&node.table, node.row(share), NOON);
    node.alter(lead, |share| share.terms.log_in_as = Some(pinned(2, "editor")));
    let seen = flags(&node, dev);
    assert!(seen.reaches_other_sites && seen.effective_admin, "cron jobs run code: {seen:?}");
    node.alter(lead, |share| share.terms = sharing([NAME]));
    let seen = flags(&node, dev);
    assert!(seen.can_mint && !seen.effective_admin && !seen.reaches_other_sites, "{seen:?}");
}

#[test]
fn two_persons_who_swap_their_addresses_are_both_still_found() {
    let mut node = Node::new();
    let (a, b) = (node.person("anna"), node.person("bert"));
    let rename = |node: &mut Node, id, email: &str| {
        let row = node.table.person(id).unwrap();
        let row = latchkey_access::Person { email: email.parse().unwrap(), ..(**row).clone() };
        node.table.put_person(row);
    };
    rename(&mut node, a, "bert@example.org");
    rename(&mut node, b, "anna@example.org");
    let found = |email: &str| node.table.person_by_email(&email.parse().unwrap()).map(|person| person.id);
    assert_eq!(found("anna@example.org"), Some(b));
    assert_eq!(found("bert@example.org"), Some(a));
}

#[test]
fn every_operation_is_refused_to_strangers_and_allowed_to_the_panel() {
    let node = Node::new();
    for operation in operations() {
        let ask = |actor: &Actor| {
            latchkey_access::explain(&node.table, actor, &"live".parse().unwrap(), operation, NOON).denial.is_none()
        };
        assert!(ask(&Actor::Panel), "{}", operation.name);
        assert!(!ask(&actor("nobody")), "{}", operation.name);
    }
    check::<ShareList>(&node, "nobody", "live", "404 A2");
    check::<ShareUpdate>(&node, "olga", "live", "allow A3");
    check::<MaintenanceShow>(&node, "olga", "live", "allow A3");
}

#[test]
fn a_table_made_from_rows_decides_like_one_that_grew() {
    let (mut node, [_, dev, _]) = chain();
    node.alter(dev, |share| share.state = ShareState::Revoked);
    let rebuilt = latchkey_access::AccessTable::from_rows(
        node.table.people().map(|row| (**row).clone()),
        node.table.hostings().map(|row| (**row).clone()),
        node.table.instances().map(|row| (**row).clone()),
        node.table.shares().map(|row| (**row).clone()),
    );
    let rebuilt = Node { table: rebuilt, ..node.clone() };
    for who in ["lead", "dev", "guest", "olga", "sam", "panel"] {
        for instance in ["live", "shop"] {
            let who = actor(who);
            assert_eq!(rebuilt.verdict::<SiteNameSet>(&who, instance), node.verdict::<SiteNameSet>(&who, instance));
            assert_eq!(rebuilt.verdict::<CronList>(&who, instance), node.verdict::<CronList>(&who, instance));
        }
    }
}
