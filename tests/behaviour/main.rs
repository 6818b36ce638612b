//! Whole-behaviour tests: one node with everything real, trials side by side, and nothing left behind at the end.
//!
//! A trial changes what is its own only. Those that stop a daemon or make it hang have the node to themselves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails at the line that was wrong"
)]

mod accounts;
mod adapters;
mod adapters_called;
mod adapters_command;
mod adapters_config_file;
mod adapters_cpanel;
mod adapters_http;
mod adapters_linux;
mod adapters_linux_cron;
mod all_at_once;
mod api;
mod audit;
mod caches;
mod certificates;
mod cli;
mod crash;
mod cron;
mod cron_owners;
mod databases;
mod delegation;
mod doctor;
mod file_archives;
mod file_endings;
mod file_manager;
mod file_search;
mod file_transfers;
mod ftp;
mod ftp_events;
mod full;
mod gateway;
mod hostile;
mod hostile_texts;
mod hosting;
mod limits;
mod logs;
mod long_audit;
mod mail;
mod new_adapters;
mod operations;
mod outages;
mod phpmyadmin;
mod quota;
mod recovery;
mod redeemer;
mod residue;
mod roles;
mod script;
mod sftp;
mod shares;
mod sso;
mod staging;
mod state;
mod variants;

use std::process::ExitCode;
use std::sync::{PoisonError, RwLock};

use latchkey_tests::sites::{self, PAPERS, Site};
use libtest_mimic::{Arguments, Conclusion, Trial};
use xtask::node::{AgentOptions, Layout, NewHosting, Node, Options, PhpVersion, Sso, WordPress};

/// The node. Trials share it; who disturbs it takes it for themselves.
static NODE: RwLock<Option<Node>> = RwLock::new(None);

/// Hostings beside `demo`: of trials' own instances, of instances that exist in the agent only, and of single trials.
const HOSTINGS: [&str; 34] = [
    ONE,
    TWO,
    FILES,
    MANAGED,
    MANAGED_TOO,
    ARCHIVED,
    "arc-disk",
    "arc-quota",
    "arc-kill",
    "arc-sent",
    "arc-sending",
    "cramped-disk",
    "cramped-quota",
    "beside",
    "shut",
    PAPERS,
    "estate",
    "dark",
    "neighbour",
    "shop",
    "agency",
    "move",
    "empty",
    "left",
    "timed",
    "bases",
    "admined",
    "logs1",
    "logs10",
    "planted",
    "whole",
    "bare",
    "clock",
    "texts",
];
const ONE: &str = "one";
const TWO: &str = "two";
/// The hosting of instances that are folders with file accounts.
const FILES: &str = "files";
/// Hostings of file managers; the name of one begins like that of the other.
const MANAGED: &str = "managed";
const MANAGED_TOO: &str = "managed2";
/// The hosting of archives and searches; those of downloads of folders have one each.
const ARCHIVED: &str = "arcs";
/// A hosting whose web server has no exact location, so scripts open WP Admin.
const SCRIPTED: &str = "scripted";
/// Another one, whose PHP cannot reach the agent either.
const CUT_OFF: &str = "cut-off";

/// Instances beside `live` and `second`, each of a single trial.
const SITES: [Site; 33] = [
    site("named", ONE),
    site("indexed", ONE),
    site("upkeep", ONE),
    site("updating", ONE),
    site("fatal", ONE),
    site("chatty", ONE),
    site("deleted", ONE),
    site("renamed", ONE),
    site("sold", TWO),
    site("password", TWO),
    site("residue", TWO),
    site("elsewhere", TWO),
    site("broken", TWO),
    site("closed", TWO),
    site("prod", TWO),
    Site { staging_of: Some("prod"), ..site("prod-stage", TWO) },
    site("edited", FILES),
    site("base", "bases"),
    site("admined", "admined"),
    site("admined-beside", "admined"),
    site("admined-once", "admined"),
    site("base-beside", "bases"),
    site("opened", "bases"),
    site("log1", "logs1"),
    site("followed", "logs1"),
    site("dark", "dark"),
    site("left", "left"),
    site("script", SCRIPTED),
    site("script-users", SCRIPTED),
    site("script-locked", SCRIPTED),
    site("script-closed", SCRIPTED),
    site("script-folder", SCRIPTED),
    site("cut-off", CUT_OFF),
];

