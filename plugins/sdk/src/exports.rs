//! The interfaces that an adapter may export: a trait for each, whose functions answer *unsupported* unless they are
//! written.
//!
//! The table has the WIT's functions in the WIT's words. A function that is missing here or has other parameters does not
//! compile; words that differ fail a test.

use crate::{Error, Hosting, IdempotencyKey, Privilege, Purged, Result, Secret, panics};

macro_rules! interface {
    (
        $(#[doc = $doc:literal])+
        $module:ident: $trait:ident { $($type:ident),+ }
        in $world:literal;
        $($(#[doc = $words:literal])+ fn $function:ident($($argument:ident: $of:ty),+ $(,)?) -> $answer:ty;)+
    ) => {
        $(#[doc = $doc])+
        pub mod $module {
            use super::*;

            #[doc(hidden)]
            pub mod __bindings {
                //! Generated.
                #![allow(missing_docs, unreachable_pub, clippy::all, reason = "the WIT has the words")]

                wit_bindgen::generate!({
                    inline: $world,
                    path: ["wit"],
                    with: { "latchkey:adapter/types@0.1.0": crate::bindings::latchkey::adapter::types },
                    generate_all,
                    additional_derives: [PartialEq, Eq],
                    pub_export_macro: true,
                    export_macro_name: "__export",
                });
            }

            #[doc(hidden)]
            pub use __bindings::__export;
            pub use __bindings::exports::latchkey::adapter::$module::{$($type),+};

            $(#[doc = $doc])+
            pub trait $trait {
                $(
                    $(#[doc = $words])+
                    fn $function($($argument: $of),+) -> Result<$answer> {
                        let _not_used = ($($argument,)+);
                        Err(unsupported(stringify!($function)))
                    }
                )+
            }

            impl<A: $trait> __bindings::exports::latchkey::adapter::$module::Guest for A {
                $(fn $function($($argument: $of),+) -> Result<$answer> {
                    panics::tell();
                    <A as $trait>::$function($($argument),+)
                })+
            }

            /// Compiles only with what can be exported.
            #[doc(hidden)]
            pub const fn __implements<A: $trait>() {}
        }

        pub use $module::$trait;
    };
}

/// What is not written, by its name in the WIT.
fn unsupported(function: &str) -> Error {
    Error::unsupported(format!("this adapter has no {}", function.replace('_', "-")))
}

interface! {
    /// The platform's own view of the account behind a hosting.
    accounts: Accounts { Account }
    in "package latchkey:sdk; world accounts-adapter { export latchkey:adapter/accounts@0.1.0; }";

    /// Looks the account up. Changes nothing.
    fn show(hosting: Hosting) -> Account;
}

interface! {
    /// Databases and their users. Names are whole names, with the hosting's prefix; the agent has checked that they begin with
    /// it and are of `a-z`, `0-9` and `_`.
    databases: Databases { Database, User }
    in "package latchkey:sdk; world databases-adapter { export latchkey:adapter/databases@0.1.0; }";

    /// All databases of the hosting, by name. Changes nothing.
    fn list_databases(hosting: Hosting) -> Vec<Database>;

    /// Makes an empty database. *already-exists* when there is one that this key did not make.
    fn create_database(hosting: Hosting, key: IdempotencyKey, name: String) -> ();

    /// Gives a database another name, with everything in it and the grants on it.
    fn rename_database(hosting: Hosting, key: IdempotencyKey, name: String, new_name: String) -> ();

    /// Deletes a database with all that is in it.
    fn delete_database(hosting: Hosting, key: IdempotencyKey, name: String) -> ();

    /// All users of the hosting, by name, with what they may do. Changes nothing.
    fn list_users(hosting: Hosting) -> Vec<User>;

    /// Makes a user without grants.
    fn create_user(hosting: Hosting, key: IdempotencyKey, name: String, password: Secret) -> ();

    /// Sets a user's password. Repeating is safe.
    fn set_password(hosting: Hosting, key: IdempotencyKey, name: String, password: Secret) -> ();

    /// Deletes a user and, where the platform can, ends their connections.
    fn delete_user(hosting: Hosting, key: IdempotencyKey, name: String) -> ();

    /// Says what a user may do with a database, in place of what they might before; nothing with an empty list.
    /// Repeating is safe.
    fn set_grant(
        hosting: Hosting, key: IdempotencyKey, user: String, database: String, privileges: Vec<Privilege>,
    ) -> ();
}

interface! {
    /// Commands that run at set times, as the hosting's system user.
    cron: Cron { Entry, ListedEntry }
    in "package latchkey:sdk; world cron-adapter { export latchkey:adapter/cron@0.1.0; }";

    /// All entries, also those that others made, in the platform's order. Changes nothing.
    fn list_entries(hosting: Hosting) -> Vec<ListedEntry>;

    /// Makes an entry. An entry with the same tag is already the one that is wanted, or *already-exists*.
    fn create_entry(hosting: Hosting, key: IdempotencyKey, entry: Entry) -> ();

    /// Changes an entry that still is as it was listed; otherwise *changed*.
    fn update_entry(hosting: Hosting, key: IdempotencyKey, listed: ListedEntry, entry: Entry) -> ();

    /// Deletes an entry that still is as it was listed; otherwise *changed*, or *not-found*.
    fn delete_entry(hosting: Hosting, key: IdempotencyKey, listed: ListedEntry) -> ();
}

interface! {
    /// FTP accounts of the platform, where these and not the agent's own let people in.
    ftp_accounts: FtpAccounts { Account, NewAccount }
    in "package latchkey:sdk; world ftp-accounts-adapter { export latchkey:adapter/ftp-accounts@0.1.0; }";

    /// All accounts, by login. Changes nothing.
    fn list_accounts(hosting: Hosting) -> Vec<Account>;

    /// Makes an account and says what it became.
    fn create_account(hosting: Hosting, key: IdempotencyKey, account: NewAccount) -> Account;

    /// Gives an account another folder and quota. Repeating is safe.
    fn update_account(hosting: Hosting, key: IdempotencyKey, account: Account) -> ();

    /// Sets a password. Repeating is safe.
    fn set_password(hosting: Hosting, key: IdempotencyKey, login: String, password: Secret) -> ();

    /// Deletes an account, never its folder, and ends its sessions.
    fn delete_account(hosting: Hosting, key: IdempotencyKey, login: String) -> ();

    /// Ends the sessions of an account and says how many. Repeating is safe.
    fn end_sessions(hosting: Hosting, login: String) -> u32;
}

interface! {
    /// Mailboxes of the hosting's domains.
    mail: Mail { Mailbox }
    in "package latchkey:sdk; world mail-adapter { export latchkey:adapter/mail@0.1.0; }";

    /// All mailboxes, by address. Changes nothing.
    fn list_mailboxes(hosting: Hosting) -> Vec<Mailbox>;

    /// Makes a mailbox; the quota in whole MiB.
    fn create_mailbox(
        hosting: Hosting, key: IdempotencyKey, address: String, quota: Option<u64>, password: Secret,
    ) -> ();

    /// Sets a password. Repeating is safe.
    fn set_password(hosting: Hosting, key: IdempotencyKey, address: String, password: Secret) -> ();

    /// Sets how much may be in use. Repeating is safe.
    fn set_quota(hosting: Hosting, key: IdempotencyKey, address: String, quota: Option<u64>) -> ();

    /// Deletes a mailbox and keeps the mail in it where the platform can.
    fn delete_mailbox(hosting: Hosting, key: IdempotencyKey, address: String) -> ();
}

interface! {
    /// Records of the hosting's zones.
    dns: Dns { RecordSetEntry, ListedRecord, Zone }
    in "package latchkey:sdk; world dns-adapter { export latchkey:adapter/dns@0.1.0; }";

    /// Names of the hosting's zones, in order. Changes nothing.
    fn list_zones(hosting: Hosting) -> Vec<String>;

    /// A zone with its records. Changes nothing.
    fn read_zone(hosting: Hosting, zone: String) -> Zone;

    /// Adds a record to a zone that still is the one of `version`, otherwise *changed*. A record that is there with the same
    /// content is the one that is wanted.
    fn create_record(
        hosting: Hosting, key: IdempotencyKey, zone: String, version: String, content: RecordSetEntry,
    ) -> ();

    /// Changes a record that still is as it was listed, otherwise *changed*.
    fn update_record(
        hosting: Hosting, key: IdempotencyKey, zone: String, version: String, listed: ListedRecord, content: RecordSetEntry,
    ) -> ();

    /// Deletes a record that still is as it was listed, otherwise *changed*, or *not-found*.
    fn delete_record(hosting: Hosting, key: IdempotencyKey, zone: String, version: String, listed: ListedRecord) -> ();
}

interface! {
    /// Domains that lead to the hosting. Names are in lower case, as A-labels, without a dot at the end.
    domains: Domains { Domain }
    in "package latchkey:sdk; world domains-adapter { export latchkey:adapter/domains@0.1.0; }";

    /// All domains, by name. Changes nothing.
    fn list_domains(hosting: Hosting) -> Vec<Domain>;

    /// Adds a domain that serves a folder. The agent has checked that it belongs to whoever asks.
    fn add_domain(hosting: Hosting, key: IdempotencyKey, name: String, docroot: String) -> ();

    /// Removes a domain, never its folder.
    fn remove_domain(hosting: Hosting, key: IdempotencyKey, name: String) -> ();

    /// Serves another folder. Repeating is safe.
    fn set_docroot(hosting: Hosting, key: IdempotencyKey, name: String, docroot: String) -> ();

    /// Sends everybody to a URL, or serves the folder again. Repeating is safe.
    fn set_redirect(hosting: Hosting, key: IdempotencyKey, name: String, redirect: Option<String>) -> ();
}

interface! {
    /// TLS certificates of the hosting's domains.
    certificates: Certificates { Certificate, Progress }
    in "package latchkey:sdk; world certificates-adapter { export latchkey:adapter/certificates@0.1.0; }";

    /// All certificates, by their first name. Changes nothing.
    fn list_certificates(hosting: Hosting) -> Vec<Certificate>;

    /// Has the platform order one for a domain, or says how far it is. Repeating is safe.
    fn order_certificate(hosting: Hosting, key: IdempotencyKey, domain: String) -> Progress;

    /// Installs one that was made elsewhere: the certificate and those above it in PEM, the private key as a secret.
    /// Repeating is safe.
    fn install_certificate(
        hosting: Hosting, key: IdempotencyKey, domain: String, chain: String, private_key: Secret,
    ) -> ();
}

interface! {
    /// A cache in front of the web server.
    edge_cache: EdgeCache { Settings }
    in "package latchkey:sdk; world edge-cache-adapter { export latchkey:adapter/edge-cache@0.1.0; }";

    /// How it is set. Changes nothing.
    fn show(hosting: Hosting, domain: String) -> Settings;

    /// Sets it. Repeating is safe.
    fn change(hosting: Hosting, key: IdempotencyKey, domain: String, settings: Settings) -> ();

    /// Forgets what is cached. Repeating is safe.
    fn purge(hosting: Hosting, key: IdempotencyKey, domain: String, what: Purged) -> ();
}

interface! {
    /// Cloudflare in front of a domain.
    cloudflare: Cloudflare { SecurityLevel, Settings }
    in "package latchkey:sdk; world cloudflare-adapter { export latchkey:adapter/cloudflare@0.1.0; }";

    /// How it is set. Changes nothing.
    fn show(hosting: Hosting, domain: String) -> Settings;

    /// Sets it. Repeating is safe.
    fn change(hosting: Hosting, key: IdempotencyKey, domain: String, settings: Settings) -> ();

    /// Forgets what is cached. Repeating is safe.
    fn purge(hosting: Hosting, key: IdempotencyKey, domain: String, what: Purged) -> ();
}

interface! {
    /// The platform's own phpMyAdmin, where it has one that lets a person in to one database.
    phpmyadmin: Phpmyadmin { WayIn }
    in "package latchkey:sdk; world phpmyadmin-adapter { export latchkey:adapter/phpmyadmin@0.1.0; }";

    /// Opens a way in to one database and to nothing else. An adapter whose platform cannot limit it answers
    /// *unsupported*.
    fn open(hosting: Hosting, key: IdempotencyKey, database: String) -> WayIn;

    /// Ends it with whatever was begun through it. Repeating is safe.
    fn close(hosting: Hosting, id: String) -> ();
}

interface! {
    /// Where the logs of a site lie.
    logs: Logs { Kind, Location }
    in "package latchkey:sdk; world logs-adapter { export latchkey:adapter/logs@0.1.0; }";

    /// The logs of the site that a domain leads to, or of the whole hosting. Changes nothing.
    fn locate(hosting: Hosting, domain: Option<String>) -> Vec<Location>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    struct Nothing;

    impl Databases for Nothing {}

    #[test]
    fn what_is_not_written_is_unsupported_by_its_name() {
        let created = Nothing::create_database(fake::hosting(), "k1".into(), "h1_shop".into());
        assert_eq!(created, Err(Error::unsupported("this adapter has no create-database")));
        assert_eq!(Nothing::list_users(fake::hosting()), Err(Error::unsupported("this adapter has no list-users")));
    }

    /// Each function of a source with the comment before it, by its name in the WIT.
    fn words(source: &str, begins: fn(&str) -> Option<&str>) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut comment = String::new();
        for line in source.lines().map(str::trim) {
            if let Some(words) = line.strip_prefix("///") {
                comment += words;
                continue;
            }
            let words = std::mem::take(&mut comment);
            found.extend(begins(line).map(|name| (name.replace('_', "-"), words)));
        }
        found
    }

    fn in_wit(line: &str) -> Option<&str> {
        Some(line.split_once(": func(")?.0)
    }

    fn in_table(line: &str) -> Option<&str> {
        Some(line.strip_prefix("fn ")?.split_once('(')?.0)
    }

    #[test]
    fn every_function_has_the_words_of_the_wit() {
        let read = |name: &str| {
            let path = format!("{}/wit/{name}.wit", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).unwrap()
        };
        let world = read("world");
        let exports = world.lines().filter_map(|line| line.trim().strip_prefix("export ")?.strip_suffix(';'));
        let said: Vec<_> = exports.flat_map(|interface| words(&read(interface), in_wit)).collect();
        let source = include_str!("exports.rs");
        let table = source.find("\ninterface! {").unwrap()..source.find("#[cfg(test)]").unwrap();
        assert_eq!(words(&source[table], in_table), said);
    }
}
