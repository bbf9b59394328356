//! The same decisions written down as plainly as possible, over small worlds, for the tests to compare with.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{
    AccountRef, Expectation, ExpectedLink, Findings, Matcher, Proof, Reading, Standing, TargetRecord,
};
use crate::{
    account::AccountState,
    connector::{CorrelationPolicy, CorrelationRule, Normaliser},
    correlation::CorrelationKey,
    digest::Digest,
    ids::IdentityId,
};

/// Rule 0 is enough by itself, rule 1 only makes a near match.
pub const WEIGHTS: [i32; 2] = [60, 40];
pub const THRESHOLD: i32 = 60;

#[derive(Clone, Debug)]
pub struct Person {
    pub id: u128,
    pub standing: Standing,
    /// Uid, immutable id, expected state.
    pub link: Option<(String, Option<String>, Option<AccountState>)>,
    /// Rule and value; none where an expression failed.
    pub keys: Option<Vec<(u16, u8)>>,
    pub rejected: Vec<(String, Option<String>)>,
    pub in_flight: bool,
}

#[derive(Clone, Debug)]
pub struct Account {
    pub uid: String,
    pub id: Option<String>,
    pub state: AccountState,
    pub digest: u8,
    pub keys: Vec<(u16, u8)>,
    pub protected: bool,
}

/// What was found, as names: comparable whatever the order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub missing: BTreeSet<u128>,
    /// And whether it should have an account.
    pub deleted: BTreeSet<(u128, bool)>,
    /// And whom it resembles.
    pub orphans: BTreeMap<String, Vec<u128>>,
    pub unlinked: BTreeSet<(u128, String)>,
    pub collisions: BTreeSet<(Vec<u128>, Vec<String>)>,
    /// Whether attributes must be compared, and the state seen where it is wrong.
    pub differing: BTreeMap<u128, (bool, Option<&'static str>)>,
    pub renamed: BTreeSet<(u128, String)>,
    pub suppressed: i64,
    pub protected: i64,
    pub unevaluable: i64,
}

pub fn policy() -> CorrelationPolicy {
    let rule = |weight| CorrelationRule {
        expression: "identity.x".to_owned(),
        attribute: "x".to_owned(),
        normaliser: Normaliser::Exact,
        weight,
    };
    CorrelationPolicy { rules: WEIGHTS.map(rule).into(), threshold: THRESHOLD }
}

fn key((rule, value): (u16, u8)) -> CorrelationKey {
    CorrelationKey { rule, key: super::hash_of_uid(&format!("{rule} {value}")) }
}

/// The digest that every link expects.
const EXPECTED: Digest = Digest([0; 16]);

/// What the engine finds.
pub fn engine(people: &[Person], accounts: &[Account], proof: Proof) -> Findings {
    let mut reading = load(people);
    for account in accounts {
        observe(&mut reading, account);
    }
    reading.finish(proof)
}

/// What the engine finds of changes: it is told these accounts, and asks for those of these people; beside them it sees what
/// it must see.
pub fn changes(
    people: &[Person],
    accounts: &[Account],
    told: &BTreeSet<usize>,
    asked: &BTreeSet<usize>,
) -> Findings {
    let World { links, strangers, .. } = World::of(people, accounts);
    let mut reading = load(people);
    for (at, account) in accounts.iter().enumerate() {
        if told.contains(&at) || strangers.contains(&at) {
            observe(&mut reading, account);
        }
    }
    let mut asked: Vec<u128> = asked.iter().filter_map(|at| Some(people.get(*at)?.id)).collect();
    asked.extend(reading.open_candidates().map(|identity| identity.0.as_u128()));
    for (at, person) in people.iter().enumerate().filter(|(_, person)| asked.contains(&person.id)) {
        match (links.get(&at), &person.link) {
            (Some(account), _) => observe(&mut reading, &accounts[*account]),
            (None, Some((uid, id, _))) => drop(reading.observe_gone(account_ref(uid, id.as_ref()))),
            (None, None) => {}
        }
    }
    reading.finish_changes()
}