/// Hostings with another PHP.
const OTHER_PHP: [(&str, PhpVersion); 2] = [("php74", PhpVersion::V7_4), ("php84", PhpVersion::V8_4)];

/// Instances whose own code is against us, each on a hosting of its own.
const HOSTILE: [Site; 9] = [
    site("hostile", "hostile"),
    site("hostile-forger", "forger"),
    site("hostile-floods", "floods"),
    site("sleeper", "sleeper"),
    site("stuck", "stuck"),
    site("spinner", "spinner"),
    site("full-disk", "full-disk"),
    site("full-quota", "full-quota"),
    site("replaced", "replaced"),
];

/// Instances with an object cache.
const CACHED: [Site; 4] =
    [site("in-files", ONE), site("in-apcu", ONE), site("in-redis", TWO), site("in-apcu-shut", TWO)];

/// Instances of other shapes and versions.
const VARIANTS: [Site; 9] = [
    site("two-factor", ONE),
    Site { layout: Layout::Subfolder, ..site("subfolder", ONE) },
    Site { layout: Layout::MovedContent, ..site("moved", ONE) },
    Site { layout: Layout::Network, ..site("network", TWO) },
    Site { wordpress: WordPress::Newer, ..site("newer", TWO) },
    site("php74-ours", "php74"),
    Site { wordpress: WordPress::Newer, ..site("php74-newer", "php74") },
    site("php84-ours", "php84"),
    Site { wordpress: WordPress::Newer, ..site("php84-newer", "php84") },
];

const fn site(id: &'static str, hosting: &'static str) -> Site {
    Site { id, hosting, staging_of: None, layout: Layout::Usual, wordpress: WordPress::Ours }
}

/// The kind of trials that have the node to themselves. They come last: the others need not wait for them.
const ALONE: &str = "alone";

/// Much of a trial is waiting; but an end has 2.4 seconds, of which two cores must not take too much.
const THREADS: usize = 3;

