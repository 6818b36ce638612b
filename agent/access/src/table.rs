//! The access table: an immutable snapshot of everything that decisions are made from.

use std::hash::Hash;
use std::iter;
use std::sync::Arc;

use foldhash::HashMap;

use crate::{Email, GrantedBy, Hosting, HostingId, Instance, InstanceId, Person, PersonId, Share, ShareId, ShareState};

/// No chain of grants is longer; a longer one grants nothing.
const LONGEST_CHAIN: usize = 64;

/// Rows by something that several of them have in common.
type Index<K, V> = HashMap<K, Arc<[V]>>;

/// Persons, hostings, instances and shares, indexed for decisions. A change makes a new one; rows are shared.
#[derive(Debug, Clone, Default)]
pub struct AccessTable {
    people: HashMap<PersonId, Arc<Person>>,
    by_email: HashMap<Email, PersonId>,
    hostings: HashMap<HostingId, Arc<Hosting>>,
    instances: HashMap<InstanceId, Arc<Instance>>,
    instances_of: Index<HostingId, Arc<Instance>>,
    shares: HashMap<ShareId, Arc<Share>>,
    /// The shares of each person that were not written down as ended, each beside its instance: a decision finds the
    /// one in question without looking into the others.
    shares_of: Index<PersonId, (InstanceId, Arc<Share>)>,
    /// All shares, by instance.
    shares_on: Index<InstanceId, Arc<Share>>,
}

impl AccessTable {
    /// A table with these rows. Faster than putting one row after the other.
    pub fn from_rows(
        people: impl IntoIterator<Item = Person>,
        hostings: impl IntoIterator<Item = Hosting>,
        instances: impl IntoIterator<Item = Instance>,
        shares: impl IntoIterator<Item = Share>,
    ) -> Self {
        let mut table = Self::default();
        people.into_iter().for_each(|person| table.put_person(person));
        hostings.into_iter().for_each(|hosting| table.put_hosting(hosting));
        let (mut on_hosting, mut on, mut of) = (HashMap::default(), HashMap::default(), HashMap::default());
        for instance in instances.into_iter().map(Arc::new) {
            on_hosting.entry(instance.hosting.clone()).or_insert_with(Vec::new).push(Arc::clone(&instance));
            table.instances.insert(instance.id.clone(), instance);
        }
        for share in shares.into_iter().map(Arc::new) {
            on.entry(share.instance.clone()).or_insert_with(Vec::new).push(Arc::clone(&share));
            if !share.state.is_final() {
                let entry = (share.instance.clone(), Arc::clone(&share));
                of.entry(share.person).or_insert_with(Vec::new).push(entry);
            }
            table.shares.insert(share.id, share);
        }
        table.instances_of = on_hosting.into_iter().map(|(id, list)| (id, list.into())).collect();
        table.shares_on = on.into_iter().map(|(id, list)| (id, list.into())).collect();
        table.shares_of = of.into_iter().map(|(id, list)| (id, list.into())).collect();
        table
    }

    /// Adds a person or replaces the one with this id.
    pub fn put_person(&mut self, person: Person) {
        if let Some(before) = self.people.get(&person.id) {
            // Two persons may swap addresses: what another one has by now stays theirs.
            if self.by_email.get(&before.email) == Some(&person.id) {
                self.by_email.remove(&before.email);
            }
        }
        self.by_email.insert(person.email.clone(), person.id);
        self.people.insert(person.id, Arc::new(person));
    }

    /// Adds a hosting or replaces the one with this id.
    pub fn put_hosting(&mut self, hosting: Hosting) {
        self.hostings.insert(hosting.id.clone(), Arc::new(hosting));
    }

    /// Takes a hosting out.
    pub fn remove_hosting(&mut self, id: &HostingId) {
        self.hostings.remove(id);
        self.instances_of.remove(id);
    }

    /// Adds an instance or replaces the one with this id.
    pub fn put_instance(&mut self, instance: Instance) {
        let instance = Arc::new(instance);
        if let Some(before) = self.instances.insert(instance.id.clone(), Arc::clone(&instance)) {
            take_from(&mut self.instances_of, &before.hosting, |one| one.id == instance.id);
        }
        add_to(&mut self.instances_of, &instance.hosting, Arc::clone(&instance));
    }

    /// Takes an instance out; its shares stay as rows that grant nothing.
    pub fn remove_instance(&mut self, id: &InstanceId) {
        if let Some(before) = self.instances.remove(id) {
            take_from(&mut self.instances_of, &before.hosting, |one| one.id == *id);
        }
    }

    /// Adds a share or replaces the one with this id.
    pub fn put_share(&mut self, share: Share) {
        let share = Arc::new(share);
        if let Some(before) = self.shares.insert(share.id, Arc::clone(&share)) {
            take_from(&mut self.shares_on, &before.instance, |one| one.id == share.id);
            take_from(&mut self.shares_of, &before.person, |(_, one)| one.id == share.id);
        }
        add_to(&mut self.shares_on, &share.instance, Arc::clone(&share));
        if !share.state.is_final() {
            add_to(&mut self.shares_of, &share.person, (share.instance.clone(), Arc::clone(&share)));
        }
    }