/// What of the outcome a run may say that sees only changes.
pub fn outcome_of_changes(
    people: &[Person],
    accounts: &[Account],
    told: &BTreeSet<usize>,
    asked: &BTreeSet<usize>,
) -> Outcome {
    let world = World::of(people, accounts);
    let proof = Proof { expected: true, target: true };
    let mut all = outcome(people, accounts, proof);
    let resembled = |at: &usize| world.components.iter().any(|(members, _)| members.contains(at));
    let is_asked = |at: usize| asked.contains(&at) || resembled(&at);
    let ids = |kept: &dyn Fn(usize) -> bool| -> BTreeSet<u128> {
        (0..people.len()).filter(|at| kept(*at)).map(|at| people[at].id).collect()
    };
    let gone = ids(&is_asked);
    let seen = ids(&|at| is_asked(at) || world.links.get(&at).is_some_and(|account| told.contains(account)));
    all.deleted.retain(|(id, _)| gone.contains(id));
    all.differing.retain(|id, _| seen.contains(id));
    all.renamed.retain(|(id, _)| seen.contains(id));
    let is_seen = |at: usize| {
        let owner = world.links.iter().find(|(_, account)| **account == at).map(|(person, _)| *person);
        told.contains(&at) || owner.is_some_and(is_asked)
    };
    let protected = (0..accounts.len()).filter(|at| accounts[*at].protected && is_seen(*at));
    Outcome { protected: i64::try_from(protected.count()).unwrap(), ..all }
}

pub fn load(people: &[Person]) -> Reading {
    let mut matcher = Matcher::new(&policy());
    for person in people {
        let keys = person.keys.as_ref().map(|keys| keys.iter().copied().map(key).collect::<Vec<_>>());
        let rejected =
            person.rejected.iter().map(|(uid, id)| account_ref(uid, id.as_ref())).collect::<Vec<_>>();
        matcher.expect(Expectation {
            identity: IdentityId(Uuid::from_u128(person.id)),
            standing: person.standing,
            link: person.link.as_ref().map(|(uid, id, state)| ExpectedLink {
                account: account_ref(uid, id.as_ref()),
                state: *state,
                digest: Some(EXPECTED),
            }),
            keys: keys.as_deref(),
            rejected: &rejected,
            in_flight: person.in_flight,
        });
    }
    matcher.ready()
}

pub fn observe(reading: &mut Reading, account: &Account) {
    let keys: Vec<CorrelationKey> = account.keys.iter().copied().map(key).collect();
    reading.observe(TargetRecord {
        account: account_ref(&account.uid, account.id.as_ref()),
        state: account.state,
        digest: Some(Digest([account.digest; 16])),
        keys: &keys,
        protected: account.protected,
    });
}

fn account_ref<'a>(uid: &'a str, id: Option<&'a String>) -> AccountRef<'a> {
    AccountRef { external_uid: uid, immutable_id: id.map(String::as_str) }
}

impl From<&Findings> for Outcome {
    fn from(findings: &Findings) -> Self {
        let number = |id: IdentityId| id.0.as_u128();
        let uid = |account: AccountRef<'_>| account.external_uid.to_owned();
        let sorted = |mut items: Vec<_>| {
            items.sort_unstable();
            items
        };
        Self {
            missing: findings.missing().map(number).collect(),
            deleted: findings.deleted().map(|it| (number(it.identity), it.should_have)).collect(),
            orphans: findings
                .orphans()
                .map(|it| {
                    (uid(it.account), sorted(it.near.iter().map(|near| number(near.identity)).collect()))
                })
                .collect(),
            unlinked: findings.unlinked().map(|it| (number(it.near.identity), uid(it.account))).collect(),
            collisions: findings
                .collisions()
                .map(|it| {
                    let mut accounts: Vec<String> = it.accounts.into_iter().map(uid).collect();
                    accounts.sort();
                    (sorted(it.identities.into_iter().map(number).collect()), accounts)
                })
                .collect(),
            differing: findings
                .differing()
                .map(|it| (number(it.identity), (it.attributes, it.state.map(|(_, actual)| actual.name()))))
                .collect(),
            renamed: findings.renamed().map(|it| (number(it.identity), uid(it.account))).collect(),
            suppressed: findings.counts().suppressed,
            protected: findings.counts().protected,
            unevaluable: findings.counts().unevaluable,
        }
    }
}