/// Seconds that a WP Admin link is good on this node: enough for a slow machine, and short enough to wait for its end.
const TOKEN_LIFE_S: u64 = 20;
/// Seconds between two mails of one invitation on this node.
const RESEND_AFTER_S: u64 = 6;
/// A certificate that may act for persons only.
const PEOPLE_URI: &str = "urn:latchkey:panel:people";
/// A certificate that has a rate, and how many requests a minute that is.
const HURRIED_URI: &str = "urn:latchkey:panel:hurried";
const REQUESTS_OF_HURRIED: usize = 20;
/// Changes a minute on behalf of one person on this node.
const CHANGES_OF_PERSON: usize = 1200;
/// An origin from which the hand-over page submits by itself.
const PANEL_ORIGIN: &str = "https://panel.example";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(THREADS));
    let trials = in_order();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    match Node::start(options()) {
        Ok(node) => {
            sites::add_hostings(&node, &HOSTINGS);
            sites::add_hostings(&node, &HOSTILE.map(|site| site.hosting));
            OTHER_PHP.iter().for_each(|(id, php)| {
                sites::add_hosting(&node, NewHosting { php: *php, ..NewHosting::named(id) });
            });
            sites::add_hosting(&node, NewHosting { sso: Sso::Script, ..NewHosting::named(SCRIPTED) });
            let disabled_functions = "stream_socket_client,fsockopen,exec".to_owned();
            let cut_off = NewHosting { sso: Sso::Script, disabled_functions, ..NewHosting::named(CUT_OFF) };
            sites::add_hosting(&node, cut_off);
            sites::add_instances(&node, &[&SITES[..], &HOSTILE, &CACHED, &VARIANTS].concat());
            *NODE.write().unwrap() = Some(node);
        }
        Err(error) => {
            return libtest_mimic::run(&only_this(&arguments), vec![failed("node::it_starts", &error)]).exit_code();
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let ended = take_down(&arguments);
    if conclusion.has_failed() || ended.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// All of them, those that have the node to themselves last.
fn in_order() -> Vec<Trial> {
    let files = [
        redeemer::trials(),
        script::trials(),
        sso::trials(),
        residue::trials(),
        staging::trials(),
        operations::trials(),
        shares::trials(),
        roles::trials(),
        delegation::trials(),
        hosting::trials(),
        mail::trials(),
        gateway::trials(),
        accounts::trials(),
        sftp::trials(),
        ftp::trials(),
        ftp_events::trials(),
        quota::trials(),
        file_endings::trials(),
        file_archives::trials(),
        file_search::trials(),
        file_manager::trials(),
        file_transfers::trials(),
        adapters::trials(),
        adapters_called::trials(),
        adapters_command::trials(),
        adapters_config_file::trials(),
        adapters_cpanel::trials(),
        adapters_http::trials(),
        adapters_linux::trials(),
        adapters_linux_cron::trials(),
        new_adapters::trials(),
        databases::trials(),
        phpmyadmin::trials(),
        logs::trials(),
        cron::trials(),
        cron_owners::trials(),
        api::trials(),
        cli::trials(),
        audit::trials(),
        limits::trials(),
        certificates::trials(),
        doctor::trials(),
        hostile::trials(),
        hostile_texts::trials(),
        all_at_once::trials(),
        caches::trials(),
        full::trials(),
        variants::trials(),
        recovery::trials(),
        crash::trials(),
        outages::trials(),
        state::trials(),
        long_audit::trials(),
    ];
    let mut trials: Vec<Trial> = files.into_iter().flatten().collect();
    trials.sort_by_key(|trial| trial.kind() == ALONE);
    trials
}

fn options() -> Options {
    let agent = AgentOptions {
        php: PhpVersion::ALL.to_vec(),
        token_life_s: TOKEN_LIFE_S,
        resend_after_s: RESEND_AFTER_S,
        panel_origins: vec![PANEL_ORIGIN.into()],
        serve_config_more: format!(
            "\n[[panel.peers]]\nuri = \"{PEOPLE_URI}\"\nscopes = [\"people\"]\n\
             \n[[panel.peers]]\nuri = \"{HURRIED_URI}\"\nscopes = [\"people\"]\n\
             requests_per_minute = {REQUESTS_OF_HURRIED}\n\
             \n[limits]\napi_per_person = {CHANGES_OF_PERSON}\n"
        ),
        ..AgentOptions::default()
    };
    Options { agent: Some(agent), ..Options::tests() }
}

fn take_down(arguments: &Arguments) -> Conclusion {
    let node = NODE.write().unwrap_or_else(PoisonError::into_inner).take().unwrap();
    let trial = Trial::test("node::what_was_started_leaves_nothing_behind", || {
        let leftovers = node.take_down()?;
        if leftovers.is_empty() { Ok(()) } else { Err(format!("{leftovers:#?}").into()) }
    });
    libtest_mimic::run(&only_this(arguments), vec![trial])
}

/// The same arguments, whatever they filter.
fn only_this(arguments: &Arguments) -> Arguments {
    let arguments = arguments.clone();
    Arguments { filter: None, skip: Vec::new(), exact: false, ignored: false, test_threads: Some(1), ..arguments }
}

fn failed(name: &str, why: &anyhow::Error) -> Trial {
    let why = format!("{why:#}");
    Trial::test(name, || Err(why.into()))
}

/// A trial beside others.
fn beside_others(name: &str, run: fn(&Node)) -> Trial {
    Trial::test(name, move || {
        let node = NODE.read().unwrap_or_else(PoisonError::into_inner);
        run(node.as_ref().unwrap());
        Ok(())
    })
}

/// A trial with the node to itself.
fn alone(name: &str, run: fn(&Node)) -> Trial {
    Trial::test(name, move || {
        let node = NODE.write().unwrap_or_else(PoisonError::into_inner);
        run(node.as_ref().unwrap());
        Ok(())
    })
    .with_kind(ALONE)
}

/// Lists the trials of a file: `trials! { beside_others: a, b; alone: c }`.
#[macro_export]
macro_rules! trials {
    ($($how:ident: $($name:ident),+ $(,)?);+ $(;)?) => {
        pub(crate) fn trials() -> Vec<libtest_mimic::Trial> {
            let file = module_path!().rsplit("::").next().unwrap();
            vec![$($($crate::$how(&format!("{file}::{}", stringify!($name)), $name)),+),+]
        }
    };
}
