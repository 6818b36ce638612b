//! Opening logs: by the broker where they lie on the node, by the hosting's files worker where they lie in its home.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use latchkey_access::HostingId;
use latchkey_files::client::FilesError;
use latchkey_protocol::{Creation, FileAccessMode, FileFault, Links, OpenHow, RefusalCode};
use rustix::fs::FileType;

use super::location::Place;
use crate::broker::BrokerError;
use crate::problem::{Code, Problem};
use crate::serve::Serve;

const READING: OpenHow = OpenHow { access: FileAccessMode::Read, append: false, creation: Creation::Existing, mode: 0 };

/// Opens a log for reading; `None` where there is none that may be opened.
pub(crate) async fn open(serve: &Arc<Serve>, hosting: &HostingId, place: &Place) -> Result<Option<File>, Problem> {
    match place {
        Place::Node(path) => {
            let (broker, hosting, path) = (serve.broker.clone(), hosting.to_string(), path.clone());
            match serve.blocking(move || broker.open_log(hosting, path)).await? {
                Ok(log) => Ok(log.map(File::from)),
                // The broker's log says which and why; whoever asks here cannot change it.
                Err(BrokerError::Refused { code: RefusalCode::Invalid, .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
        Place::Home(root, path) => {
            let tree = serve.files.tree(hosting, root.clone()).await?;
            let opened = async {
                // A link could make another file of the home pass for the log.
                let found = tree.stat(path, Links::Meant).await?;
                if FileType::from_raw_mode(found.mode).is_file() {
                    tree.open(path, READING).await.map(Some)
                } else {
                    Ok(None)
                }
            };
            match opened.await {
                Ok(log) => Ok(log.map(|log| File::from(OwnedFd::from(log)))),
                Err(FilesError::Fault(
                    FileFault::NotFound
                    | FileFault::Denied
                    | FileFault::NotADirectory
                    | FileFault::NotRegular
                    | FileFault::Loop,
                )) => Ok(None),
                Err(error) => {
                    tracing::warn!(%error, %hosting, "a log in a home cannot be opened");
                    Err(Problem::new(Code::Unavailable, "the files of this hosting cannot be reached").retry_after(2))
                }
            }
        }
    }
}
