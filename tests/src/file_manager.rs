//! Somebody who manages the files of a hosting.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use xtask::node::{Node, SystemUser};

use crate::exchange::{Request, Response};
use crate::shares::{Share, person, share};
use crate::sites::folder;

/// Somebody who may manage the files of a hosting through one of its sites.
pub struct Managed<'n> {
    /// Through which they may.
    pub share: Share<'n>,
    /// The instance that it is of.
    pub instance: &'static str,
    /// Whose files they are.
    pub user: SystemUser,
    /// A folder of the trial's own.
    pub folder: PathBuf,
    /// The same, from the home.
    pub path: String,
}

impl<'n> Managed<'n> {
    /// A manager of a folder that is there.
    #[must_use]
    #[track_caller]
    pub fn new(node: &'n Node, instance: &'static str, hosting: &str) -> Self {
        let folder = folder(node, instance, hosting);
        let terms = json!({ "role": "custom", "privileges": ["hosting.manage_file_manager"] });
        let share = share(node, instance, &person("manager"), &terms);
        let user = node.hosting(hosting).unwrap().user;
        Self { share, instance, user, folder, path: format!("paper/{instance}") }
    }

    /// Runs an operation.
    #[must_use]
    #[track_caller]
    pub fn asks(&self, operation: &str, input: &Value) -> Response {
        self.share.person().operate(self.instance, operation, input)
    }

    /// Runs an operation that must work.
    #[track_caller]
    pub fn does(&self, operation: &str, input: &Value) -> Value {
        self.asks(operation, input).done()
    }

    /// The path of a name in the folder.
    #[must_use]
    pub fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    /// Makes a file of the system user's own there.
    #[track_caller]
    pub fn plant(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.join(name);
        fs::write(&path, content).unwrap();
        self.user.own(&path).unwrap();
    }

    /// The names that a listing answers.
    #[must_use]
    #[track_caller]
    pub fn names(&self, input: &Value) -> Vec<String> {
        let listed = self.does("file.list", input);
        listed["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    }

    /// A request about a file that is not sent yet.
    #[must_use]
    pub fn transfer(&self, method: &str, name: &str) -> Request {
        let path = format!("/v1/instances/{}/files/{}/{name}", self.instance, self.path);
        self.share.person().request(method, &path)
    }
}
