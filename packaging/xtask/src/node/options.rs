//! What a node may be told when it is started.

use std::path::PathBuf;

use super::php::PhpVersion;
use crate::build::Build;

/// How a node is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the agent's programs come to be.
    pub build: Build,
    /// The agent; without it the node is WordPress, PHP, MariaDB and nginx only.
    pub agent: Option<AgentOptions>,
    /// The port of the instance `live`; a free one unless given.
    pub live_port: Option<u16>,
    /// The port of the instance `second`; a free one unless given.
    pub second_port: Option<u16>,
    /// The file that says what runs where, written when everything does.
    pub ready_file: Option<PathBuf>,
    /// Where its directory is made.
    pub storage: Storage,
}

/// What a node's directory lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Memory (a MariaDB start takes a fifth of the time there), the disk where it has no room or forbids execution.
    MemoryFirst,
    /// The disk, for what is to be measured on a file system like a hosting's.
    Disk,
}

/// How the agent is started.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// The port of the panel API; a free one unless given.
    pub panel_port: Option<u16>,
    /// The port of the gateway; a free one unless given.
    pub gateway_port: Option<u16>,
    /// The port of SFTP; a free one unless given.
    pub sftp_port: Option<u16>,
    /// The port of the FTP server; a free one unless given.
    pub ftp_port: Option<u16>,
    /// The versions of PHP that the broker may start: those that hostings of the node are going to have.
    pub php: Vec<PhpVersion>,
    /// Seconds that a WP Admin token can be redeemed.
    pub token_life_s: u64,
    /// Seconds that a WordPress session lasts at most.
    pub session_life_s: u64,
    /// Seconds that an invitation can be accepted.
    pub invitation_life_s: u64,
    /// Seconds between two mails of one invitation.
    pub resend_after_s: u64,
    /// Origins from which the hand-over page submits by itself.
    pub panel_origins: Vec<String>,
    /// More lines at the end of serve's configuration file: whole tables only.
    pub serve_config_more: String,
    /// Variables in serve's environment.
    pub serve_environment: Vec<(String, String)>,
}

impl Options {
    /// What the demo uses: release build, everything on free ports.
    #[must_use]
    pub fn demo() -> Self {
        Self { build: Build::Release, ..Self::tests() }
    }

    /// What tests use: debug build (or what [`crate::build::BUILT`] names), everything on free ports.
    #[must_use]
    pub fn tests() -> Self {
        let agent = Some(AgentOptions::default());
        Self {
            build: Build::for_tests(),
            agent,
            live_port: None,
            second_port: None,
            ready_file: None,
            storage: Storage::MemoryFirst,
        }
    }

    /// The node without the agent.
    #[must_use]
    pub fn without_agent() -> Self {
        Self { agent: None, ..Self::tests() }
    }
}

impl Default for AgentOptions {
    /// The product's own defaults.
    fn default() -> Self {
        Self {
            panel_port: None,
            gateway_port: None,
            sftp_port: None,
            ftp_port: None,
            php: vec![PhpVersion::default()],
            token_life_s: 60,
            session_life_s: 43_200,
            invitation_life_s: 604_800,
            resend_after_s: 300,
            panel_origins: Vec::new(),
            serve_config_more: String::new(),
            serve_environment: Vec::new(),
        }
    }
}
