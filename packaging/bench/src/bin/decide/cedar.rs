//! The same node and rules for Cedar.
//!
//! Shares are entities that a person reaches by a tag named after the instance, so that a decision looks at the shares
//! in question only; one policy per share, the other usual model, would have to try them all. A hosting of the model
//! has at most two sites, which is why *any other site of the hosting* can be an attribute.

use std::collections::{HashMap, HashSet};

use anyhow::Context as _;
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression as Value,
};
use latchkey_access::{GrantedBy, HostingState, Instance, PersonId, Share, ShareState};

use crate::model::{Model, NOW, Question};

/// An authorizer with everything it needs.
pub(crate) struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
}

impl Cedar {
    /// Takes over the node.
    pub(crate) fn new(model: &Model) -> anyhow::Result<Self> {
        let policies = policy_text().parse::<PolicySet>().context("parse the policies")?;
        let entities = entities(model)?;
        Ok(Self { authorizer: Authorizer::new(), policies, entities: Entities::from_entities(entities, None)? })
    }

    /// The question in Cedar's form.
    pub(crate) fn request(question: &Question) -> anyhow::Result<Request> {
        let privilege = question.operation.privilege;
        let context = Context::from_pairs([
            ("now".to_owned(), Value::new_long(NOW.as_second())),
            ("privilege".to_owned(), Value::new_string(privilege.id().to_owned())),
            ("concerns_hosting".to_owned(), Value::new_bool(privilege.concerns_hosting())),
        ])?;
        let action = uid("Action", question.operation.name)?;
        Ok(Request::new(person(question.person)?, action, uid("Instance", &question.instance)?, context, None)?)
    }

    /// Whether the policies allow it.
    pub(crate) fn allows(&self, request: &Request) -> bool {
        self.authorizer.is_authorized(request, &self.policies, &self.entities).decision() == Decision::Allow
    }
}

/// The rules A3, A4, A6, A7 and A10.
fn policy_text() -> String {
    let own = holds("principal.getTag(resource.id)", 3);
    let other = holds("principal.getTag(resource.sibling.id)", 3);
    let owner_holds = owner_holds("resource", "principal");
    let owns_hosting = owns_hosting("resource", "principal");
    format!(
        "forbid (principal, action, resource) unless {{ resource.hosting.active }};
         permit (principal, action, resource) when {{ {owner_holds} }};
         permit (principal, action, resource) when {{ context.concerns_hosting && {owns_hosting} }};
         permit (principal, action, resource) when {{ principal.hasTag(resource.id) && {own} }};
         permit (principal, action, resource) when {{
             context.concerns_hosting && resource has sibling && principal.hasTag(resource.sibling.id) && {other}
         }};"
    )
}

/// The share is live and so is everybody above it, and each of them has the privilege.
fn holds(share: &str, longest_chain: usize) -> String {
    let owner_holds = owner_holds(&format!("{share}.instance"), &format!("{share}.owner"));
    let above_holds = match longest_chain {
        1 => "false".to_owned(),
        _ => holds(&format!("{share}.above"), longest_chain - 1),
    };
    format!(
        "({share}.active && {share}.privileges.contains(context.privilege)
          && (!({share} has expires_at) || context.now < {share}.expires_at)
          && (!({share} has owner) || {owner_holds})
          && (!({share} has above) || {above_holds}))"
    )
}

fn owner_holds(instance: &str, owner: &str) -> String {
    let owns_hosting = owns_hosting(instance, owner);
    format!("({instance}.owners.contains({owner}) && (!context.concerns_hosting || {owns_hosting}))")
}

fn owns_hosting(instance: &str, owner: &str) -> String {
    format!(
        "({instance}.hosting.owners.contains({owner}) || ({instance}.owners.contains({owner})
          && (!({instance} has sibling) || {instance}.sibling.owners.contains({owner}))))"
    )
}

fn entities(model: &Model) -> anyhow::Result<Vec<Entity>> {
    let mut all = Vec::new();
    let mut tags: HashMap<PersonId, HashMap<String, Value>> = HashMap::new();
    for share in &model.shares {
        all.push(share_entity(share)?);
        if !share.state.is_final() {
            let value = Value::new_entity_uid(uid("Share", share.id)?);
            tags.entry(share.person).or_default().insert(share.instance.to_string(), value);
        }
    }
    for row in &model.people {
        let tags = tags.remove(&row.id).unwrap_or_default();
        all.push(Entity::new_with_tags(person(row.id)?, [], [], tags)?);
    }
    let mut on_hosting: HashMap<_, Vec<&Instance>> = HashMap::new();
    for instance in &model.instances {
        on_hosting.entry(&instance.hosting).or_default().push(instance);
    }
    for hosting in &model.hostings {
        let active = Value::new_bool(hosting.state == HostingState::Active);
        let attributes =
            HashMap::from([("active".to_owned(), active), ("owners".to_owned(), people(&hosting.owners)?)]);
        all.push(Entity::new(uid("Hosting", &hosting.id)?, attributes, HashSet::new())?);
    }
    for instance in &model.instances {
        let there = on_hosting.get(&instance.hosting).into_iter().flatten();
        let sibling = there.copied().find(|other| other.id != instance.id);
        all.push(instance_entity(instance, sibling)?);
    }
    Ok(all)
}

fn instance_entity(instance: &Instance, sibling: Option<&Instance>) -> anyhow::Result<Entity> {
    let mut attributes = HashMap::from([
        ("id".to_owned(), Value::new_string(instance.id.to_string())),
        ("hosting".to_owned(), Value::new_entity_uid(uid("Hosting", &instance.hosting)?)),
        ("owners".to_owned(), people(&instance.owners)?),
    ]);
    if let Some(sibling) = sibling {
        attributes.insert("sibling".to_owned(), Value::new_entity_uid(uid("Instance", &sibling.id)?));
    }
    Ok(Entity::new(uid("Instance", &instance.id)?, attributes, HashSet::new())?)
}

fn share_entity(share: &Share) -> anyhow::Result<Entity> {
    let privileges = share.terms.privileges.iter().map(|privilege| Value::new_string(privilege.id().to_owned()));
    let mut attributes = HashMap::from([
        ("active".to_owned(), Value::new_bool(share.state == ShareState::Active)),
        ("instance".to_owned(), Value::new_entity_uid(uid("Instance", &share.instance)?)),
        ("privileges".to_owned(), Value::new_set(privileges)),
    ]);
    if let Some(end) = share.terms.expires_at {
        attributes.insert("expires_at".to_owned(), Value::new_long(end.as_second()));
    }
    match share.granted_by {
        GrantedBy::Panel => None,
        GrantedBy::Owner(owner) => attributes.insert("owner".to_owned(), Value::new_entity_uid(person(owner)?)),
        GrantedBy::Share(above) => attributes.insert("above".to_owned(), Value::new_entity_uid(uid("Share", above)?)),
    };
    Ok(Entity::new(uid("Share", share.id)?, attributes, HashSet::new())?)
}

fn people(ids: &[PersonId]) -> anyhow::Result<Value> {
    let ids = ids.iter().map(|id| person(*id).map(Value::new_entity_uid));
    Ok(Value::new_set(ids.collect::<anyhow::Result<Vec<_>>>()?))
}

fn person(id: PersonId) -> anyhow::Result<EntityUid> {
    uid("Person", id)
}

fn uid(kind: &str, id: impl std::fmt::Display) -> anyhow::Result<EntityUid> {
    let kind = kind.parse::<EntityTypeName>().context("an entity type")?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id.to_string())))
}
