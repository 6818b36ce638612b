//! Invitations, sign-in links and gateway sessions as rows. Only hashes of tokens are kept.

use jiff::Timestamp;
use latchkey_access::{PersonId, ShareId};
use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, moment, ms, parsed};
use crate::token::TokenHash;

/// An invitation that can be accepted by its link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Invitation {
    pub(crate) expires_at: Timestamp,
    pub(crate) sent_at: Timestamp,
}

/// A browser that is signed in.
#[derive(Debug, Clone)]
pub(crate) struct GatewaySession {
    pub(crate) id: String,
    pub(crate) person: PersonId,
    pub(crate) opened_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) address: String,
}

/// Writes the invitation of a share; a link sent before is dead from now on.
pub(crate) fn save_invitation(
    connection: &Connection,
    share: ShareId,
    token: &TokenHash,
    invitation: Invitation,
) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO invitations (share, token_hash, expires_at_ms, sent_at_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (share) DO UPDATE SET token_hash = ?2, expires_at_ms = ?3, sent_at_ms = ?4",
            params![share.to_string(), token.0.as_slice(), ms(invitation.expires_at), ms(invitation.sent_at)],
        )
        .map(drop)
        .map_err(StoreError::at("write an invitation"))
}

/// The invitation of a share.
pub(crate) fn invitation_of(connection: &Connection, share: ShareId) -> Result<Option<Invitation>, StoreError> {
    connection
        .query_row("SELECT expires_at_ms, sent_at_ms FROM invitations WHERE share = ?1", [share.to_string()], |row| {
            Ok(Invitation { expires_at: moment(row.get(0)?), sent_at: moment(row.get(1)?) })
        })
        .optional()
        .map_err(StoreError::at("read an invitation"))
}

/// The share that a link invites to, if the link is still good.
pub(crate) fn share_of_invitation(
    connection: &Connection,
    token: &TokenHash,
    now: Timestamp,
) -> Result<Option<ShareId>, StoreError> {
    let query = "SELECT share FROM invitations WHERE token_hash = ?1 AND expires_at_ms > ?2";
    id_behind(connection, query, token, now, "share id")
}

/// Removes the invitation of a share: its link is dead from now on.
pub(crate) fn delete_invitation(connection: &Connection, share: ShareId) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM invitations WHERE share = ?1", [share.to_string()])
        .map(drop)
        .map_err(StoreError::at("remove an invitation"))
}

/// Writes a link that signs a person in once, and forgets those that were never used.
pub(crate) fn save_link(
    connection: &Connection,
    token: &TokenHash,
    person: PersonId,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    let day_ms = 24 * 3600 * 1000;
    connection
        .execute("DELETE FROM gateway_links WHERE expires_at_ms < ?1", [ms(expires_at) - day_ms])
        .map_err(StoreError::at("forget old sign-in links"))?;
    connection
        .execute(
            "INSERT INTO gateway_links (token_hash, person, expires_at_ms) VALUES (?1, ?2, ?3)",
            params![token.0.as_slice(), person.to_string(), ms(expires_at)],
        )
        .map(drop)
        .map_err(StoreError::at("write a sign-in link"))
}

/// The person that a link signs in, if it is still good.
pub(crate) fn person_of_link(
    connection: &Connection,
    token: &TokenHash,
    now: Timestamp,
) -> Result<Option<PersonId>, StoreError> {
    let query = "SELECT person FROM gateway_links WHERE token_hash = ?1 AND expires_at_ms > ?2";
    id_behind(connection, query, token, now, "person id")
}

/// Uses a link up: of several at the same time exactly one succeeds.
pub(crate) fn burn_link(
    connection: &Connection,
    token: &TokenHash,
    now: Timestamp,
) -> Result<Option<PersonId>, StoreError> {
    let query = "DELETE FROM gateway_links WHERE token_hash = ?1 AND expires_at_ms > ?2 RETURNING person";
    id_behind(connection, query, token, now, "person id")
}

/// The id that a statement finds for a token that is good now.
fn id_behind<T: std::str::FromStr>(
    connection: &Connection,
    query: &str,
    token: &TokenHash,
    now: Timestamp,
    what: &'static str,
) -> Result<Option<T>, StoreError> {
    let found: Option<String> = connection
        .query_row(query, params![token.0.as_slice(), ms(now)], |row| row.get(0))
        .optional()
        .map_err(StoreError::at("look a link up"))?;
    found.map(|id| parsed(what, &id)).transpose()
}

