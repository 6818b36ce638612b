//! `sftp_account.*` and `ftp_account.*`: accounts on the whole hosting.

use latchkey_access::rows::{
    FtpAccountCreate, FtpAccountDelete, FtpAccountList, FtpAccountUpdate, SftpAccountCreate, SftpAccountDelete,
    SftpAccountList, SftpAccountUpdate,
};
use latchkey_access::{FileProtocol, Permit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Nothing, Run};
use crate::accounts::{
    self, AuthorizedKey, Created, Deleted, HostingAccountView, NewHostingAccount, QuotaMib, Updated, Wanted,
    WantedHostingAccount,
};
use crate::body::present;
use crate::problem::Problem;

/// Accounts.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AccountItems {
    /// By login.
    items: Vec<HostingAccountView>,
}

/// An SFTP account to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSftpAccount {
    /// 1 to 24 characters of a-z, 0-9 and dash; the login is `name.hosting`.
    name: String,
    /// The folder that it sees as its root, relative to the home; the home itself if not given.
    #[serde(default)]
    directory: String,
    /// Whether nothing can be changed with it.
    #[serde(default)]
    read_only: bool,
    /// How many MiB the files beneath the folder may take together, whoever wrote them; no end if not given.
    #[serde(default)]
    quota_mib: Option<QuotaMib>,
    /// Public keys, as lines of an `authorized_keys` file without options; at most 20.
    #[serde(default)]
    keys: Vec<String>,
    /// Whether it gets a password, which is told once.
    #[serde(default)]
    password: bool,
}

/// What shall change of an SFTP account; what is not given stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SftpAccountPatch {
    /// Which account.
    login: String,
    /// Another folder, relative to the home.
    #[serde(default)]
    directory: Option<String>,
    /// Whether nothing can be changed with it.
    #[serde(default)]
    read_only: Option<bool>,
    /// Another quota in MiB, or `null` for none.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<QuotaMib>")]
    quota_mib: Option<Option<QuotaMib>>,
    /// Other public keys in place of those there are.
    #[serde(default)]
    keys: Option<Vec<String>>,
    /// Whether it gets a new password, which is told once.
    #[serde(default)]
    new_password: bool,
}

/// An FTP account to make. It gets a password, which is told once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFtpAccount {
    /// 1 to 24 characters of a-z, 0-9 and dash; the login is `name.hosting`.
    name: String,
    /// The folder that it sees as its root, relative to the home; the home itself if not given.
    #[serde(default)]
    directory: String,
    /// How many MiB the files beneath the folder may take together, whoever wrote them; no end if not given.
    #[serde(default)]
    quota_mib: Option<QuotaMib>,
}

/// What shall change of an FTP account; what is not given stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FtpAccountPatch {
    /// Which account.
    login: String,
    /// Another folder, relative to the home.
    #[serde(default)]
    directory: Option<String>,
    /// Another quota in MiB, or `null` for none.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<QuotaMib>")]
    quota_mib: Option<Option<QuotaMib>>,
    /// Whether it gets a new password, which is told once.
    #[serde(default)]
    new_password: bool,
}

/// Which account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichAccount {
    /// Its login.
    login: String,
}

const SFTP: FileProtocol = FileProtocol::Sftp;
const FTP: FileProtocol = FileProtocol::Ftp;

impl From<bool> for Wanted {
    fn from(wanted: bool) -> Self {
        if wanted { Self::NewPassword } else { Self::NoPassword }
    }
}

impl NewSftpAccount {
    fn parse(self) -> Result<NewHostingAccount, Problem> {
        let keys = AuthorizedKey::parse_all(&self.keys)?;
        let Self { name, directory, read_only, quota_mib: quota, password, .. } = self;
        Ok(NewHostingAccount { name, directory, read_only, quota, keys, password: password.into() })
    }
}

impl SftpAccountPatch {
    fn parse(self) -> Result<WantedHostingAccount, Problem> {
        let keys = self.keys.as_deref().map(AuthorizedKey::parse_all).transpose()?;
        let Self { login, directory, read_only, quota_mib: quota, new_password, .. } = self;
        Ok(WantedHostingAccount { login, directory, read_only, quota, keys, password: new_password.into() })
    }
}

impl NewFtpAccount {
    #[expect(clippy::unnecessary_wraps, reason = "like the other accounts, some of which have more to parse")]
    fn parse(self) -> Result<NewHostingAccount, Problem> {
        let Self { name, directory, quota_mib: quota } = self;
        let password = Wanted::NewPassword;
        Ok(NewHostingAccount { name, directory, read_only: false, quota, keys: Vec::new(), password })
    }
}

impl FtpAccountPatch {
    #[expect(clippy::unnecessary_wraps, reason = "like the other accounts, some of which have more to parse")]
    fn parse(self) -> Result<WantedHostingAccount, Problem> {
        let Self { login, directory, quota_mib: quota, new_password } = self;
        let password = new_password.into();
        Ok(WantedHostingAccount { login, directory, read_only: None, quota, keys: None, password })
    }
}

macro_rules! runs {
    ($protocol:ident $list:ident $create:ident $new:ident $update:ident $patch:ident $delete:ident) => {
        impl Run for $list {
            type Input = Nothing;
            type Output = AccountItems;

            async fn run(context: &Context, permit: Permit<Self>, input: Nothing) -> Result<AccountItems, Problem> {
                let Nothing {} = input;
                Ok(AccountItems { items: accounts::list(&context.serve, &permit, $protocol).await? })
            }
        }

        impl Run for $create {
            type Input = $new;
            type Output = Created;
            const ANSWER_IS_SECRET: bool = true;
            const RECORDS_ITSELF: bool = true;

            async fn run(context: &Context, permit: Permit<Self>, input: $new) -> Result<Created, Problem> {
                let caller = context.caller.clone();
                accounts::create(&context.serve, caller, permit, $protocol, input.parse()?).await
            }
        }

        impl Run for $update {
            type Input = $patch;
            type Output = Updated;
            const ANSWER_IS_SECRET: bool = true;
            const RECORDS_ITSELF: bool = true;

            async fn run(context: &Context, permit: Permit<Self>, input: $patch) -> Result<Updated, Problem> {
                let caller = context.caller.clone();
                accounts::update(&context.serve, caller, permit, $protocol, input.parse()?).await
            }
        }

        impl Run for $delete {
            type Input = WhichAccount;
            type Output = Deleted;
            const RECORDS_ITSELF: bool = true;

            async fn run(context: &Context, permit: Permit<Self>, input: WhichAccount) -> Result<Deleted, Problem> {
                accounts::delete(&context.serve, context.caller.clone(), permit, $protocol, input.login).await
            }
        }
    };
}

runs!(SFTP SftpAccountList SftpAccountCreate NewSftpAccount SftpAccountUpdate SftpAccountPatch SftpAccountDelete);
runs!(FTP FtpAccountList FtpAccountCreate NewFtpAccount FtpAccountUpdate FtpAccountPatch FtpAccountDelete);
