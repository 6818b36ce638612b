//! How much of the agent anybody may use at once, and how often: `[limits]`.

use serde::Deserialize;

use crate::net::Bounds;
use crate::room::Places;
use crate::turns::Percents;

/// Bounds that the operator can move. Rates are per minute, a minute's worth at once; 0 is no limit.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    handshakes: usize,
    handshakes_per_address: usize,
    handshake_percent: u32,
    handshake_percent_per_address: u32,
    connections: usize,
    connections_per_address: usize,
    /// Pages and forms of the gateway, of one address without a sign-in.
    pub(crate) gateway_per_address: u32,
    /// Pages and forms of the gateway, of one person who is signed in.
    pub(crate) gateway_per_person: u32,
    /// Changes and operations at the API on behalf of one person.
    pub(crate) api_per_person: u32,
    /// Links that do not work, of one address at the gateway or one system user at the redeemer.
    pub(crate) wrong_tokens: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshakes: 512,
            handshakes_per_address: 128,
            handshake_percent: 100,
            handshake_percent_per_address: 25,
            connections: 2048,
            connections_per_address: 256,
            gateway_per_address: 3000,
            gateway_per_person: 1200,
            api_per_person: 6000,
            wrong_tokens: 30,
        }
    }
}

impl Limits {
    /// The connections of one listener.
    pub(crate) const fn bounds(&self) -> Bounds {
        Bounds {
            handshakes: Places { in_all: self.handshakes, of_one: self.handshakes_per_address },
            handshake_percents: Percents { in_all: self.handshake_percent, of_one: self.handshake_percent_per_address },
            connections: Places { in_all: self.connections, of_one: self.connections_per_address },
        }
    }

    /// Whether there is a place and time for anybody at all.
    pub(super) fn leave_room(&self) -> bool {
        let places = [self.handshakes, self.handshakes_per_address, self.connections, self.connections_per_address];
        let percents = [self.handshake_percent, self.handshake_percent_per_address];
        places.iter().all(|places| *places > 0) && percents.iter().all(|percent| *percent > 0)
    }
}
