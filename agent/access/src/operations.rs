//! The table of operations: one row each. Routes, rights, audit, documentation, the CLI and the tests are loops over it.
//!
//! Only what is built is a row. To add an operation: a row here, and the file that runs it in the agent
//! (`agent/latchkey/src/operations/<noun>.rs`).

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::Privilege;

/// Calls a macro with every row: `Type "noun.verb" Privilege Effect Runs "summary";`.
#[macro_export]
macro_rules! operation_rows {
    ($with:ident) => {
        $with! {
            ActivityList "activity.list" ViewLogs Read Now "List what was done on the instance through the agent";
            LogList "log.list" ViewLogs Read Now "List the logs of the instance";
            LogRead "log.read" ViewLogs Read Now "Read a log backwards from its end, without what may be secrets";
            LogFollow "log.follow" ViewLogs Read Stream "Follow a log as it grows, without what may be secrets";
            ShareList "share.list" ManageSharedAccess Read Now "List the people with access to the instance";
            ShareInvite "share.invite" ManageSharedAccess Change Now "Invite a person to the instance";
            ShareUpdate "share.update" ManageSharedAccess Change Now "Change, suspend or reinstate a share";
            ShareResend "share.resend" ManageSharedAccess Change Now "Send an invitation again, with a new link";
            ShareRevoke "share.revoke" ManageSharedAccess Destroy Now "End a share and everything it opened";
            SsoUsers "sso.users" WpAdminSso Read Now "List the WordPress users that may be logged in as";
            SsoOpen "sso.open" WpAdminSso Change Now "Make a link that opens WP Admin, once";
            SiteNameShow "site_name.show" UpdateSiteName Read Now "Show the site's name";
            SiteNameSet "site_name.set" UpdateSiteName Change Now "Change the site's name";
            MaintenanceShow "maintenance.show" ManageMaintenanceMode Read Now "Show whether visitors see the maintenance page";
            MaintenanceSet "maintenance.set" ManageMaintenanceMode Change Now "Show visitors the maintenance page, or the site again";
            IndexingShow "indexing.show" ManageSearchEngineIndexing Read Now "Show whether search engines may index the site";
            IndexingSet "indexing.set" ManageSearchEngineIndexing Change Now "Let search engines index the site, or ask them not to";
            FtpAccountList "ftp_account.list" ManageFtp Read Now "List the hosting's own FTP accounts";
            FtpAccountCreate "ftp_account.create" ManageFtp Change Now "Make an FTP account on the hosting, with a password";
            FtpAccountUpdate "ftp_account.update" ManageFtp Change Now "Change an FTP account of the hosting, or give it a new password";
            FtpAccountDelete "ftp_account.delete" ManageFtp Destroy Now "Delete an FTP account of the hosting and close its sessions";
            SftpAccountList "sftp_account.list" ManageSftp Read Now "List the hosting's own SFTP accounts";
            SftpAccountCreate "sftp_account.create" ManageSftp Change Now "Make an SFTP account on the hosting, with keys or a password";
            SftpAccountUpdate "sftp_account.update" ManageSftp Change Now "Change an SFTP account of the hosting, or give it a new password";
            SftpAccountDelete "sftp_account.delete" ManageSftp Destroy Now "Delete an SFTP account of the hosting and close its sessions";
            DatabaseList "database.list" ManageMysql Read Now "List the hosting's databases with their sizes";
            DatabaseCreate "database.create" ManageMysql Change Now "Make an empty database";
            DatabaseRename "database.rename" ManageMysql Change Now "Give a database another name, with all that is in it";
            DatabaseDelete "database.delete" ManageMysql Destroy Now "Delete a database with all that is in it";
            DatabaseUserList "database_user.list" ManageMysql Read Now "List the hosting's database users with what they may do";
            DatabaseUserCreate "database_user.create" ManageMysql Change Now "Make a database user; its password is shown once";
            DatabaseUserSetPassword "database_user.set_password" ManageMysql Change Now "Give a database user a new password, which is shown once";
            DatabaseUserDelete "database_user.delete" ManageMysql Destroy Now "Delete a database user and end its connections";
            DatabaseGrantSet "database_grant.set" ManageMysql Change Now "Say what a database user may do with a database";
            FileList "file.list" ManageFileManager Read Now "List a folder of the hosting, in pages and in order";
            FileStat "file.stat" ManageFileManager Read Now "Show what is known of a file of the hosting";
            FileRead "file.read" ManageFileManager Read Now "Read a text file of the hosting";
            FileWrite "file.write" ManageFileManager Change Now "Write a text file of the hosting, unless it has changed since";
            FileMakeDir "file.make_dir" ManageFileManager Change Now "Make a folder on the hosting";
            FileRename "file.rename" ManageFileManager Change Now "Rename or move something on the hosting, also back from the trash";
            FileCopy "file.copy" ManageFileManager Change Now "Copy a file or folder of the hosting";
            FileDelete "file.delete" ManageFileManager Destroy Now "Move something into the hosting's trash, or delete it for good";
            FileSetMode "file.set_mode" ManageFileManager Change Now "Change the permission bits of a file of the hosting";
            FileArchive "file.archive" ManageFileManager Change QUARTER_HOUR "Pack files and folders of the hosting into a zip, tar.gz or tar.zst, as a job";
            FileExtract "file.extract" ManageFileManager Change QUARTER_HOUR "Extract a zip, tar.gz or tar.zst of the hosting into a new folder, as a job";
            FileSearch "file.search" ManageFileManager Read Now "Search a folder of the hosting by names and by what files hold";
            CronList "cron.list" ManageCron Read Now "List what the hosting's crontab runs, and when";
            CronCreate "cron.create" ManageCron Change Now "Have cron run a command at set times";
            CronUpdate "cron.update" ManageCron Change Now "Change a cron entry that was made here, or disable it";
            CronDelete "cron.delete" ManageCron Destroy Now "Delete a cron entry that was made here";
            CronRun "cron.run" ManageCron Change HALF_HOUR "Run a cron entry that was made here at once, as a job with its output";
            PhpmyadminOpen "phpmyadmin.open" PhpmyadminSso Change Now "Make a link that opens phpMyAdmin for one database, once";
        }
    };
}

