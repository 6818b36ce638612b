//! The closed table of what the broker does: one row per request, from its fields and descriptors to a reply.
//!
//! Every argument is checked here or in [`crate::admission`], whoever asks.

use std::{
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use latchkey_protocol::{
    CRONTAB_TEXT_MAX_BYTES, CommandCall, ConfigFileCall, ConfigFileWish, CronRun, FrameSocket, HostingRegistration,
    PHP_DEADLINE_MAX_MS, PhpCall, Purpose, RecordedHead, RegisteredHosting, Reply, Request,
};
use rustix::{
    fs::{FileType, OFlags},
    io::Errno,
};

use crate::{
    adapters::{AdapterError, Adapters},
    admission,
    audit_heads::{AuditHeads, AuditHeadsError},
    commands::{CommandError, Commands},
    config::Config,
    config_files::{ConfigFileError, ConfigFiles},
    cron_runs::CronRuns,
    crontabs::Crontabs,
    files_workers::{FilesWorkers, StartError},
    journal::Journal,
    log,
    logs::Logs,
    process::ProcessError,
    refusal::Refusal,
    registry::{Hosting, Registry},
    slots::{Full, Slots},
    spawn::{PhpDescriptors, PhpStart, SpawnError, ask_confinement, run_php},
    system_users::Accounts,
};

/// What the verbs work on; shared by all connections.
#[derive(Debug)]
pub struct Broker {
    config: Config,
    registry: Mutex<Registry>,
    audit_heads: Mutex<AuditHeads>,
    php_calls: Slots,
    files_workers: FilesWorkers,
    crontabs: Crontabs,
    logs: Logs,
    cron_runs: CronRuns,
    adapters: Option<Adapters>,
    commands: Option<Commands>,
    config_files: Option<ConfigFiles>,
}

/// What a request is answered with.
#[derive(Debug)]
pub struct Answer {
    /// The reply.
    pub reply: Reply,
    /// What goes beside it.
    pub descriptor: Option<OwnedFd>,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Answer {
        Answer { reply, descriptor: None }
    }
}

impl Broker {
    /// A broker with the state that was read at start.
    pub fn new(config: Config, registry: Registry, audit_heads: AuditHeads) -> Broker {
        let php_calls = Slots::new(config.php_calls, config.php_calls_per_hosting);
        let files_workers =
            FilesWorkers::new(&config.files_worker, config.files_workers, config.files_workers_per_hosting);
        let crontabs = Crontabs::new(&config.crontabs, config.crontab_program.as_deref());
        let logs = Logs::new(&config);
        let adapters = config.adapters.as_ref().map(Adapters::new);
        let commands = config.adapters.as_ref().map(Commands::new);
        let config_files = config.adapters.as_ref().map(ConfigFiles::new);
        let (registry, audit_heads) = (Mutex::new(registry), Mutex::new(audit_heads));
        Broker {
            config,
            registry,
            audit_heads,
            php_calls,
            files_workers,
            crontabs,
            logs,
            cron_runs: CronRuns::default(),
            adapters,
            commands,
            config_files,
        }
    }

    /// Carries out one request. Blocks until it is done; a PHP call also ends when `connection` does.
    pub fn answer(&self, request: Request, descriptors: Vec<OwnedFd>, connection: &FrameSocket) -> Answer {
        let result = match request {
            Request::RegisterHosting(r) => alone(none(descriptors).and_then(|()| self.register_hosting(&r))),
            Request::DropHosting { hosting } => alone(none(descriptors).and_then(|()| self.drop_hosting(&hosting))),
            Request::ListHostings => alone(none(descriptors).map(|()| self.list_hostings())),
            Request::StartPhp(call) => {
                alone(of_php(descriptors).and_then(|three| self.start_php(&call, three, connection)))
            }
            Request::ReadCrontab { hosting } => none(descriptors).and_then(|()| self.read_crontab(&hosting)),
            Request::ReplaceCrontab { hosting, was } => {
                alone(one(descriptors).and_then(|text| self.replace_crontab(&hosting, &was, text, connection)))
            }
            Request::OpenLog { hosting, path } => none(descriptors).and_then(|()| self.open_log(&hosting, &path)),
            Request::RunCronEntry(run) => none(descriptors).and_then(|()| self.run_cron_entry(&run, connection)),
            Request::OpenFiles { hosting } => none(descriptors).and_then(|()| self.open_files(&hosting)),
            Request::StopFiles { hosting } => alone(none(descriptors).and_then(|()| self.stop_files(&hosting))),
            Request::CompileAdapter { adapter } => {
                alone(none(descriptors).and_then(|()| self.compile_adapter(&adapter)))
            }
            Request::OpenRunner { adapter } => none(descriptors).and_then(|()| self.open_runner(&adapter)),
            Request::StopRunner { adapter } => alone(none(descriptors).and_then(|()| self.stop_runner(&adapter))),
            Request::RunCommand(call) => none(descriptors).and_then(|()| self.run_command(&call, connection)),
            Request::ConfigFile(call) => self.config_file(&call, descriptors, connection),
            Request::DescribeConfinement => alone(none(descriptors).and_then(|()| self.describe_confinement())),
            Request::RecordAuditHead { seq, hash } => {
                let head = RecordedHead { seq, hash, set_back_to: None };
                alone(none(descriptors).and_then(|()| self.record_audit_head(head)))
            }
            Request::SetAuditBack { to, seq, hash } => {
                let head = RecordedHead { seq, hash, set_back_to: Some(to) };
                alone(none(descriptors).and_then(|()| of_root(connection)).and_then(|()| self.record_audit_head(head)))
            }
            Request::ReadAuditHeads { from } => alone(none(descriptors).and_then(|()| self.read_audit_heads(from))),
            Request::About => alone(none(descriptors).map(|()| about())),
        };
        result.unwrap_or_else(|refusal| {
            let field = refusal.field.unwrap_or("-");
            log::info("refused a request", &[("field", field), ("reason", &refusal.message)]);
            Answer::from(Reply::from(refusal))
        })
    }

    /// Takes back changes to configuration files that a broker before this one did not finish. Blocks while the operator's
    /// programs take that up.
    pub fn mend(&self) {
        self.config_files.iter().for_each(ConfigFiles::mend_all);
    }

    /// Waits until no state is being written and keeps it so; for the end of the process.
    pub fn settle(&self) -> impl Sized + '_ {
        (self.registry(), self.audit_heads())
    }

    fn register_hosting(&self, request: &HostingRegistration) -> Result<Reply, Refusal> {
        let accounts = Accounts::read().map_err(|error| Refusal::internal(&error))?;
        let mut registry = self.registry();
        let hosting = admission::admit(request, &self.config, &accounts, &registry)?;
        let item = RegisteredHosting::from(&hosting);
        registry.insert(hosting).map_err(|error| Refusal::internal(&error))?;
        drop(registry);
        // Those that run are of the account that it was registered with before.
        self.end_files(&item.hosting)?;
        log::info("registered a hosting", &[("hosting", &item.hosting), ("system_user", &item.system_user)]);
        Ok(Reply::Hostings { items: vec![item] })
    }

    fn drop_hosting(&self, hosting: &str) -> Result<Reply, Refusal> {
        match self.registry().remove(hosting) {
            Ok(true) => {
                self.end_files(hosting)?;
                log::info("dropped a hosting", &[("hosting", hosting)]);
                Ok(Reply::Done)
            }
            Ok(false) => Err(Refusal::unknown_hosting()),
            Err(error) => Err(Refusal::internal(&error)),
        }
    }

    fn list_hostings(&self) -> Reply {
        Reply::Hostings { items: self.registry().hostings().map(RegisteredHosting::from).collect() }
    }

    fn start_php(
        &self,
        call: &PhpCall,
        descriptors: PhpDescriptors,
        connection: &FrameSocket,
    ) -> Result<Reply, Refusal> {
        let hosting: Hosting = self.registry().find(&call.hosting).cloned().ok_or_else(Refusal::unknown_hosting)?;
        let docroot = admission::parse_docroot(&call.docroot)?;
        if !(1..=PHP_DEADLINE_MAX_MS).contains(&call.deadline_ms) {
            return Err(Refusal::invalid("deadline_ms", format!("expected 1 to {PHP_DEADLINE_MAX_MS} milliseconds")));
        }
        let accounts = Accounts::read().map_err(|error| Refusal::internal(&error))?;
        admission::readmit(&hosting, &self.config, &accounts)?;
        let slot = match call.purpose {
            Purpose::EndsAccess => self.php_calls.take(&hosting.hosting),
            Purpose::Ordinary | Purpose::Examines => self.php_calls.take_leaving_some(&hosting.hosting),
        };
        let _slot = slot.map_err(|full| match full {
            Full::Total => Refusal::busy("as many PHP calls as the broker allows are running"),
            Full::Name => Refusal::busy("as many PHP calls as one hosting may have are running"),
        })?;
        let start = PhpStart {
            worker: &self.config.php_worker,
            bridge: &self.config.bridge,
            cache_root: match call.purpose {
                Purpose::Ordinary => self.config.php_cache.as_deref(),
                // The site's code writes there as well, and may have left a bridge of its own.
                Purpose::Examines | Purpose::EndsAccess => None,
            },
            more: &self.config.php_paths,
            hosting: &hosting,
            docroot,
            deadline: Duration::from_millis(call.deadline_ms.into()),
        };
        let end = run_php(&start, descriptors, connection).map_err(|error| match error {
            SpawnError::NotStarted => Refusal::not_started(&error),
            _ => Refusal::internal(&error),
        })?;
        log::info("a PHP call ended", &[("hosting", &hosting.hosting), ("end", &format!("{end:?}"))]);
        Ok(Reply::PhpEnded { end })
    }

    fn read_crontab(&self, hosting: &str) -> Result<Answer, Refusal> {
        let descriptor = self.crontabs.open(&self.readmitted(hosting)?)?;
        Ok(Answer { reply: Reply::Crontab, descriptor })
    }

    fn replace_crontab(
        &self,
        hosting: &str,
        was: &str,
        text: OwnedFd,
        connection: &FrameSocket,
    ) -> Result<Reply, Refusal> {
        let hosting = self.readmitted(hosting)?;
        let text = latchkey_protocol::read_sealed(text, CRONTAB_TEXT_MAX_BYTES);
        let text = text.map_err(|error| Refusal::invalid("text", error.to_string()))?;
        self.crontabs.replace(&hosting, was, &text, connection)?;
        log::info("replaced a crontab", &[("hosting", &hosting.hosting)]);
        Ok(Reply::Done)
    }

    /// Often asked while somebody follows a log, so what was opened is not noted.
    fn open_log(&self, hosting: &str, path: &str) -> Result<Answer, Refusal> {
        let descriptor = self.logs.open(&self.readmitted(hosting)?, path)?;
        Ok(Answer { reply: Reply::Log, descriptor })
    }

    fn run_cron_entry(&self, run: &CronRun, connection: &FrameSocket) -> Result<Answer, Refusal> {
        let hosting = self.readmitted(&run.hosting)?;
        self.crontabs.expect_written()?;
        let ended = self.cron_runs.run(run, &hosting, connection)?;
        let reply = Reply::CommandEnded { end: ended.end, stdout_bytes: ended.stdout_bytes };
        Ok(Answer { reply, descriptor: Some(ended.written) })
    }

    /// A registered hosting whose account still is what it was.
    fn readmitted(&self, hosting: &str) -> Result<Hosting, Refusal> {
        let hosting = self.registry().find(hosting).cloned().ok_or_else(Refusal::unknown_hosting)?;
        let accounts = Accounts::read().map_err(|error| Refusal::internal(&error))?;
        admission::readmit(&hosting, &self.config, &accounts)?;
        Ok(hosting)
    }

    fn open_files(&self, hosting: &str) -> Result<Answer, Refusal> {
        let accounts = Accounts::read().map_err(|error| Refusal::internal(&error))?;
        // Held until the worker runs, so that whoever forgets the hosting afterwards ends it.
        let registry = self.registry();
        let hosting = registry.find(hosting).ok_or_else(Refusal::unknown_hosting)?;
        admission::readmit(hosting, &self.config, &accounts)?;
        let started = self.files_workers.start(hosting).map_err(|error| match error {
            StartError::Full(_) => Refusal::busy(error.to_string()),
            _ => Refusal::internal(&error),
        })?;
        log::info("started a files worker", &[("hosting", &hosting.hosting)]);
        Ok(Answer { reply: Reply::Files { mount: started.mount }, descriptor: Some(started.socket) })
    }

    fn stop_files(&self, hosting: &str) -> Result<Reply, Refusal> {
        if self.registry().find(hosting).is_none() {
            return Err(Refusal::unknown_hosting());
        }
        self.end_files(hosting).map(|()| Reply::Done)
    }

    fn end_files(&self, hosting: &str) -> Result<(), Refusal> {
        self.files_workers.stop(hosting).map_err(|error| Refusal::internal(&error))
    }

    fn compile_adapter(&self, adapter: &str) -> Result<Reply, Refusal> {
        self.adapters()?.compile(adapter).map(|()| Reply::Done).map_err(|error| refused(&error))
    }

    fn open_runner(&self, adapter: &str) -> Result<Answer, Refusal> {
        let socket = self.adapters()?.start(adapter).map_err(|error| refused(&error))?;
        log::info("started a runner", &[("adapter", adapter)]);
        Ok(Answer { reply: Reply::Runner, descriptor: Some(socket) })
    }

    fn stop_runner(&self, adapter: &str) -> Result<Reply, Refusal> {
        self.adapters()?.stop(adapter).map(|()| Reply::Done).map_err(|error| Refusal::internal(&error))
    }

    fn run_command(&self, call: &CommandCall, connection: &FrameSocket) -> Result<Answer, Refusal> {
        let commands = self.commands.as_ref().ok_or_else(no_adapters)?;
        let hosting = self.registry().find(&call.hosting).cloned().ok_or_else(Refusal::unknown_hosting)?;
        let accounts = Accounts::read().map_err(|error| Refusal::internal(&error))?;
        admission::readmit(&hosting, &self.config, &accounts)?;
        let ended = commands.run(call, &hosting, connection).map_err(|error| not_run(&error))?;
        let reply = Reply::CommandEnded { end: ended.end, stdout_bytes: ended.stdout_bytes };
        Ok(Answer { reply, descriptor: ended.written })
    }

    fn config_file(
        &self,
        call: &ConfigFileCall,
        descriptors: Vec<OwnedFd>,
        connection: &FrameSocket,
    ) -> Result<Answer, Refusal> {
        let content = match call.wish {
            ConfigFileWish::Write { .. } => Some(one(descriptors)?),
            ConfigFileWish::List | ConfigFileWish::Read { .. } | ConfigFileWish::Remove { .. } => {
                none(descriptors)?;
                None
            }
        };
        let config_files = self.config_files.as_ref().ok_or_else(no_adapters)?;
        if self.registry().find(&call.hosting).is_none() {
            return Err(Refusal::unknown_hosting());
        }
        let (came, descriptor) = config_files.carry_out(call, content, connection).map_err(|error| not_done(&error))?;
        Ok(Answer { reply: Reply::ConfigFile(came), descriptor })
    }

    fn adapters(&self) -> Result<&Adapters, Refusal> {
        self.adapters.as_ref().ok_or_else(no_adapters)
    }

    fn describe_confinement(&self) -> Result<Reply, Refusal> {
        ask_confinement(&self.config.php_worker).map(Reply::Confinement).map_err(|error| Refusal::internal(&error))
    }

    fn record_audit_head(&self, head: RecordedHead) -> Result<Reply, Refusal> {
        match self.audit_heads().record(head.clone()) {
            Ok(()) => {}
            Err(error @ AuditHeadsError::NotNewer { .. }) => return Err(Refusal::invalid("seq", error.to_string())),
            Err(error @ AuditHeadsError::Hash) => return Err(Refusal::invalid("hash", error.to_string())),
            Err(error) => return Err(Refusal::internal(&error)),
        }
        if let Err(error) = Journal::at(self.config.journal.clone()).note(&head) {
            // The file has it, and the file is what is compared with.
            log::warn("the journal did not take an audit head", &[("error", &error.to_string())]);
        }
        Ok(Reply::Done)
    }

    fn read_audit_heads(&self, from: u64) -> Result<Reply, Refusal> {
        let (items, next) = self.audit_heads().page(from).map_err(|error| Refusal::internal(&error))?;
        Ok(Reply::AuditHeads { items, next })
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn audit_heads(&self) -> MutexGuard<'_, AuditHeads> {
        self.audit_heads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(error: &AdapterError) -> Refusal {
    match error {
        AdapterError::Missing => Refusal::not_found("adapter", error.to_string()),
        AdapterError::Component | AdapterError::Compile(_) => Refusal::invalid("adapter", error.to_string()),
        AdapterError::Full(_) => Refusal::busy(error.to_string()),
        AdapterError::Socket(_) | AdapterError::System { .. } => Refusal::internal(error),
    }
}

fn not_run(error: &CommandError) -> Refusal {
    match error {
        CommandError::Adapter => Refusal::not_found("adapter", error.to_string()),
        CommandError::Missing { .. } => Refusal::not_found("command", error.to_string()),
        CommandError::Deadline => Refusal::invalid("deadline_ms", error.to_string()),
        CommandError::File(_) | CommandError::Program(_) | CommandError::Process(ProcessError::Start { .. }) => {
            Refusal::invalid("command", error.to_string())
        }
        CommandError::Arguments(_) => Refusal::invalid("arguments", error.to_string()),
        CommandError::Full(_) => Refusal::busy(error.to_string()),
        CommandError::Process(_) | CommandError::HandOver(_) => Refusal::internal(error),
    }
}

fn not_done(error: &ConfigFileError) -> Refusal {
    match error {
        ConfigFileError::Adapter => Refusal::not_found("adapter", error.to_string()),
        ConfigFileError::Missing { .. } => Refusal::not_found("directory", error.to_string()),
        ConfigFileError::Deadline => Refusal::invalid("deadline_ms", error.to_string()),
        ConfigFileError::File(_)
        | ConfigFileError::NotRoots(_)
        | ConfigFileError::TooMany
        | ConfigFileError::Process(ProcessError::Start { .. }) => Refusal::invalid("directory", error.to_string()),
        ConfigFileError::Name(_) => Refusal::invalid("name", error.to_string()),
        ConfigFileError::Content => Refusal::invalid("content", error.to_string()),
        // What the system says of a file is for the operator, and may be over soon.
        ConfigFileError::Busy | ConfigFileError::System { .. } => Refusal::busy(error.to_string()),
        ConfigFileError::Process(_) | ConfigFileError::Unknown(_) => Refusal::internal(error),
    }
}

fn no_adapters() -> Refusal {
    Refusal::invalid("adapter", "the broker's configuration has no section 'adapters'")
}

/// For verbs that answer without a descriptor.
fn alone(reply: Result<Reply, Refusal>) -> Result<Answer, Refusal> {
    reply.map(Answer::from)
}

fn about() -> Reply {
    Reply::About { version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// For verbs that serve may not use: whoever took it over must not undo what they are there for.
fn of_root(connection: &FrameSocket) -> Result<(), Refusal> {
    match connection.peer_uid() {
        Ok(0) => Ok(()),
        _ => Err(Refusal::invalid("peer", "expected root at the other end")),
    }
}

/// For verbs that take no descriptors.
fn none(descriptors: Vec<OwnedFd>) -> Result<(), Refusal> {
    if descriptors.is_empty() {
        Ok(())
    } else {
        Err(Refusal::invalid("descriptors", "expected none with this request"))
    }
}

/// For verbs that take one.
fn one(descriptors: Vec<OwnedFd>) -> Result<OwnedFd, Refusal> {
    let one = <[OwnedFd; 1]>::try_from(descriptors).map(|[one]| one);
    one.map_err(|_other_count| Refusal::invalid("descriptors", "expected one with this request"))
}

/// The three descriptors of a PHP call; pipes or sockets, or for the request a file in memory.
fn of_php(descriptors: Vec<OwnedFd>) -> Result<PhpDescriptors, Refusal> {
    let wrong = || Refusal::invalid("descriptors", "expected three: the request, the reply and the log, each a pipe");
    let [request, reply, log] = <[OwnedFd; 3]>::try_from(descriptors).map_err(|_other_count| wrong())?;
    // Never a directory: PHP of the site could walk out of it.
    let kind = |fd: &OwnedFd| {
        // A handle on a path is no open pipe, and leads past the directories above it.
        let is_open = !rustix::fs::fcntl_getfl(fd)?.contains(OFlags::PATH);
        let found = rustix::fs::fstat(fd)?;
        if is_open { Ok(FileType::from_raw_mode(found.st_mode)) } else { Err(Errno::BADF) }
    };
    let is_stream = |fd: &OwnedFd| matches!(kind(fd), Ok(FileType::Fifo | FileType::Socket));
    let is_request = is_stream(&request) || matches!(kind(&request), Ok(FileType::RegularFile));
    if is_request && is_stream(&reply) && is_stream(&log) {
        Ok(PhpDescriptors { request, reply, log })
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use latchkey_protocol::RefusalCode;

    use super::*;

    #[test]
    fn only_of_a_file_that_is_what_it_was_serve_is_told_to_come_again() {
        let failed = || ConfigFileError::System { action: "confirm", directory: "/d".into(), source: Errno::IO.into() };
        assert_eq!(not_done(&failed()).code, RefusalCode::Busy);
        assert_eq!(not_done(&ConfigFileError::Unknown(Box::new(failed()))).code, RefusalCode::Internal);
    }
}
