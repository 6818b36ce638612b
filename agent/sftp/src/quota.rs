//! The quota of an account: what its files may take together, and what they take.
//!
//! What there is beneath the account's root is measured by a walk when it is first asked for; from then on what the
//! account's sessions write is added to it. It is measured anew when room seems to be used up, and now and then, because
//! others write there too. Between two measurements the sum is never less than what the account's own sessions have written.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use latchkey_files::client::FilesError;
use latchkey_files::tree::{OpenFile, Tree};
use latchkey_protocol::FileFault;
use tokio::time::Instant;

use crate::packet::status::Status;

/// A longer measurement is given up, and nothing that takes room is done.
const MEASURE_MAX: Duration = Duration::from_secs(30);

/// A sum that is older, or twenty times as old as measuring takes, is measured anew while the account goes on writing.
const OLD: Duration = Duration::from_secs(10);

/// A refusal that rests on a sum that is older, or four times as old as measuring takes, is not believed. Nor is any if
/// the account's sessions have removed something since.
const FRESH: Duration = Duration::from_secs(1);

/// How often one question measures, when something is removed again and again meanwhile.
const TRIES: usize = 3;

/// What the files of an account may take, for all its sessions together.
///
/// Counted is how long regular files are, not what they take on the disk: a hole counts. Files with several names count
/// once; files that have no name (any more) count as long as a session of the account has them open.
#[derive(Debug)]
pub struct Quota {
    mib: NonZeroU32,
    sum: Mutex<Sum>,
    /// One measures, the others wait for what comes of it.
    measuring: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Sum {
    used: u64,
    measured: Option<Measured>,
    /// How often it was measured, and what came of it at last.
    measurements: u64,
    outcome: Option<Status>,
    /// All room that was ever given.
    given: u64,
    /// Room that was given and may not be written yet.
    unwritten: u64,
    /// Whether there may be less than at the beginning of the last measurement.
    has_freed: bool,
    /// How often something was to get another name.
    moves: u64,
    last_file: u64,
    files: HashMap<u64, Weak<OpenFile>>,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    at: Instant,
    took: Duration,
}

/// A file as long as it is open; without a name it is met by no walk.
#[derive(Debug, Clone, Copy)]
struct Open {
    inode: (u64, u64),
    bytes: u64,
    has_name: bool,
}

/// Room that a file may grow by. Counted as used for good; to be held until it is written.
#[derive(Debug)]
#[must_use]
pub(crate) struct Room {
    quota: Arc<Quota>,
    bytes: u64,
}

/// An open file of the account, as long as it is.
#[derive(Debug)]
pub(crate) struct Counted {
    quota: Arc<Quota>,
    number: u64,
}

/// What a look at the sum says.
enum Looked {
    Given(Room),
    UsedUp,
    Outdated,
}

impl Quota {
    /// A quota of so many MiB, of which nothing is known yet.
    #[must_use]
    pub fn of_mib(mib: NonZeroU32) -> Self {
        Self { mib, sum: Mutex::default(), measuring: tokio::sync::Mutex::default() }
    }

    /// All of it, in bytes.
    #[must_use]
    pub fn limit_bytes(&self) -> u64 {
        u64::from(self.mib.get()) << 20
    }

    /// Room for `bytes` more, or word that there is none.
    pub(crate) async fn room(self: &Arc<Self>, tree: &Tree, bytes: u64) -> Result<Room, Status> {
        for _ in 0..TRIES {
            match self.look(bytes) {
                Looked::Given(room) => return Ok(room),
                Looked::UsedUp => break,
                Looked::Outdated => self.measure(tree).await?,
            }
        }
        Err(Status::QuotaUsedUp { mib: self.mib.get() })
    }

    /// How many bytes are left.
    pub(crate) async fn left(&self, tree: &Tree) -> Result<u64, Status> {
        let is_outdated = {
            let sum = self.sum();
            sum.has_freed || sum.is_older_than(FRESH, 4)
        };
        if is_outdated {
            self.measure(tree).await?;
        }
        Ok(self.limit_bytes().saturating_sub(self.sum().used))
    }