/// What an operation does to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing.
    Read,
    /// Something that can be changed back.
    Change,
    /// Something that cannot.
    Destroy,
}

/// When the answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Runs {
    /// With the reply.
    Now,
    /// As a job that outlives the request, for at most this long.
    Job {
        /// After this the job is ended.
        deadline: Duration,
    },
    /// As server-sent events that go on until the listener hangs up or access ends.
    Stream,
}

impl Runs {
    /// As a job of at most a quarter of an hour.
    pub const QUARTER_HOUR: Self = Self::Job { deadline: Duration::from_secs(900) };
    /// As a job of at most half an hour.
    pub const HALF_HOUR: Self = Self::Job { deadline: Duration::from_secs(1800) };
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct OperationSpec {
    /// `noun.verb`.
    pub name: &'static str,
    /// What it does, in the imperative.
    pub summary: &'static str,
    /// The privilege that it takes.
    pub privilege: Privilege,
    /// What it does to the node.
    pub effect: Effect,
    /// When the answer comes.
    pub runs: Runs,
}

/// A row as a type, so that a permit for one operation is no permit for another.
pub trait Operation: Send + Sync + 'static {
    /// Its row.
    const SPEC: &'static OperationSpec;
}

macro_rules! table {
    ($($name:ident $text:literal $privilege:ident $effect:ident $runs:ident $summary:literal;)+) => {
        $(
            #[doc = concat!("`", $text, "`: ", $summary, ".")]
            #[derive(Debug)]
            pub enum $name {}

            impl Operation for $name {
                const SPEC: &'static OperationSpec = &OperationSpec {
                    name: $text,
                    summary: $summary,
                    privilege: Privilege::$privilege,
                    effect: Effect::$effect,
                    runs: Runs::$runs,
                };
            }
        )+

        static TABLE: &[&OperationSpec] = &[$($name::SPEC),+];
    };
}

operation_rows!(table);

/// Every operation of this build.
pub fn operations() -> &'static [&'static OperationSpec] {
    TABLE
}

/// The operation with this name.
pub fn operation(name: &str) -> Option<&'static OperationSpec> {
    TABLE.iter().copied().find(|spec| spec.name == name)
}

/// The operations as types.
pub mod rows {
    pub use super::{
        ActivityList, CronCreate, CronDelete, CronList, CronRun, CronUpdate, DatabaseCreate, DatabaseDelete,
        DatabaseGrantSet, DatabaseList, DatabaseRename, DatabaseUserCreate, DatabaseUserDelete, DatabaseUserList,
        DatabaseUserSetPassword, FileArchive, FileCopy, FileDelete, FileExtract, FileList, FileMakeDir, FileRead,
        FileRename, FileSearch, FileSetMode, FileStat, FileWrite, FtpAccountCreate, FtpAccountDelete, FtpAccountList,
        FtpAccountUpdate, IndexingSet, IndexingShow, LogFollow, LogList, LogRead, MaintenanceSet, MaintenanceShow,
        PhpmyadminOpen, SftpAccountCreate, SftpAccountDelete, SftpAccountList, SftpAccountUpdate, ShareInvite,
        ShareList, ShareResend, ShareRevoke, ShareUpdate, SiteNameSet, SiteNameShow, SsoOpen, SsoUsers,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_in_the_catalogue_under_its_privilege() {
        for spec in operations() {
            let entry = spec.privilege.entry();
            assert!(entry.operations.iter().any(|name| name == spec.name), "{} under {}", spec.name, entry.id);
        }
    }
}
