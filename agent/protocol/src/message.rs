//! The requests that serve makes of the broker, and the broker's replies.
//!
//! Only their shape: every value is checked again where it is used.

use serde::{Deserialize, Serialize};

use crate::{CommandCall, CommandEnd, ConfigFileCall, ConfigFileCame, CronRun, RecordedHead};

/// The longest wall-clock time that a PHP call may ask for, in milliseconds.
pub const PHP_DEADLINE_MAX_MS: u32 = 600_000;

/// A crontab is read only up to this length; a longer one is refused.
pub const CRONTAB_MAX_BYTES: u64 = 256 * 1024;

/// A crontab is written only up to this length: cron puts some lines of its own before it.
pub const CRONTAB_TEXT_MAX_BYTES: u64 = 255 * 1024;

/// The longest component of an adapter; a longer one is refused.
pub const COMPONENT_MAX_BYTES: u64 = 32 * 1024 * 1024;

/// One reply holds at most so many heads of the audit.
pub const AUDIT_HEADS_MAX: usize = 400;

/// What serve sends to the broker: one per connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The id of the request that this is part of, for the log: 1 to 64 of `a-z`, `0-9` and `-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What is asked.
    pub request: Request,
}

impl From<Request> for Asked {
    /// As part of no request.
    fn from(request: Request) -> Self {
        Self { request_id: None, request }
    }
}

/// What serve may ask of the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Registers a hosting or replaces the one with the same id. Answered by [`Reply::Hostings`] with that one.
    RegisterHosting(HostingRegistration),
    /// Forgets a hosting. Answered by [`Reply::Done`].
    DropHosting {
        /// The hosting's id.
        hosting: String,
    },
    /// Lists the registered hostings. Answered by [`Reply::Hostings`].
    ListHostings,
    /// Runs one PHP call of a hosting. Answered by [`Reply::PhpEnded`] when it has ended; closing the connection
    /// kills it. Carries three descriptors: the call's request (read end), its reply (write end), its log (write end).
    StartPhp(PhpCall),
    /// Opens the crontab of a hosting's system user for reading. Answered by [`Reply::Crontab`].
    ReadCrontab {
        /// The hosting's id.
        hosting: String,
    },
    /// Replaces the crontab of a hosting's system user if it still is what was read, by cron's own program. Carries the
    /// new text, see [`seal_text`](crate::seal_text); with an empty one there is no crontab afterwards. Answered by
    /// [`Reply::Done`], or [`RefusalCode::Changed`].
    ReplaceCrontab {
        /// The hosting's id.
        hosting: String,
        /// SHA-256 of what was read as 64 lower-case hexadecimal digits; of nothing where there was none.
        was: String,
    },
    /// Opens a log of a hosting for reading: a file beneath one of the operator's log roots. Answered by [`Reply::Log`].
    OpenLog {
        /// The hosting's id.
        hosting: String,
        /// Absolute, without `.` and `..`.
        path: String,
    },
    /// Runs what could stand in the crontab of a hosting's system user, as that user. Answered by [`Reply::CommandEnded`] when
    /// it has ended; closing the connection, also for sending alone, kills it.
    RunCronEntry(CronRun),
    /// Starts a files worker for a hosting. Answered by [`Reply::Files`].
    OpenFiles {
        /// The hosting's id.
        hosting: String,
    },
    /// Kills the files workers of a hosting and waits until they are gone. Answered by [`Reply::Done`].
    StopFiles {
        /// The hosting's id.
        hosting: String,
    },
    /// Compiles an installed adapter into the cache unless it is there. Takes up to a minute. Answered by
    /// [`Reply::Done`].
    CompileAdapter {
        /// The adapter's name.
        adapter: String,
    },
    /// Starts a runner of an installed adapter. Answered by [`Reply::Runner`].
    OpenRunner {
        /// The adapter's name.
        adapter: String,
    },
    /// Kills the runners of an adapter and waits until they are gone. Answered by [`Reply::Done`].
    StopRunner {
        /// The adapter's name.
        adapter: String,
    },
    /// Runs a command that the operator wrote down for an adapter. Answered by [`Reply::CommandEnded`] when it has ended;
    /// closing the connection kills it.
    RunCommand(CommandCall),
    /// Reads or changes a configuration file in a directory that the operator wrote down for an adapter. A change carries the
    /// descriptor that [`ConfigFileWish::Write`](crate::ConfigFileWish::Write) says. Answered by [`Reply::ConfigFile`];
    /// closing the connection takes back what is not confirmed yet.
    ConfigFile(ConfigFileCall),
    /// Tells what the kernel has of what confines a PHP call. Answered by [`Reply::Confinement`].
    DescribeConfinement,
    /// Records the newest record of the audit chain where serve cannot rewrite it. Answered by [`Reply::Done`].
    RecordAuditHead {
        /// Number of the record; grows with every one.
        seq: u64,
        /// SHA-256 of the record as 64 lower-case hexadecimal digits.
        hash: String,
    },
    /// Says that the audit goes on with this record after an older one, because a damaged state was replaced by a backup.
    /// For root only. Answered by [`Reply::Done`].
    SetAuditBack {
        /// The last record that both audits have.
        to: u64,
        /// Number of the newest record.
        seq: u64,
        /// Its hash.
        hash: String,
    },
    /// Reads recorded heads, in the order they were recorded. Answered by [`Reply::AuditHeads`].
    ReadAuditHeads {
        /// 0, or `next` of the reply before.
        from: u64,
    },
    /// Asks what answers. Answered by [`Reply::About`].
    About,
}

