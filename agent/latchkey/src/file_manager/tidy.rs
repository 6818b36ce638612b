//! Removing what has been kept in homes for long enough: the trash, uploads that nobody finished, and what a crash left.
//!
//! The state knows which homes there is something in, and nothing more: how old it is says what is there.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use latchkey_access::HostingId;
use latchkey_files::client::FilesError;
use latchkey_files::tree::Directory;
use latchkey_protocol::{FileEntry, FileFault};

use super::hidden::{self, Kept};
use super::{Home, fresh, problem, trash};
use crate::clock::later;
use crate::problem::Problem;
use crate::serve::Serve;
use crate::store::kept_files;

/// How long an upload that nobody goes on with is kept, and what nobody gave its name.
const LEFT_KEPT_S: i64 = 24 * 3600;

/// So many entries of a folder are looked at at a time.
const MOST_AT_A_LOOK: usize = 10_000;

/// How often the state is asked where there is something.
const PAUSE: Duration = Duration::from_secs(60);

/// How long after something was kept in a home it is looked at, and again.
const NEXT_LOOK: Duration = Duration::from_secs(3600);

/// Removes what has been kept for long enough, for ever.
pub(crate) async fn tidy(serve: Arc<Serve>) {
    loop {
        tidy_once(&serve).await;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks at the homes that it is time for.
async fn tidy_once(serve: &Arc<Serve>) {
    let now = serve.state.clock.now();
    let due = match serve.read(move |connection| kept_files::due(connection, now)).await {
        Ok(due) => due,
        Err(error) => return tracing::warn!(%error, "what is kept in homes cannot be looked up"),
    };
    for hosting in due {
        let is_empty = match tidy_home(serve, &hosting, now).await {
            Ok(is_empty) => is_empty,
            Err(problem) => {
                tracing::warn!(%hosting, detail = %problem.detail, "what is kept in a home is looked at later on");
                false
            }
        };
        let written = serve.write(move |connection| match is_empty {
            true => kept_files::forget(connection, &hosting),
            false => kept_files::look_at(connection, &hosting, later(now, NEXT_LOOK)),
        });
        if let Err(error) = written.await {
            tracing::warn!(%error, "it cannot be written down what is kept in a home");
        }
    }
}

/// Notes that there will be something in a home. To be called before it is there.
pub(super) async fn note(serve: &Arc<Serve>, hosting: &HostingId) -> Result<(), Problem> {
    let (hosting, at) = (hosting.clone(), later(serve.state.clock.now(), NEXT_LOOK));
    Ok(serve.write(move |connection| kept_files::note(connection, &hosting, at)).await?)
}

/// Whether nothing is left there.
async fn tidy_home(serve: &Arc<Serve>, hosting: &HostingId, now: Timestamp) -> Result<bool, Problem> {
    let Some(hosting) = serve.state.table().hosting(hosting).cloned() else { return Ok(true) };
    let home = Home::open(serve, hosting).await?;
    let mut is_empty = true;
    for kept in Kept::ALL {
        let folder = kept.folder()?;
        let entries = match home.tree.open_directory(&folder).await {
            Ok(directory) => some(directory).await?,
            Err(FilesError::Fault(FileFault::NotFound)) => continue,
            Err(error) => return Err(problem(error)),
        };
        // The others come at the next look.
        is_empty &= entries.len() < MOST_AT_A_LOOK;
        for entry in entries {
            match kept_until(serve, kept, &entry) {
                Some(until) if until <= now.as_second() => {
                    trash::remove(&home, &hidden::child(&folder, &entry.name)?).await?;
                }
                Some(_) => is_empty = false,
                None => {}
            }
        }
    }
    Ok(is_empty)
}

/// What is in a folder, which the hosting's user may have filled.
async fn some(mut directory: Directory) -> Result<Vec<FileEntry>, Problem> {
    let mut all = Vec::new();
    while all.len() < MOST_AT_A_LOOK {
        let more = directory.next().await.map_err(problem)?;
        if more.is_empty() {
            break;
        }
        all.extend(more);
    }
    Ok(all)
}

/// Until when something is kept; none for what is not ours.
fn kept_until(serve: &Serve, kept: Kept, entry: &FileEntry) -> Option<i64> {
    match kept {
        Kept::Trash => trash::deleted_at(&entry.name)?.checked_add(serve.config.files.trash_s()),
        // Nobody makes it any more.
        Kept::New if !entry.name.starts_with(fresh::of_this_run(serve).as_bytes()) => Some(i64::MIN),
        Kept::Uploads | Kept::New => entry.attributes.modified.checked_add(LEFT_KEPT_S),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd as _;
    use std::path::Path;
    use std::thread;

    use latchkey_files::worker::in_thread;
    use latchkey_protocol::{Asked, FrameListener, Reply, SitePath};

    use super::*;
    use crate::caller::Caller;
    use crate::clock::Clock;
    use crate::sample::{self, UID};
    use crate::state::State;
    use crate::store::jobs::Job;
    use crate::{jobs, store};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// A node with one hosting, whose files worker is a thread.
    async fn node(dir: &Path) -> (Arc<Serve>, Home) {
        node_with(dir, None).await
    }

    async fn node_with(dir: &Path, trash_days: Option<u32>) -> (Arc<Serve>, Home) {
        let home = dir.join("home");
        fs::create_dir(&home).unwrap();
        let socket = dir.join("broker.sock");
        let listener = FrameListener::bind(&socket).unwrap();
        thread::spawn(move || {
            while let Ok(connection) = listener.accept() {
                let Ok(_) = connection.receive::<Asked>() else { continue };
                let (near, mount) = in_thread(&home).unwrap();
                connection.send(&Reply::Files { mount: mount.0 }, &[near.as_fd()]).unwrap();
            }
        });
        let mut config = sample::config();
        config.broker.socket = socket;
        trash_days.into_iter().for_each(|days| config.files.trash_days = days);
        let (serve, records) = Serve::new(config, State::open(dir, Clock::default()).unwrap().0);
        crate::background::write_records(serve.clone(), records);
        serve.change(Caller::agent(), |change| change.put_hosting(sample::hosting(vec![]), UID)).await.unwrap();
        let hosting = serve.state.table().hosting(&"demo".parse().unwrap()).cloned().unwrap();
        let home = Home::open(&serve, hosting).await.unwrap();
        (serve, home)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn noted(serve: &Arc<Serve>) -> usize {
        kept_files::due(&serve.state.store.reader(), Timestamp::MAX).unwrap().len()
    }

    async fn is_kept_for(trash_days: Option<u32>, days: u32) {
        let dir = tempfile::tempdir().unwrap();
        let (serve, home) = node_with(dir.path(), trash_days).await;
        let trash = dir.path().join("home/.latchkey/trash");
        fs::write(dir.path().join("home/file"), "old").unwrap();
        trash::discard(&serve, &home, &SitePath::parse(b"file").unwrap()).await.unwrap();
        fs::write(trash.join("mine"), "the customer's own").unwrap();
        serve.state.clock.advance(days * DAY - Duration::from_secs(60));
        tidy_once(&serve).await;
        assert_eq!((names(&trash).len(), noted(&serve)), (2, 1));
        // Not before the next look, and then.
        serve.state.clock.advance(Duration::from_secs(120));
        tidy_once(&serve).await;
        assert_eq!(names(&trash).len(), 2);
        serve.state.clock.advance(NEXT_LOOK);
        tidy_once(&serve).await;
        assert_eq!((names(&trash), noted(&serve)), (vec!["mine".to_owned()], 0));
    }

    #[tokio::test]
    async fn what_was_deleted_is_kept_for_thirty_days_and_what_is_not_ours_for_ever() {
        is_kept_for(None, 30).await;
    }

    #[tokio::test]
    async fn what_was_deleted_is_kept_for_as_many_days_as_the_operator_says() {
        is_kept_for(Some(2), 2).await;
    }

    #[tokio::test]
    async fn uploads_that_nobody_goes_on_with_are_kept_for_a_day_and_so_is_what_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (serve, home) = node(dir.path()).await;
        note(&serve, &home.hosting.id).await.unwrap();
        for (kept, name) in [(Kept::Uploads, "left".to_owned()), (Kept::New, fresh::of_this_run(&serve))] {
            let folder = kept.ensure(&home).await.unwrap();
            home.tree.make_directory(&folder.child(name.as_bytes()).unwrap(), 0o700).await.unwrap();
        }
        let left = |folder: &str| names(&dir.path().join("home/.latchkey").join(folder)).len();
        serve.state.clock.advance(DAY - Duration::from_secs(60));
        tidy_once(&serve).await;
        assert_eq!((left("uploads"), left("new"), noted(&serve)), (1, 1, 1));
        serve.state.clock.advance(NEXT_LOOK + Duration::from_secs(120));
        tidy_once(&serve).await;
        assert_eq!((left("uploads"), left("new"), noted(&serve)), (0, 0, 0));
    }

    #[tokio::test]
    async fn what_jobs_left_that_an_agent_before_this_one_began_is_removed_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (serve, home) = node(dir.path()).await;
        note(&serve, &home.hosting.id).await.unwrap();
        let new = Kept::New.ensure(&home).await.unwrap();
        let of_this_run = fresh::of_this_run(&serve);
        for name in [of_this_run.as_str(), "1-before"] {
            home.tree.make_directory(&new.child(name.as_bytes()).unwrap(), 0o700).await.unwrap();
        }
        let left = || names(&dir.path().join("home/.latchkey/new"));
        tidy_once(&serve).await;
        assert_eq!(left().len(), 2, "it is not time for it");
        let job = Job { operation: "file.archive".into(), ..sample::job(serve.state.clock.now()) };
        serve.state.store.write(|rows| store::jobs::save(rows, &job)).unwrap();
        jobs::fail_cut_off(&serve).await;
        tidy_once(&serve).await;
        assert_eq!(left(), [of_this_run]);
    }
}
