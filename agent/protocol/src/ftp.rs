//! What `latchkey-ftpauth` asks of serve for the FTP server, and what serve answers.
//!
//! One connection is one FTP session: it begins with the sign-in and lasts as long as the session. When serve closes its
//! direction the session must end, and [`FtpAsked::Ended`] is the proof that it has.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::SitePath;

/// What `latchkey-ftpauth` says to serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FtpAsked {
    /// It has just started, and every session that was let in before is over. The only frame of its connection; answered
    /// by [`FtpAnswered::Noted`].
    Started,
    /// Somebody wants in. The first frame of its connection; answered by [`FtpAnswered::Welcome`] or
    /// [`FtpAnswered::Refused`].
    SignIn(FtpSignIn),
    /// The session of this connection did something to a file. Not answered.
    Did(FtpDid),
    /// The session of this connection is over: its process is gone.
    Ended,
}

/// What a session did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FtpDid {
    /// What it was.
    pub what: FtpDeed,
    /// To which file, beneath the session's folder. Of one that was renamed the former name, as the client gave it.
    pub path: SitePath,
}

/// What FTP sessions do to files, as far as the FTP server tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FtpDeed {
    /// A file was read, or a part of it.
    Downloaded,
    /// A file was written, or a part of it.
    Uploaded,
    /// A file or a link was removed.
    Removed,
    /// Something got another name.
    Renamed,
}

/// Who wants in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FtpSignIn {
    /// The account's login.
    pub login: String,
    /// Its password.
    pub password: FtpPassword,
    /// The client's address.
    pub peer: String,
}

/// A password on its way to serve.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FtpPassword(pub String);

impl fmt::Debug for FtpPassword {
    /// Says nothing: it must not get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FtpPassword")
    }
}

/// What serve answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FtpAnswered {
    /// It is noted.
    Noted,
    /// They may come in, for as long as the connection is open.
    Welcome {
        /// The hosting's id. Its user, group and home are in the broker's registry, and come from there only.
        hosting: String,
        /// The folder that they see, relative to the home.
        path: SitePath,
        /// How many bytes the FTP server lets them have there, counting on from what the folder's `.ftpquota` says; none:
        /// it does not count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quota_bytes: Option<u64>,
    },
    /// They may not.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_in_the_frame_and_not_in_a_log() {
        let sign_in =
            FtpSignIn { login: "ann.live".into(), password: FtpPassword("s3cret".into()), peer: "::1".into() };
        let asked = FtpAsked::SignIn(sign_in);
        let frame = r#"{"sign_in":{"login":"ann.live","password":"s3cret","peer":"::1"}}"#;
        assert_eq!(serde_json::to_string(&asked).unwrap(), frame);
        assert_eq!(serde_json::from_str::<FtpAsked>(frame).unwrap(), asked);
        assert!(!format!("{asked:?}").contains("s3cret"));
    }

    #[test]
    fn a_welcome_names_no_user_and_no_path_that_climbs() {
        let climbs = r#"{"welcome":{"hosting":"h1","path":"a/../.."}}"#;
        let with_uid = r#"{"welcome":{"hosting":"h1","path":"a","uid":0}}"#;
        for frame in [climbs, with_uid] {
            assert!(serde_json::from_str::<FtpAnswered>(frame).is_err(), "{frame}");
        }
        assert!(serde_json::from_str::<FtpAnswered>(r#"{"welcome":{"hosting":"h1","path":"a"}}"#).is_ok());
    }
}