/// A hosting as the panel describes it to serve and serve to the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostingRegistration {
    /// The hosting's id, `[a-z0-9][a-z0-9-]{0,30}`.
    pub hosting: String,
    /// Name of the Unix account that owns the hosting.
    pub system_user: String,
    /// Absolute path of the hosting's home, without symbolic links.
    pub home: String,
    /// The PHP program for the command line; one of those that the operator lists.
    pub php_binary: String,
    /// A `php.ini` to use instead of the program's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub php_ini: Option<String>,
}

/// One run of PHP with the bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhpCall {
    /// The hosting's id.
    pub hosting: String,
    /// Where `wp-load.php` lies, relative to the home; empty for the home itself.
    pub docroot: String,
    /// Wall-clock time until everything of the call is killed, 1 to [`PHP_DEADLINE_MAX_MS`] milliseconds.
    pub deadline_ms: u32,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a PHP call is for, which decides how many there may be, and whether compiled scripts that the hosting's own
/// code could have put in place of the bridge are used: those save time, and are not believed where it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Anything but the others.
    Ordinary,
    /// It looks for what somebody left on the hosting. Runs without compiled scripts.
    Examines,
    /// It ends somebody's access. A part of the slots is kept for such calls. Runs without compiled scripts.
    EndsAccess,
}

/// What the broker answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// It is done, and there is nothing to tell.
    Done,
    /// Registered hostings.
    Hostings {
        /// Ordered by id.
        items: Vec<RegisteredHosting>,
    },
    /// A crontab. Carries one descriptor, the open file, or none: there is no crontab.
    Crontab,
    /// A log. Carries one descriptor, the open file, or none: there is no such file.
    Log,
    /// A files worker. Carries one descriptor, the socket to it; the worker ends when that is closed.
    Files {
        /// The number of the mount that the home lies on, where everything that the worker opens has to lie.
        mount: u64,
    },
    /// A runner. Carries one descriptor, the socket to it; the runner ends when that is closed.
    Runner,
    /// Recorded heads of the audit, at most [`AUDIT_HEADS_MAX`].
    AuditHeads {
        /// In the order they were recorded.
        items: Vec<RecordedHead>,
        /// Where the next ones are, if there are more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<u64>,
    },
    /// What answers.
    About {
        /// The broker's version.
        version: String,
    },
    /// A PHP call ended; all its processes are gone.
    PhpEnded {
        /// How it ended.
        end: PhpEnd,
    },
    /// A command ended. Carries one descriptor, a file with what it wrote: its standard output, then its standard error.
    CommandEnded {
        /// How it ended.
        end: CommandEnd,
        /// How much of the file is standard output.
        stdout_bytes: u32,
    },
    /// What came of a request about a configuration file. Carries the descriptor that it says.
    ConfigFile(ConfigFileCame),
    /// What confines a PHP call.
    Confinement(Confinement),
    /// Nothing was done.
    Refused {
        /// The kind of refusal.
        code: RefusalCode,
        /// The field of the request that it is about, if it is about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
        /// A sentence that says what was expected.
        message: String,
    },
}

/// What the kernel has of what confines a PHP call, as a process that was confined like one found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confinement {
    /// The ABI of Landlock in force, from 1; absent: there is none. What each lacks: `landlock(7)`.
    pub landlock_abi: Option<i32>,
    /// Whether system calls are filtered.
    pub seccomp: bool,
}

/// A hosting as the broker holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisteredHosting {
    /// The hosting's id.
    pub hosting: String,
    /// Name of the Unix account that owns the hosting.
    pub system_user: String,
    /// The account's user id when it was registered.
    pub uid: u32,
    /// The account's primary group id when it was registered.
    pub gid: u32,
    /// Absolute path of the home.
    pub home: String,
}

/// How a PHP call ended. What the site's code could choose (its exit code) is a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PhpEnd {
    /// PHP ended by itself.
    Exited {
        /// Its exit code; 255 after a PHP fatal error.
        code: i32,
    },
    /// A signal ended PHP.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// The deadline passed and everything was killed.
    TimedOut,
}