    /// Counts a file of the account for as long as what is returned is held, whatever becomes of its name.
    pub(crate) fn count(self: &Arc<Self>, file: &Arc<OpenFile>) -> Counted {
        let mut sum = self.sum();
        sum.last_file += 1;
        let number = sum.last_file;
        sum.files.insert(number, Arc::downgrade(file));
        Counted { quota: Arc::clone(self), number }
    }

    /// There may be less than before.
    pub(crate) fn has_freed(&self) {
        self.sum().has_freed = true;
    }

    /// Something is about to get another name.
    pub(crate) fn will_move(&self) {
        self.sum().moves += 1;
    }

    fn look(self: &Arc<Self>, bytes: u64) -> Looked {
        let mut sum = self.sum();
        if sum.is_older_than(OLD, 20) {
            return Looked::Outdated;
        }
        match sum.used.checked_add(bytes).filter(|used| *used <= self.limit_bytes()) {
            Some(used) => {
                sum.used = used;
                sum.given = sum.given.saturating_add(bytes);
                sum.unwritten += bytes;
                Looked::Given(Room { quota: Arc::clone(self), bytes })
            }
            None if bytes > self.limit_bytes() => Looked::UsedUp,
            None if sum.has_freed || sum.is_older_than(FRESH, 4) => Looked::Outdated,
            None => Looked::UsedUp,
        }
    }

    /// Measures, or waits for somebody who does.
    async fn measure(&self, tree: &Tree) -> Result<(), Status> {
        let before = self.sum().measurements;
        let _one = self.measuring.lock().await;
        {
            let sum = self.sum();
            if sum.measurements != before {
                return sum.outcome.map_or(Ok(()), Err);
            }
        }
        let measured = self.measure_alone(tree).await;
        let mut sum = self.sum();
        sum.measurements += 1;
        sum.outcome = measured.err();
        measured
    }

    async fn measure_alone(&self, tree: &Tree) -> Result<(), Status> {
        let began = Instant::now();
        let (given, unwritten, moves, open) = {
            let mut sum = self.sum();
            sum.has_freed = false;
            (sum.given, sum.unwritten, sum.moves, sum.open_files())
        };
        let walked = match tokio::time::timeout(MEASURE_MAX, tree.measure()).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(FilesError::Fault(fault))) => return Err(Status::NotMeasured(fault)),
            Ok(Err(FilesError::Gone)) => return Err(Status::Unavailable),
            Err(_elapsed) => return Err(Status::NotMeasured(FileFault::Busy)),
        };
        let mut sum = self.sum();
        let nameless = bytes_without_name(&open, &sum.open_files());
        let given_since = sum.given - given;
        let mut used = walked.saturating_add(nameless).saturating_add(unwritten).saturating_add(given_since);
        if sum.moves != moves {
            // The walk may have missed what was moved.
            used = used.max(sum.used);
            sum.has_freed = true;
        }
        sum.used = used;
        sum.measured = Some(Measured { at: Instant::now(), took: began.elapsed() });
        Ok(())
    }

    fn sum(&self) -> MutexGuard<'_, Sum> {
        self.sum.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sum {
    /// Whether it was measured longer ago than both `age` and so many times what measuring took; or never.
    fn is_older_than(&self, age: Duration, times: u32) -> bool {
        self.measured.is_none_or(|measured| measured.at.elapsed() > age.max(measured.took.saturating_mul(times)))
    }

    /// Quick: the kernel has it at hand.
    fn open_files(&self) -> HashMap<u64, Open> {
        let open = |file: &Weak<OpenFile>| {
            let found = rustix::fs::fstat(&*file.upgrade()?).ok()?;
            let bytes = u64::try_from(found.st_size).unwrap_or_default();
            Some(Open { inode: (found.st_dev, found.st_ino), bytes, has_name: found.st_nlink > 0 })
        };
        self.files.iter().filter_map(|(number, file)| Some((*number, open(file)?))).collect()
    }
}

