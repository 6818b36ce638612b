//! Databases on a server that is played: what is done, and what is done once.

use sdk::fake::{Host, hosting};

use super::*;

fn create(key: &str, name: &str) -> Result<()> {
    Linux::create_database(hosting(), key.into(), name.into())
}

fn rename(key: &str, name: &str, new_name: &str) -> Result<()> {
    Linux::rename_database(hosting(), key.into(), name.into(), new_name.into())
}

fn delete(key: &str, name: &str) -> Result<()> {
    Linux::delete_database(hosting(), key.into(), name.into())
}

fn create_user(key: &str, name: &str, password: &str) -> Result<()> {
    Linux::create_user(hosting(), key.into(), name.into(), password.into())
}

fn names() -> Vec<String> {
    Linux::list_databases(hosting()).unwrap().into_iter().map(|database| database.name).collect()
}

#[test]
fn a_call_that_is_repeated_is_done_once() {
    let _host = Host::new();
    create("k1", "h1_a").unwrap();
    create("k1", "h1_a").unwrap();
    rename("k2", "h1_a", "h1_b").unwrap();
    rename("k2", "h1_a", "h1_b").unwrap();
    assert_eq!(names(), ["h1_b"]);
    delete("k3", "h1_b").unwrap();
    delete("k3", "h1_b").unwrap();
    assert_eq!(names(), Vec::<String>::new());
}

#[test]
fn what_another_call_did_is_told_apart() {
    let _host = Host::new();
    mysql::create_database("h1_there").unwrap();
    for _ in 0..2 {
        assert_eq!(create("k1", "h1_there"), Err(Error::already_exists("there is a h1_there already")));
    }
    create("k2", "h1_a").unwrap();
    for _ in 0..2 {
        assert_eq!(rename("k3", "h1_a", "h1_there"), Err(Error::already_exists("there is a h1_there already")));
        assert_eq!(rename("k4", "h1_none", "h1_b"), Err(Error::not_found("there is no h1_none")));
        assert_eq!(delete("k5", "h1_none"), Err(Error::not_found("there is no h1_none")));
    }
    delete("k6", "h1_a").unwrap();
    assert_eq!(delete("k7", "h1_a"), Err(Error::not_found("there is no h1_a")));
    assert_eq!(names(), ["h1_there"]);
}

#[test]
fn a_call_that_was_cut_off_goes_on() {
    let host = Host::new();
    let gone = || MysqlError::Unavailable("no answer".into());
    let cut = |host: &Host, work: &dyn Fn() -> Result<()>| {
        host.mysql_answers(gone());
        assert_eq!(work(), Err(Error::unavailable("no answer")));
        host.mysql_answers(None);
    };
    cut(&host, &|| create("k1", "h1_a"));
    create("k1", "h1_a").unwrap();
    // As if the server had done it, and nobody had heard of it.
    cut(&host, &|| delete("k2", "h1_a"));
    delete("k2", "h1_a").unwrap();
    create_user("k3", "h1_u", "first").unwrap();
    create_user("k3", "h1_u", "second").unwrap();
    assert_eq!(host.database_password("h1_u").as_deref(), Some("second"));
    assert_eq!(create_user("k4", "h1_u", "third"), Err(Error::already_exists("there is a h1_u already")));
    assert_eq!(host.database_password("h1_u").as_deref(), Some("second"));
}

#[test]
fn users_have_what_they_are_granted() {
    let host = Host::new();
    create("k1", "h1_a").unwrap();
    create_user("k2", "h1_u", "new").unwrap();
    let grant = |key: &str, user: &str, privileges| {
        Linux::set_grant(hosting(), key.into(), user.into(), "h1_a".into(), privileges)
    };
    grant("k3", "h1_u", vec![Privilege::Select, Privilege::Insert]).unwrap();
    let users = Linux::list_users(hosting()).unwrap();
    assert_eq!(users[0].grants, [mysql::grant("h1_a", vec![Privilege::Select, Privilege::Insert])]);
    grant("k4", "h1_u", vec![]).unwrap();
    assert_eq!(Linux::list_users(hosting()).unwrap()[0].grants, []);
    assert_eq!(grant("k5", "h1_none", vec![]), Err(Error::not_found("there is no h1_none or h1_a")));
    Linux::set_password(hosting(), "k6".into(), "h1_u".into(), "newer".into()).unwrap();
    assert_eq!(host.database_password("h1_u").as_deref(), Some("newer"));
    Linux::delete_user(hosting(), "k7".into(), "h1_u".into()).unwrap();
    Linux::delete_user(hosting(), "k7".into(), "h1_u".into()).unwrap();
    assert!(Linux::list_users(hosting()).unwrap().is_empty());
}

#[test]
fn names_of_others_are_refused_by_the_parameter() {
    let _host = Host::new();
    for name in ["", "h1_", "h2_a", "mysql", "h1_A", "h1_`", "h1_a'"] {
        for refused in [create("k1", name), delete("k2", name), create_user("k3", name, "new")] {
            assert!(matches!(&refused, Err(Error::Invalid(field)) if field.name == "name"), "{name}: {refused:?}");
        }
        let refused = rename("k4", "h1_a", name);
        assert!(matches!(&refused, Err(Error::Invalid(field)) if field.name == "new-name"), "{name}: {refused:?}");
    }
}

#[test]
fn traces_of_what_is_gone_make_room() {
    let _host = Host::new();
    for n in 0..1_005 {
        create(&format!("make-{n}"), &format!("h1_{n}")).unwrap();
        delete(&format!("remove-{n}"), &format!("h1_{n}")).unwrap();
    }
    delete("remove-1004", "h1_1004").unwrap();
}