/// Writes a session, and forgets those that are over.
pub(crate) fn save_session(
    connection: &Connection,
    token: &TokenHash,
    session: &GatewaySession,
) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM gateway_sessions WHERE expires_at_ms < ?1", [ms(session.opened_at)])
        .map_err(StoreError::at("forget old gateway sessions"))?;
    connection
        .execute(
            "INSERT INTO gateway_sessions (token_hash, id, person, opened_at_ms, expires_at_ms, address)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                token.0.as_slice(),
                session.id,
                session.person.to_string(),
                ms(session.opened_at),
                ms(session.expires_at),
                session.address
            ],
        )
        .map(drop)
        .map_err(StoreError::at("write a gateway session"))
}

/// All sessions that are still good, with the hashes of their tokens.
pub(crate) fn load_sessions(
    connection: &Connection,
    now: Timestamp,
) -> Result<Vec<(TokenHash, GatewaySession)>, StoreError> {
    let failed = StoreError::at;
    let mut statement = connection
        .prepare("SELECT token_hash, id, person, opened_at_ms, expires_at_ms, address FROM gateway_sessions WHERE expires_at_ms > ?1")
        .map_err(failed("read the gateway sessions"))?;
    let mut found = statement.query([ms(now)]).map_err(failed("read the gateway sessions"))?;
    let mut sessions = Vec::new();
    while let Some(row) = found.next().map_err(failed("read the gateway sessions"))? {
        let columns: (Vec<u8>, String, String, i64, i64, String) =
            row.try_into().map_err(failed("read the gateway sessions"))?;
        let (hash, id, person, opened_at, expires_at, address) = columns;
        let hash = hash.try_into().map_err(|_| StoreError::Malformed { what: "token hash", text: id.clone() })?;
        let person = parsed("person id", &person)?;
        let (opened_at, expires_at) = (moment(opened_at), moment(expires_at));
        sessions.push((TokenHash(hash), GatewaySession { id, person, opened_at, expires_at, address }));
    }
    Ok(sessions)
}

/// Ends a session.
pub(crate) fn delete_session(connection: &Connection, id: &str) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM gateway_sessions WHERE id = ?1", [id])
        .map(drop)
        .map_err(StoreError::at("end a gateway session"))
}

/// Ends all sessions of a person.
pub(crate) fn delete_sessions_of(connection: &Connection, person: PersonId) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM gateway_sessions WHERE person = ?1", [person.to_string()])
        .map(drop)
        .map_err(StoreError::at("end the gateway sessions of a person"))
}

/// Removes the sign-in links of a person.
pub(crate) fn delete_links_of(connection: &Connection, person: PersonId) -> Result<(), StoreError> {
    connection
        .execute("DELETE FROM gateway_links WHERE person = ?1", [person.to_string()])
        .map(drop)
        .map_err(StoreError::at("remove sign-in links"))
}

/// Forgets who is signed in, every link that signs in or hands over, and the replies kept for repeated requests.
pub(crate) fn forget_sign_ins(connection: &Connection) -> Result<(), StoreError> {
    connection
        .execute_batch(
            "DELETE FROM gateway_sessions; DELETE FROM gateway_links; DELETE FROM hand_overs;
             DELETE FROM idempotency_keys;",
        )
        .map_err(StoreError::at("forget sign-ins"))
}

/// Forgets every invitation: the links in the letters are dead from now on.
pub(crate) fn forget_invitations(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("DELETE FROM invitations", []).map(drop).map_err(StoreError::at("forget invitations"))
}

/// Forgets every link that signs in, and who is signed in unless `is_open` knows the session.
pub(crate) fn forget_sign_ins_but(connection: &Connection, is_open: impl Fn(&str) -> bool) -> Result<(), StoreError> {
    let failed = StoreError::at;
    connection.execute("DELETE FROM gateway_links", []).map_err(failed("forget sign-in links"))?;
    let mut statement = connection.prepare("SELECT id FROM gateway_sessions").map_err(failed("read sign-ins"))?;
    let ids = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed("read sign-ins"))?;
    let ids = ids.collect::<Result<Vec<_>, _>>().map_err(failed("read sign-ins"))?;
    ids.iter().filter(|id| !is_open(id)).try_for_each(|id| delete_session(connection, id))
}
