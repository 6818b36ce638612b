//! WP Admin SSO: whom somebody may become, and the one-time link that makes it so.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use latchkey_access::rows::{SsoOpen, SsoUsers};
use latchkey_access::{InstanceId, LogInAs, Permit, WpUser, WpUserChoice, choose_wp_user};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bridge::{BridgeError, Plugins};
use crate::clock::later;
use crate::limit::Limit;
use crate::problem::{Code, Problem};
use crate::residue::first_use;
use crate::serve::Serve;
use crate::store::hand_overs::{self, HandOver};
use crate::token::{Token, random_hex};

/// A site that is slow to name its users must not keep somebody from a pinned log-in.
const PATIENCE: Duration = Duration::from_secs(10);

/// A WordPress user as the site describes it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WpUserItem {
    /// `wp_users.ID`.
    pub(crate) id: u64,
    /// `wp_users.user_login`.
    pub(crate) login: String,
    /// What the site shows.
    pub(crate) display_name: String,
    /// WordPress roles, such as `editor`.
    pub(crate) roles: Vec<String>,
}

/// What `sso.users` takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UsersInput {
    /// How many at most.
    limit: Limit<200, 1000>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// What `sso.users` answers.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UsersOutput {
    /// By id.
    pub(crate) items: Vec<WpUserItem>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

#[derive(Serialize)]
struct UsersArgs {
    limit: u32,
    after_id: u64,
}

#[derive(Deserialize)]
pub(super) struct UsersReply {
    items: Vec<WpUserItem>,
    #[serde(default)]
    next_after_id: Option<u64>,
}

/// Lists the WordPress users that the actor may log in as: all of them, or the pinned one.
pub(crate) async fn users(
    serve: &Arc<Serve>,
    permit: &Permit<SsoUsers>,
    input: UsersInput,
) -> Result<UsersOutput, Problem> {
    let limit = input.limit.get();
    let wrong_cursor = |_| Problem::invalid("cursor", "expected `next` of the page before");
    let after_id = input.cursor.map_or(Ok(0), |text| text.parse()).map_err(wrong_cursor)?;
    match permit.log_in_as() {
        Some(LogInAs::All(_)) => {
            let site = serve.site(permit.instance())?;
            let reply: UsersReply = serve.bridge.call(&site, "sso.users", &UsersArgs { limit, after_id }).await?;
            Ok(UsersOutput { items: reply.items, next: reply.next_after_id.map(|id| id.to_string()) })
        }
        Some(LogInAs::Pinned(user)) => {
            let found = find(serve, permit.instance(), user.id).await?;
            let items = found.into_iter().filter(|item| item.login == user.login).collect();
            Ok(UsersOutput { items, next: None })
        }
        None => Ok(UsersOutput { items: Vec::new(), next: None }),
    }
}

/// What `sso.open` takes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "SsoOpenInput")]
pub(crate) struct OpenInput {
    /// The id of the WordPress user to become; needed where the share logs in as any of them.
    pub(crate) user: Option<u64>,
}

/// What `sso.open` answers.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SsoOpenOutput")]
pub(crate) struct OpenOutput {
    /// A page of the gateway that hands over to the site. Good once.
    pub(crate) url: String,
    /// Until when.
    #[schemars(with = "String")]
    pub(crate) expires_at: Timestamp,
}

/// Makes a one-time link that opens WP Admin as the right WordPress user.
pub(crate) async fn open(
    serve: &Arc<Serve>,
    permit: &Permit<SsoOpen>,
    input: OpenInput,
) -> Result<OpenOutput, Problem> {
    let user = match choose_wp_user(permit, input.user)? {
        WpUserChoice::Named(id) => {
            let found = find(serve, permit.instance(), id).await?;
            let missing =
                || Problem::invalid("user", format!("expected the id of a WordPress user of this site; {id} is none"));
            let item = found.ok_or_else(missing)?;
            WpUser { id: item.id, login: item.login }
        }
        WpUserChoice::Pinned(user) => {
            check_pinned(serve, permit.instance(), &user).await?;
            user
        }
    };
    if let Some(share) = permit.share() {
        first_use::expect(serve, share, serve.site(permit.instance())?);
    }
    let token = Token::generate()?;
    let hand_over = HandOver {
        mark: random_hex()?,
        instance: permit.instance().clone(),
        share: permit.share(),
        actor: permit.actor().clone(),
        user,
        expires_at: later(serve.state.clock.now(), serve.config.sso.token_life()),
    };
    let (hash, expires_at) = (token.hash(), hand_over.expires_at);
    serve.write(move |connection| hand_overs::save(connection, &hash, &hand_over)).await?;
    Ok(OpenOutput { url: format!("{}/sso/{}", serve.config.gateway.url, token.text()), expires_at })
}

/// Refuses if the site says that the pinned user is gone or renamed. A site that cannot be asked is asked again when
/// the link is redeemed.
async fn check_pinned(serve: &Arc<Serve>, instance: &InstanceId, pinned: &WpUser) -> Result<(), Problem> {
    let mismatch =
        |what: String| Problem { rule: Some(latchkey_access::Rule::A9), ..Problem::new(Code::Conflict, what) };
    match find(serve, instance, pinned.id).await {
        Ok(Some(found)) if found.login == pinned.login => Ok(()),
        Ok(Some(found)) => Err(mismatch(format!(
            "the WordPress user {} is called {} now; set log_in_as again",
            pinned.login, found.login
        ))),
        Ok(None) => Err(mismatch(format!("the WordPress user {} is gone; set log_in_as again", pinned.login))),
        Err(_) => Ok(()),
    }
}

#[derive(Serialize)]
struct FindArgs {
    id: u64,
}

#[derive(Deserialize)]
pub(super) struct FindReply {
    user: Option<WpUserItem>,
}

async fn find(serve: &Arc<Serve>, instance: &InstanceId, id: u64) -> Result<Option<WpUserItem>, Problem> {
    let site = serve.site(instance)?;
    let args = FindArgs { id };
    let asked = serve.bridge.attempt(&site, "wp_user.find", &args, Plugins::Skipped, PATIENCE);
    match asked.await {
        Ok(FindReply { user }) => Ok(user.filter(|user| user.id == id)),
        Err(BridgeError::Site { code, .. }) if code == "not_found" => Ok(None),
        Err(error) => Err(error.into()),
    }
}
