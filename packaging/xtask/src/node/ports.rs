//! Free ports of 127.0.0.1, below the range that the kernel gives to outgoing connections, so that a daemon finds its
//! port free again when it is restarted.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

use anyhow::{Result, bail};

use crate::mutex::lock;
use crate::random;

/// Hands out ports, each once.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    given: Mutex<BTreeSet<u16>>,
}

impl Ports {
    /// The wanted port as it is, or a free one.
    pub(crate) fn take(&self, wanted: Option<u16>) -> Result<u16> {
        let mut given = lock(&self.given);
        if let Some(port) = wanted {
            given.insert(port);
            return Ok(port);
        }
        for _ in 0..1000 {
            let port = random::port(20_000..32_000)?;
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && given.insert(port) {
                return Ok(port);
            }
        }
        bail!("no free port between 20000 and 32000")
    }

    /// An address on this machine with the wanted port, or a free one.
    pub(crate) fn address(&self, wanted: Option<u16>) -> Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, self.take(wanted)?).into())
    }

    /// The first of so many free ones in a row.
    pub(crate) fn take_row(&self, count: u16) -> Result<u16> {
        let mut given = lock(&self.given);
        for _ in 0..1000 {
            let first = random::port(20_000..32_000 - count)?;
            let row = first..first + count;
            let is_free = |port| !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            if row.clone().all(is_free) {
                given.extend(row);
                return Ok(first);
            }
        }
        bail!("no {count} free ports in a row between 20000 and 32000")
    }
}