/// What should be found.
pub fn outcome(people: &[Person], accounts: &[Account], proof: Proof) -> Outcome {
    let World { links, strangers, components } = World::of(people, accounts);
    let both = proof.expected && proof.target;
    let mut outcome = Outcome::default();
    let mut settled = BTreeSet::new();
    for (members, names) in &components {
        let in_flight = members.iter().any(|at| people[*at].in_flight);
        let is_pair = members.len() == 1 && names.len() == 1 && !links.contains_key(&members[0]);
        let concludes = if is_pair { both } else { proof.expected };
        if in_flight || (!is_pair && concludes) {
            settled.extend(members.iter().copied());
        }
        match (in_flight, concludes) {
            (true, _) => {}
            (false, false) => outcome.suppressed += 1,
            (false, true) if is_pair => {
                outcome.unlinked.insert((people[members[0]].id, accounts[names[0]].uid.clone()));
            }
            (false, true) => {
                let mut uids: Vec<String> = names.iter().map(|at| accounts[*at].uid.clone()).collect();
                uids.sort();
                let mut ids: Vec<u128> = members.iter().map(|at| people[*at].id).collect();
                ids.sort_unstable();
                outcome.collisions.insert((ids, uids));
            }
        }
    }
    let in_component = |at: &usize| components.iter().any(|(members, _)| members.contains(at));
    for (at, person) in people.iter().enumerate() {
        let known = person.standing != Standing::Unknown && person.keys.is_some();
        outcome.unevaluable += i64::from(!known && !person.in_flight);
        let account = links.get(&at).map(|account| &accounts[*account]);
        if let (Some(account), Some((uid, id, _))) = (account, &person.link)
            && (*uid != account.uid || (id.is_none() && account.id.is_some()))
        {
            outcome.renamed.insert((person.id, account.uid.clone()));
        }
        let should_have = person.standing == Standing::ShouldHave;
        if account.is_none() && known && !person.in_flight && !in_component(&at) {
            match &person.link {
                Some(_) if both => drop(outcome.deleted.insert((person.id, should_have))),
                None if both && should_have => drop(outcome.missing.insert(person.id)),
                Some(_) => outcome.suppressed += 1,
                None => outcome.suppressed += i64::from(should_have),
            }
        }
        let (Some(account), Some((.., expected))) = (account, &person.link) else { continue };
        let looked_into = !account.protected && !person.in_flight && person.standing != Standing::Unknown;
        if looked_into && !settled.contains(&at) {
            let attributes = should_have && account.digest != 0;
            let state = expected.filter(|expected| *expected != account.state).map(|_| account.state.name());
            if attributes || state.is_some() {
                outcome.differing.insert(person.id, (attributes, state));
            }
        }
    }
    let everybody_is_known = people.iter().all(|person| person.keys.is_some());
    for at in strangers.iter().filter(|at| !components.iter().any(|(_, names)| names.contains(at))) {
        let near = (0..people.len()).filter(|person| score(&people[*person], &accounts[*at]) > 0);
        let mut near: Vec<u128> = near.map(|person| people[person].id).collect();
        near.sort_unstable();
        if both && everybody_is_known {
            outcome.orphans.insert(accounts[*at].uid.clone(), near);
        } else {
            outcome.suppressed += 1;
        }
    }
    outcome.protected = accounts.iter().map(|account| i64::from(account.protected)).sum();
    outcome
}

struct World {
    /// Person to linked account.
    links: BTreeMap<usize, usize>,
    /// Unlinked accounts that are not protected.
    strangers: Vec<usize>,
    /// People and accounts of each component with an edge.
    components: Vec<(Vec<usize>, Vec<usize>)>,
}

impl World {
    fn of(people: &[Person], accounts: &[Account]) -> Self {
        let mut links = BTreeMap::new();
        let mut strangers = Vec::new();
        for (at, account) in accounts.iter().enumerate() {
            match owner(people, account) {
                Some(person) => drop(links.insert(person, at)),
                None if account.protected => {}
                None => strangers.push(at),
            }
        }
        let mut components: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
        for &at in &strangers {
            let edges =
                (0..people.len()).filter(|person| score(&people[*person], &accounts[at]) >= THRESHOLD);
            let mut joined = (edges.collect::<Vec<_>>(), vec![at]);
            if joined.0.is_empty() {
                continue;
            }
            let (touching, apart): (Vec<_>, Vec<_>) = components
                .into_iter()
                .partition(|(members, _)| members.iter().any(|it| joined.0.contains(it)));
            for (members, names) in touching {
                joined.0.extend(members);
                joined.1.extend(names);
            }
            joined.0.sort_unstable();
            joined.0.dedup();
            components = apart;
            components.push(joined);
        }
        Self { links, strangers, components }
    }
}

fn owner(people: &[Person], account: &Account) -> Option<usize> {
    let by = |matches: &dyn Fn(&str, Option<&String>) -> bool| {
        people.iter().position(|it| it.link.as_ref().is_some_and(|(uid, id, _)| matches(uid, id.as_ref())))
    };
    by(&|_, id| id.is_some() && id == account.id.as_ref())
        .or_else(|| by(&|uid, id| uid == account.uid && (id.is_none() || account.id.is_none())))
}

fn score(person: &Person, account: &Account) -> i32 {
    if person
        .rejected
        .iter()
        .any(|(uid, id)| if id.is_some() { *id == account.id } else { *uid == account.uid })
    {
        return 0;
    }
    let keys = person.keys.as_deref().unwrap_or_default();
    let matches = |rule: u16| keys.iter().any(|key| key.0 == rule && account.keys.contains(key));
    (0..).zip(WEIGHTS).filter(|(rule, _)| matches(*rule)).map(|(_, weight)| weight).sum()
}
