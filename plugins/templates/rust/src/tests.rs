//! What the adapter does, tried without an agent: `fake::Host` plays it.

use sdk::fake::{Host, hosting};
use sdk::state::StateError;

use super::*;

fn create(key: &str, name: &str) -> Result<()> {
    Adapter::create_database(hosting(), key.into(), name.into())
}

fn delete(key: &str, name: &str) -> Result<()> {
    Adapter::delete_database(hosting(), key.into(), name.into())
}

fn listed() -> Vec<String> {
    Adapter::list_databases(hosting()).unwrap().into_iter().map(|database| database.name).collect()
}

#[test]
fn an_account_is_the_hostings_system_user_and_what_the_operator_set() {
    let settings = vec![("domain".into(), "shop.example".into())];
    let account = Adapter::show(Hosting { settings, ..hosting() }).unwrap();
    assert_eq!((account.name.as_str(), account.primary_domain.as_deref()), ("h1", Some("shop.example")));
    assert_eq!(Adapter::show(hosting()).unwrap().primary_domain, None);
}

#[test]
fn a_database_is_made_listed_and_deleted() {
    let host = Host::new();
    create("k1", "h1_shop").unwrap();
    create("k2", "h1_blog").unwrap();
    assert_eq!(listed(), ["h1_blog", "h1_shop"]);
    delete("k3", "h1_shop").unwrap();
    assert_eq!(listed(), ["h1_blog"]);
    assert_eq!(host.logged().last().unwrap(), "deleted the database h1_shop");
}

#[test]
fn a_call_that_is_repeated_with_its_key_is_done_once() {
    let _host = Host::new();
    create("k1", "h1_shop").unwrap();
    create("k1", "h1_shop").unwrap();
    assert!(matches!(create("k2", "h1_shop"), Err(Error::AlreadyExists(_))));
    delete("k3", "h1_shop").unwrap();
    delete("k3", "h1_shop").unwrap();
    assert!(matches!(delete("k4", "h1_shop"), Err(Error::NotFound(_))));
}

#[test]
fn what_the_agent_refuses_is_told_on() {
    let host = Host::new();
    host.denies_state();
    assert!(matches!(create("k1", "h1_shop"), Err(Error::Denied(why)) if why.contains("state = true")));
    host.state_answers(StateError::Unavailable);
    assert!(matches!(create("k1", "h1_shop"), Err(Error::Unavailable(_))));
}

#[test]
fn what_is_not_written_is_unsupported() {
    let _host = Host::new();
    assert!(matches!(Adapter::list_users(hosting()), Err(Error::Unsupported(_))));
}
