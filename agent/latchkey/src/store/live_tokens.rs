//! The tokens that work, of every kind that stands in a link.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::Connection;

use super::{StoreError, ms};
use crate::token::TokenHash;

/// All tokens that could be used now.
pub(crate) fn all(connection: &Connection, now: Timestamp) -> Result<HashSet<TokenHash>, StoreError> {
    let failed = StoreError::at;
    let query = "SELECT token_hash FROM invitations WHERE expires_at_ms > ?1
                 UNION ALL SELECT token_hash FROM gateway_links WHERE expires_at_ms > ?1
                 UNION ALL SELECT token_hash FROM hand_overs WHERE expires_at_ms > ?1 AND used_at_ms IS NULL";
    let mut statement = connection.prepare_cached(query).map_err(failed("read the tokens that work"))?;
    let hashes = statement.query_map([ms(now)], |row| row.get::<_, [u8; 32]>(0));
    let hashes = hashes.map_err(failed("read the tokens that work"))?;
    hashes.map(|hash| hash.map(TokenHash)).collect::<Result<_, _>>().map_err(failed("read the tokens that work"))
}