/// What the files take that have no name before or after a walk. What those that were open before have got since is
/// counted as room that was given.
fn bytes_without_name(before: &HashMap<u64, Open>, after: &HashMap<u64, Open>) -> u64 {
    let has_name_after = |number: &u64| after.get(number).is_none_or(|open| open.has_name);
    let old = before.iter().filter(|(number, open)| !open.has_name || !has_name_after(number)).map(|(_, open)| open);
    let new = after.iter().filter(|(number, open)| !open.has_name && !before.contains_key(number));
    let mut inodes = HashSet::new();
    let each_once = old.chain(new.map(|(_, open)| open)).filter(|open| inodes.insert(open.inode));
    each_once.fold(0, |sum, open| sum.saturating_add(open.bytes))
}

impl Drop for Room {
    fn drop(&mut self) {
        self.quota.sum().unwritten -= self.bytes;
    }
}

impl Drop for Counted {
    /// What has no name is gone with this.
    fn drop(&mut self) {
        let mut sum = self.quota.sum();
        let file = sum.files.remove(&self.number);
        let is_gone =
            |file: Arc<OpenFile>| rustix::fs::fstat(&*file).is_ok_and(|found| found.st_nlink == 0 && found.st_size > 0);
        if file.and_then(|file| file.upgrade()).is_some_and(is_gone) {
            sum.has_freed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use latchkey_files::client::Client;
    use latchkey_files::mount::MountId;
    use latchkey_files::worker::in_this_process;
    use latchkey_protocol::{FrameSocket, SitePath};

    use super::*;

    /// Room for this much was given for what is not there, then it is measured while `meanwhile` happens: what is used.
    async fn used_after(given: u64, meanwhile: impl FnOnce(&Quota)) -> u64 {
        let home = tempfile::tempdir().unwrap();
        let tree = Tree::new(in_this_process(home.path()).unwrap(), SitePath::ROOT);
        let quota = Arc::new(Quota::of_mib(NonZeroU32::MIN));
        drop(quota.room(&tree, given).await.unwrap());
        // The walk is under way when the other one comes to its turn.
        let (measured, ()) = tokio::join!(quota.measure(&tree), async { meanwhile(&quota) });
        measured.unwrap();
        quota.sum().used
    }

    #[tokio::test]
    async fn a_walk_says_less_than_before_unless_something_was_moved_meanwhile() {
        assert_eq!(used_after(1000, |_| ()).await, 0);
        assert_eq!(used_after(1000, Quota::will_move).await, 1000);
    }

    #[tokio::test]
    async fn what_others_write_is_noticed_when_the_sum_is_old() {
        let home = tempfile::tempdir().unwrap();
        let tree = Tree::new(in_this_process(home.path()).unwrap(), SitePath::ROOT);
        let quota = Arc::new(Quota::of_mib(NonZeroU32::MIN));
        drop(quota.room(&tree, 1).await.unwrap());
        std::fs::write(home.path().join("theirs"), vec![0; 1 << 20]).unwrap();
        drop(quota.room(&tree, 1).await.unwrap());
        tokio::time::pause();
        tokio::time::advance(OLD + Duration::from_secs(1)).await;
        tokio::time::resume();
        assert_eq!(quota.room(&tree, 1).await.unwrap_err(), Status::QuotaUsedUp { mib: 1 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_measurement_that_does_not_end_is_given_up_and_gives_no_room() {
        let (near, _silent) = FrameSocket::pair().unwrap();
        let tree = Tree::new(Client::over(near, MountId(0)).unwrap(), SitePath::ROOT);
        let quota = Arc::new(Quota::of_mib(NonZeroU32::MIN));
        let asked = tokio::time::timeout(MEASURE_MAX * 2, quota.room(&tree, 1)).await;
        assert_eq!(asked.unwrap().unwrap_err(), Status::NotMeasured(FileFault::Busy));
    }
}
