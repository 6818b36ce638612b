//! Sends the letters in the queue, by SMTP or into a directory, and tries again what fails.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::{AsyncTransport, Message, Tokio1Executor};
use tokio::task::JoinSet;

use crate::clock::{later, until};
use crate::config::Mail;
use crate::counted::COUNTED;
use crate::problem::chain;
use crate::serve::Serve;
use crate::store::StoreError;
use crate::store::mail_queue::{self, Allowance, Due, QueuedLetter};
use crate::token::random_hex;

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const GIVE_UP_AFTER: u32 = 12;
const PATIENCE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);
/// So many letters are under way at once, each to another address ...
const MOST_UNDER_WAY: usize = 8;
/// ... of which so many may be repeats: what the mail server does not take must not hold up what is new.
const MOST_REPEATS: usize = 4;

/// Why a letter could not be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MailError {
    /// The configuration does not say how to send.
    #[error("the mail settings are at fault: {0}")]
    Settings(String),
    /// The letter cannot be written as a message.
    #[error("the letter cannot be written as a message")]
    Compose(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The mail server did not take it.
    #[error("the mail server did not take the letter")]
    Smtp(#[source] Box<lettre::transport::smtp::Error>),
    /// The mail server did not answer.
    #[error("the mail server did not answer in time")]
    TimedOut,
    /// The directory did not take it.
    #[error("the letter cannot be written to {}", path.display())]
    Directory {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

enum Transport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Directory(PathBuf),
}

/// Takes letters from the queue and sends them.
pub(crate) struct PostOffice {
    from: Mailbox,
    transport: Transport,
    allowance: Allowance,
}

/// Letters under way.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<()>,
    letters: HashMap<tokio::task::Id, (String, Due)>,
}

impl UnderWay {
    /// Which letters may join them, if any.
    fn room_for(&self) -> Option<Due> {
        let repeats = self.letters.values().filter(|(_, due)| *due == Due::Any).count();
        let due = if repeats < MOST_REPEATS { Due::Any } else { Due::Fresh };
        (self.letters.len() < MOST_UNDER_WAY).then_some(due)
    }

    fn recipients(&self) -> Vec<String> {
        self.letters.values().map(|(recipient, _)| recipient.clone()).collect()
    }

    fn start(&mut self, office: Arc<PostOffice>, serve: Arc<Serve>, letter: QueuedLetter) {
        let due = if letter.attempts == 0 { Due::Fresh } else { Due::Any };
        let recipient = letter.recipient.clone();
        let task = self.tasks.spawn(async move { office.send(&serve, letter).await });
        self.letters.insert(task.id(), (recipient, due));
    }

    /// Waits until one is done; for ever if there is none.
    async fn one_is_done(&mut self) {
        let done = match self.tasks.join_next_with_id().await {
            Some(Ok((task, ()))) => task,
            Some(Err(error)) => error.id(),
            None => return std::future::pending().await,
        };
        self.letters.remove(&done);
    }
}

impl PostOffice {
    /// A post office with these settings.
    pub(crate) fn new(settings: &Mail) -> Result<Self, MailError> {
        let wrong = |what: &str| MailError::Settings(what.to_owned());
        let from = settings.from.parse().map_err(|_| wrong("`from` is no address like Name <name@example.org>"))?;
        let transport = match (&settings.smtp, &settings.directory) {
            (Some(url), _) => {
                let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url);
                let builder = builder.map_err(|_| wrong("`smtp` is no URL like smtp://user:password@host:587"))?;
                Transport::Smtp(builder.timeout(Some(PATIENCE)).build())
            }
            (None, Some(directory)) => Transport::Directory(directory.clone()),
            (None, None) => return Err(wrong("neither `smtp` nor `directory`")),
        };
        let allowance = Allowance { letters: settings.per_recipient_per_hour, within: HOUR };
        Ok(Self { from, transport, allowance })
    }

    /// Sends what is due, whenever something is, until the process ends.
    pub(crate) async fn work(self, serve: Arc<Serve>) {
        let (office, mut changes, mut under_way) = (Arc::new(self), serve.state.changes(), UnderWay::default());
        loop {
            let pause = match office.next(&serve, &under_way).await {
                Ok(Some(letter)) => {
                    under_way.start(office.clone(), serve.clone(), letter);
                    continue;
                }
                Ok(None) => office.pause(&serve).await,
                Err(error) => {
                    tracing::error!(error = %chain(&error), "the mail queue cannot be read");
                    Duration::from_secs(5)
                }
            };
            tokio::select! {
                () = under_way.one_is_done() => {}
                _ = tokio::time::timeout(pause, changes.changed()) => {}
            }
        }
    }

    /// The letter to send next. Those whose address has had as many as it gets are held back.
    async fn next(&self, serve: &Arc<Serve>, under_way: &UnderWay) -> Result<Option<QueuedLetter>, StoreError> {
        let Some(due) = under_way.room_for() else { return Ok(None) };
        let (busy, allowance) = (under_way.recipients(), self.allowance);
        loop {
            let (now, busy) = (serve.state.clock.now(), busy.clone());
            let found = serve.read(move |connection| {
                let Some(letter) = mail_queue::next_due(connection, due, &busy, now)? else { return Ok(None) };
                let wait = mail_queue::allowed_at(connection, &letter.recipient, allowance, now)?;
                Ok(Some((letter, wait)))
            });
            match found.await? {
                Some((letter, Some(until))) => {
                    let why = format!("{} letters went to this address within an hour", allowance.letters);
                    tracing::warn!(kind = %letter.kind, "a letter is held back: {why}");
                    serve.write(move |connection| mail_queue::hold_back(connection, letter.id, until, &why)).await?;
                }
                found => return Ok(found.map(|(letter, _)| letter)),
            }
        }
    }

    /// How long until the next letter is due.
    async fn pause(&self, serve: &Arc<Serve>) -> Duration {
        let now = serve.state.clock.now();
        let next = serve.read(mail_queue::next_at).await.ok().flatten();
        // What is due already waits for one under way, whose end wakes us sooner.
        next.map_or(LONGEST_PAUSE, |next| until(next, now)).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }

    async fn send(&self, serve: &Arc<Serve>, letter: QueuedLetter) {
        let id = letter.id;
        let noted = match self.deliver(&letter).await {
            Ok(()) => {
                COUNTED.mails_sent.count();
                let now = serve.state.clock.now();
                serve.write(move |connection| mail_queue::sent(connection, id, now)).await
            }
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(%error, kind = %letter.kind, attempts = letter.attempts + 1, "a letter was not sent");
                if letter.attempts + 1 >= GIVE_UP_AFTER {
                    COUNTED.mails_given_up.count();
                    serve.write(move |connection| mail_queue::failed(connection, id, &error)).await
                } else {
                    COUNTED.mails_postponed.count();
                    let next = later(serve.state.clock.now(), backoff(letter.attempts));
                    serve.write(move |connection| mail_queue::postpone(connection, id, next, &error)).await
                }
            }
        };
        if let Err(error) = noted {
            tracing::error!(error = %chain(&error), "what became of a letter cannot be written down");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn deliver(&self, letter: &QueuedLetter) -> Result<(), MailError> {
        let message = self.compose(letter).map_err(MailError::Compose)?;
        match &self.transport {
            Transport::Smtp(server) => match tokio::time::timeout(PATIENCE, server.send(message)).await {
                Ok(sent) => sent.map(drop).map_err(|error| MailError::Smtp(Box::new(error))),
                Err(_) => Err(MailError::TimedOut),
            },
            Transport::Directory(directory) => write_file(directory, letter, &message.formatted()).await,
        }
    }

    fn compose(&self, letter: &QueuedLetter) -> Result<Message, Box<dyn std::error::Error + Send + Sync>> {
        let body = MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone());
        let to: Mailbox = Mailbox::new(None, letter.recipient.parse()?);
        Ok(Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.subject.clone())
            .message_id(None)
            .date_now()
            .multipart(body)?)
    }
}

fn backoff(attempts: u32) -> Duration {
    Duration::from_secs(5u64.saturating_mul(1 << attempts.min(10))).min(Duration::from_secs(3600))
}

/// Writes the letter under its final name at once, so that whoever watches the directory never reads half of it.
async fn write_file(directory: &Path, letter: &QueuedLetter, bytes: &[u8]) -> Result<(), MailError> {
    let unique = random_hex().map_err(|error| MailError::Compose(Box::new(error)))?;
    let path = directory.join(format!("{:08}-{}.eml", letter.id, letter.kind));
    let half = directory.join(format!(".{unique}"));
    let failed = |source| MailError::Directory { path: path.clone(), source };
    tokio::fs::create_dir_all(directory).await.map_err(failed)?;
    tokio::fs::write(&half, bytes).await.map_err(failed)?;
    tokio::fs::rename(&half, &path).await.map_err(failed)
}
