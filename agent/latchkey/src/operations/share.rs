//! `share.*`: the operations behind the calls under `/v1/instances/{instance}/shares`.

use std::sync::Arc;

use latchkey_access::rows::{ShareInvite, ShareList, ShareResend, ShareRevoke, ShareUpdate};
use latchkey_access::{InstanceId, Permit, Share, ShareId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Run};
use crate::channels::Ended;
use crate::limit::PageLimit;
use crate::problem::Problem;
use crate::serve::Serve;
use crate::shares::{self, EndInput, EndedShares, InviteInput, SharePatch, ShareView};

/// Which shares to list.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ShareListInput")]
pub(crate) struct ListInput {
    /// Those that have ended, too.
    pub(crate) all: bool,
    /// How many at most.
    pub(crate) limit: PageLimit,
    /// `next` of the page before.
    pub(crate) cursor: Option<String>,
}

/// Shares.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ShareItems {
    /// By id.
    pub(crate) items: Vec<ShareView>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// A share that was changed, and what ended with that.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ChangedShare {
    /// The share as it is now.
    pub(crate) share: ShareView,
    /// What ended.
    pub(crate) ended: Ended,
    /// Other shares of the person that the actor may end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) others: Vec<ShareView>,
}

/// A share of the instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShareInput {
    /// Its id.
    #[schemars(with = "String")]
    share: ShareId,
}

/// A share of the instance, and what shall change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateInput {
    /// Its id.
    #[schemars(with = "String")]
    share: ShareId,
    /// What shall change.
    change: SharePatch,
}

/// A share of the instance, and how it shall end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeInput {
    /// Its id.
    #[schemars(with = "String")]
    share: ShareId,
    /// The person's other shares as well, those that the actor may end.
    #[serde(default)]
    everywhere: bool,
    /// Shares below it that shall rest on the actor instead of ending.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    adopt: Vec<ShareId>,
}

impl Run for ShareList {
    type Input = ListInput;
    type Output = ShareItems;

    async fn run(context: &Context, permit: Permit<Self>, input: ListInput) -> Result<ShareItems, Problem> {
        let limit = input.limit.len();
        let wrong = |_| Problem::invalid("cursor", "expected `next` of the page before");
        let after: Option<ShareId> = input.cursor.map(|text| text.parse()).transpose().map_err(wrong)?;
        let (table, now) = (context.serve.state.table(), context.serve.state.clock.now());
        let on_instance = table.shares_on(permit.instance()).filter(|share| input.all || !share.is_over(now));
        let mut wanted: Vec<Share> = on_instance
            .filter(|share| after.is_none_or(|after| share.id > after))
            .map(|share| Share::clone(share))
            .collect();
        wanted.sort_by_key(|share| share.id);
        let more = wanted.len() > limit;
        wanted.truncate(limit);
        let next = wanted.last().filter(|_| more).map(|share| share.id.to_string());
        Ok(ShareItems { items: context.serve.view_shares(wanted).await?, next })
    }
}

impl Run for ShareInvite {
    type Input = InviteInput;
    type Output = ShareView;
    const RECORDS_ITSELF: bool = true;

    async fn run(context: &Context, permit: Permit<Self>, input: InviteInput) -> Result<ShareView, Problem> {
        let (instance, settings) = (permit.instance().clone(), context.serve.invite_settings());
        let invited = context
            .serve
            .change(context.caller.clone(), move |change| shares::invite(change, &instance, &input, &settings));
        context.serve.view_share(invited.await?.0).await
    }
}

impl Run for ShareUpdate {
    type Input = UpdateInput;
    type Output = ChangedShare;
    const RECORDS_ITSELF: bool = true;

    async fn run(context: &Context, permit: Permit<Self>, input: UpdateInput) -> Result<ChangedShare, Problem> {
        let gateway_url = context.serve.config.gateway.url.clone();
        on_instance(&context.serve, permit.instance(), input.share)?;
        let changed = context.serve.change(context.caller.clone(), move |change| {
            shares::update(change, input.share, &input.change, &gateway_url)
        });
        let (share, ended) = changed.await?;
        Ok(ChangedShare { share: context.serve.view_share(share).await?, ended, others: Vec::new() })
    }
}

impl Run for ShareResend {
    type Input = ShareInput;
    type Output = ShareView;
    const RECORDS_ITSELF: bool = true;

    async fn run(context: &Context, permit: Permit<Self>, input: ShareInput) -> Result<ShareView, Problem> {
        let settings = context.serve.invite_settings();
        on_instance(&context.serve, permit.instance(), input.share)?;
        let sent =
            context.serve.change(context.caller.clone(), move |change| shares::resend(change, input.share, &settings));
        context.serve.view_share(sent.await?.0).await
    }
}

impl Run for ShareRevoke {
    type Input = RevokeInput;
    type Output = ChangedShare;
    const RECORDS_ITSELF: bool = true;

    async fn run(context: &Context, permit: Permit<Self>, input: RevokeInput) -> Result<ChangedShare, Problem> {
        let how = EndInput { everywhere: input.everywhere, adopt: input.adopt };
        on_instance(&context.serve, permit.instance(), input.share)?;
        let revoked =
            context.serve.change(context.caller.clone(), move |change| shares::revoke(change, input.share, &how));
        let (of, ended) = revoked.await?;
        show_ended(&context.serve, of, ended).await
    }
}

/// Shows what ended with a share.
pub(crate) async fn show_ended(serve: &Arc<Serve>, of: EndedShares, ended: Ended) -> Result<ChangedShare, Problem> {
    let table = serve.state.table();
    let others = of.others.iter().filter_map(|id| table.share(*id)).map(|share| Share::clone(share)).collect();
    Ok(ChangedShare { share: serve.view_share(of.share).await?, ended, others: serve.view_shares(others).await? })
}

/// Refuses a share of another instance as if there were none.
fn on_instance(serve: &Arc<Serve>, instance: &InstanceId, share: ShareId) -> Result<(), Problem> {
    let found = serve.state.table().share(share).is_some_and(|found| found.instance == *instance);
    if found { Ok(()) } else { Err(Problem::not_found("share")) }
}