/// The closed list of reasons for a [`Reply::Refused`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The request is wrong or not allowed as it stands; repeating it does not help.
    Invalid,
    /// What it names is not registered.
    NotFound,
    /// What is there is not what the request takes it for; read it again.
    Changed,
    /// Too much is going on; repeat it later.
    Busy,
    /// The broker failed; its log has the reason.
    Internal,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CommandArgument, ConfigFileWish};

    #[track_caller]
    fn check(request: Request, json: &str) {
        assert_eq!(serde_json::to_string(&request).unwrap(), json);
        assert_eq!(serde_json::from_str::<Request>(json).unwrap(), request);
    }

    #[test]
    fn a_request_is_written_as_its_verb_and_its_fields() {
        check(Request::ListHostings, r#""list_hostings""#);
        check(Request::DropHosting { hosting: "h1".into() }, r#"{"drop_hosting":{"hosting":"h1"}}"#);
        check(Request::ReadCrontab { hosting: "h1".into() }, r#"{"read_crontab":{"hosting":"h1"}}"#);
        check(
            Request::ReplaceCrontab { hosting: "h1".into(), was: "e3".into() },
            r#"{"replace_crontab":{"hosting":"h1","was":"e3"}}"#,
        );
        check(
            Request::StartPhp(PhpCall {
                hosting: "h1".into(),
                docroot: "public".into(),
                deadline_ms: 5,
                purpose: Purpose::EndsAccess,
            }),
            r#"{"start_php":{"hosting":"h1","docroot":"public","deadline_ms":5,"purpose":"ends_access"}}"#,
        );
    }

    #[test]
    fn a_command_is_asked_for_by_names_and_values() {
        let arguments = vec![("version".to_owned(), CommandArgument::Text("8.3".into()))];
        check(
            Request::RunCommand(CommandCall {
                adapter: "linux".into(),
                hosting: "h1".into(),
                command: "reload-php".into(),
                arguments,
                deadline_ms: 5,
            }),
            r#"{"run_command":{"adapter":"linux","hosting":"h1","command":"reload-php","arguments":[["version",{"text":"8.3"}]],"deadline_ms":5}}"#,
        );
    }

    #[test]
    fn a_cron_entry_is_run_by_its_command_for_so_long() {
        check(
            Request::RunCronEntry(CronRun { hosting: "h1".into(), command: "date +%F".into(), deadline_ms: 5 }),
            r#"{"run_cron_entry":{"hosting":"h1","command":"date +%F","deadline_ms":5}}"#,
        );
    }

    #[test]
    fn a_configuration_file_is_asked_for_by_names() {
        let wish = ConfigFileWish::Write { name: "h1.conf".into(), version: None };
        check(
            Request::ConfigFile(ConfigFileCall {
                adapter: "linux".into(),
                hosting: "h1".into(),
                directory: "vhosts".into(),
                deadline_ms: 5,
                wish,
            }),
            r#"{"config_file":{"adapter":"linux","hosting":"h1","directory":"vhosts","deadline_ms":5,"wish":{"write":{"name":"h1.conf","version":null}}}}"#,
        );
    }

    #[test]
    fn a_request_carries_the_id_of_what_it_is_part_of() {
        let asked = Asked { request_id: Some("r1".into()), request: Request::ListHostings };
        assert_eq!(serde_json::to_string(&asked).unwrap(), r#"{"request_id":"r1","request":"list_hostings"}"#);
        let alone = serde_json::from_str::<Asked>(r#"{"request":"list_hostings"}"#).unwrap();
        assert_eq!(alone, Asked::from(Request::ListHostings));
        assert!(serde_json::from_str::<Asked>(r#"{"request":"list_hostings","uid":0}"#).is_err());
        assert!(serde_json::from_str::<Asked>(r#""list_hostings""#).is_err());
    }

    #[test]
    fn an_unknown_verb_or_field_is_refused() {
        for json in [
            r#"{"drop_hosting":{"hosting":"h1","force":true}}"#,
            r#"{"run":{"command":"id"}}"#,
            r#"{"read_crontab":{"hosting":"h1","user":"root"}}"#,
            r#"{"replace_crontab":{"hosting":"h1"}}"#,
            r#"{"replace_crontab":{"hosting":"h1","was":"","text":"* * * * * id"}}"#,
            r#"{"run_cron_entry":{"hosting":"h1","command":"id","deadline_ms":1,"user":"root"}}"#,
            r#"{"start_php":{"hosting":"h1","docroot":""}}"#,
            r#"{"start_php":{"hosting":"h1","docroot":"","purpose":"ordinary"}}"#,
            r#"{"start_php":{"hosting":"h1","docroot":"","deadline_ms":1,"purpose":"most"}}"#,
            r#"{"run_command":{"adapter":"a","hosting":"h1","command":"c","arguments":[],"deadline_ms":1,"argv":["/bin/sh"]}}"#,
            r#"{"record_audit_head":{"seq":-1,"hash":""}}"#,
            r#"{"drop_hosting":{"hosting":"h1"},"list_hostings":null}"#,
        ] {
            assert!(serde_json::from_str::<Request>(json).is_err(), "{json}");
        }
        for json in
            [r#"{"refused":{"code":"odd","message":""}}"#, r#"{"php_ended":{"end":{"exited":{"code":1,"x":2}}}}"#]
        {
            assert!(serde_json::from_str::<Reply>(json).is_err(), "{json}");
        }
    }
}