    /// The person with this id.
    pub fn person(&self, id: PersonId) -> Option<&Arc<Person>> {
        self.people.get(&id)
    }

    /// The person with this address.
    pub fn person_by_email(&self, email: &Email) -> Option<&Arc<Person>> {
        self.by_email.get(email).and_then(|id| self.people.get(id))
    }

    /// All persons, in no order.
    pub fn people(&self) -> impl Iterator<Item = &Arc<Person>> {
        self.people.values()
    }

    /// The hosting with this id.
    pub fn hosting(&self, id: &HostingId) -> Option<&Arc<Hosting>> {
        self.hostings.get(id)
    }

    /// All hostings, in no order.
    pub fn hostings(&self) -> impl Iterator<Item = &Arc<Hosting>> {
        self.hostings.values()
    }

    /// The instance with this id.
    pub fn instance(&self, id: &InstanceId) -> Option<&Arc<Instance>> {
        self.instances.get(id)
    }

    /// All instances, in no order.
    pub fn instances(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.instances.values()
    }

    /// The instances of a hosting.
    pub fn instances_of(&self, hosting: &HostingId) -> impl Iterator<Item = &Arc<Instance>> {
        self.instances_of.get(hosting).into_iter().flat_map(|instances| instances.iter())
    }

    /// The stagings of an instance.
    pub fn stagings_of(&self, live: &InstanceId) -> impl Iterator<Item = &Arc<Instance>> {
        let live = live.clone();
        self.instances.values().filter(move |instance| instance.staging_of.as_ref() == Some(&live))
    }

    /// The share with this id.
    pub fn share(&self, id: ShareId) -> Option<&Arc<Share>> {
        self.shares.get(&id)
    }

    /// All shares, ended ones included, in no order.
    pub fn shares(&self) -> impl Iterator<Item = &Arc<Share>> {
        self.shares.values()
    }

    /// The shares of a person that were not written down as ended.
    pub fn shares_of(&self, person: PersonId) -> impl Iterator<Item = &Arc<Share>> {
        self.shares_of.get(&person).into_iter().flat_map(|shares| shares.iter().map(|(_, share)| share))
    }

    /// All shares on an instance, ended ones included.
    pub fn shares_on(&self, instance: &InstanceId) -> impl Iterator<Item = &Arc<Share>> {
        self.shares_on.get(instance).into_iter().flat_map(|shares| shares.iter())
    }

    /// The share of a person on an instance that was not written down as ended; there is at most one.
    pub fn share_of_on(&self, person: PersonId, instance: &InstanceId) -> Option<&Arc<Share>> {
        let shares = self.shares_of.get(&person)?;
        shares.iter().find(|(on, _)| on == instance).map(|(_, share)| share)
    }

    /// On whose authority a share rests: first whoever granted it, then who granted theirs, up to the top. Ends early
    /// where a share of the chain is not there, or the chain is too long to be meant.
    pub(crate) fn authorities(&self, share: &Share) -> impl Iterator<Item = GrantedBy> {
        let above = |by: &GrantedBy| match by {
            GrantedBy::Share(id) => self.share(*id).map(|share| share.granted_by),
            GrantedBy::Panel | GrantedBy::Owner(_) => None,
        };
        iter::successors(Some(share.granted_by), above).take(LONGEST_CHAIN)
    }

    /// The shares that rest directly on this one and were not written down as ended.
    pub fn granted_through(&self, share: &Share) -> impl Iterator<Item = &Arc<Share>> {
        let by = GrantedBy::Share(share.id);
        self.shares_on(&share.instance).filter(move |other| other.granted_by == by && !other.state.is_final())
    }

    /// The shares on stagings that are linked to this one and were not written down as ended.
    pub fn linked_to(&self, share: &Share) -> impl Iterator<Item = &Arc<Share>> {
        let (person, main) = (share.person, Some(share.id));
        self.shares_of(person).filter(move |other| other.linked_to == main && other.state != ShareState::Revoked)
    }
}

fn add_to<K: Clone + Eq + Hash, V: Clone>(index: &mut Index<K, V>, key: &K, value: V) {
    let list = index.get(key).map_or(&[][..], |list| list);
    let longer: Arc<[V]> = list.iter().cloned().chain([value]).collect();
    index.insert(key.clone(), longer);
}

fn take_from<K: Clone + Eq + Hash, V: Clone>(index: &mut Index<K, V>, key: &K, out: impl Fn(&V) -> bool) {
    if let Some(list) = index.get_mut(key) {
        *list = list.iter().filter(|value| !out(value)).cloned().collect();
    }
}
