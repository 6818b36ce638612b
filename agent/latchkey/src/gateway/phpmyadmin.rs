//! The hand-over to phpMyAdmin: says which database one opens, and posts to phpMyAdmin.
//!
//! By itself under the same conditions as the hand-over to WP Admin.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use latchkey_access::rows::PhpmyadminOpen;
use latchkey_access::{Actor, decide};

use super::answer::Answer;
use super::hand_over::comes_from_panel;
use super::pages::PhpmyadminPage;
use super::session::{Here, Maybe};
use crate::problem::Problem;
use crate::store::phpmyadmin_rows;
use crate::token::Token;

pub(super) async fn show(
    State(gateway): Here,
    Path(text): Path<String>,
    Maybe(signed_in): Maybe,
    headers: HeaderMap,
) -> Result<Answer, Answer> {
    let Some(settings) = &gateway.serve.config.phpmyadmin else { return Ok(dead()) };
    let Some(token) = Token::parse(&text) else { return Ok(dead()) };
    let (hash, now) = (token.hash(), gateway.serve.state.clock.now());
    let found = gateway.serve.read(move |rows| phpmyadmin_rows::find_link(rows, &hash, now)).await;
    let Some(link) = found.map_err(Problem::from)? else { return Ok(dead()) };
    let table = gateway.serve.state.table();
    decide::<PhpmyadminOpen>(&table, &link.actor, &link.instance, now).map_err(Problem::from)?;
    let Some(instance) = table.instance(&link.instance) else { return Ok(dead()) };
    let same_person = signed_in.is_some_and(|who| link.actor == Actor::Person(who.person));
    let page = PhpmyadminPage {
        site_label: instance.label.clone(),
        site_url: instance.url.clone(),
        database: link.database.clone(),
        action: format!("{}/latchkey/sign-in", settings.url),
        token: token.text(),
        submits_itself: same_person || comes_from_panel(&gateway, &headers),
    };
    Ok(Answer::page(&page).posting_to(settings.url.clone()))
}

fn dead() -> Answer {
    let text = "This link was used already, or it is too old: links are good once, for a minute. Open phpMyAdmin again \
                from your hosting panel.";
    Answer::problem("This link does not work any more", text).with_status(404)
}
