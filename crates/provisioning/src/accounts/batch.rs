//! Expected and live state of many accounts at once: what reconciliation confirms before it reports or acts.
//!
//! A fixed number of statements and one bulk read of the target, for one account or for a thousand.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    Error,
    account::{Account, AccountKey, AccountState},
    comparison,
    error::Result,
    identity::Identity,
    ids::{IdentityId, LaneId, TenantId},
    link::Link,
    mapping::{Evaluation, Expected, ExpectedValue, Program, References},
    value::Value,
};
use xavyo_runtime::auth::Caller;

use super::{
    Accounts, Kind, Ready, expected,
    live::HIDDEN,
    target::{TargetAccount, View},
};
use crate::{
    store::{
        account::in_flight::{self, Queued},
        identity,
        lane::alias::{self, Alias},
        link::{self, AccountName},
    },
    targets,
};

/// The pairs to read, 1 to 1,000.
#[derive(Clone, Debug)]
pub struct BatchGet {
    pub kind: Kind,
    pub selectors: Vec<Selector>,
}

/// Names an identity, an account or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    pub identity_id: Option<IdentityId>,
    pub external_uid: Option<String>,
    pub immutable_id: Option<String>,
}

/// What is expected of an identity, and what its account is.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    pub identity_id: Option<IdentityId>,
    /// None where there is no identity.
    pub standing: Option<Evaluation>,
    pub state: Option<AccountState>,
    /// Compared attributes only.
    pub expected: Expected,
    pub live: Option<TargetAccount>,
    pub link: Option<Link>,
    pub queued: Queued,
}

/// A selector with all that is stored about it.
struct Known {
    identity_id: Option<IdentityId>,
    /// None where it is deleted or was never there: it calls for nothing.
    identity: Option<Identity>,
    references: References,
    link: Option<Link>,
    queued: Queued,
    /// The account to read.
    key: Option<AccountKey>,
}

impl Accounts {
    /// Pairs stand in the order of their selectors. Sensitive values are for the other service only.
    pub async fn batch_get(&self, caller: &Caller, command: BatchGet) -> Result<Vec<Pair>> {
        let ready = self.ready(caller, &command.kind).await?;
        self.pairs(caller, &ready, &command.kind, &command.selectors, !caller.is_service()).await
    }

    /// One pair with its sensitive values, and the rules that it was read by.
    pub(super) async fn pair(
        &self,
        caller: &Caller,
        kind: &Kind,
        selector: &Selector,
    ) -> Result<(Pair, Ready)> {
        let ready = self.ready(caller, kind).await?;
        let pairs = self.pairs(caller, &ready, kind, std::slice::from_ref(selector), false).await?;
        let pair = pairs.into_iter().next().ok_or_else(|| Error::not_found("account"))?;
        Ok((pair, ready))
    }

    async fn pairs(
        &self,
        caller: &Caller,
        ready: &Ready,
        kind: &Kind,
        selectors: &[Selector],
        hides: bool,
    ) -> Result<Vec<Pair>> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let known = ready.known(&mut tx, caller.tenant, kind, selectors).await?;
        drop(tx);
        let live = ready.read_all(kind, &known).await?;
        let now = self.clock.now();
        let view = View {
            open: Arc::clone(&ready.open),
            program: Program::clone(&ready.program),
            include_attributes: true,
        };
        let work = known.into_iter().zip(live).collect();
        let programs = self.targets.programs();
        programs.map(work, move |(known, live)| view.pair(known, live, now, hides)).await
    }
}

impl Ready {
    /// What the database knows of each selector.
    async fn known(
        &self,
        tx: &mut PgConnection,
        tenant: TenantId,
        kind: &Kind,
        selectors: &[Selector],
    ) -> Result<Vec<Known>> {
        let links = self.links(tx, tenant, kind, selectors).await?;
        let people: Vec<Option<IdentityId>> = selectors
            .iter()
            .zip(&links)
            .map(|(selector, link)| selector.identity_id.or(link.as_ref().map(|link| link.identity_id)))
            .collect();
        let ids: BTreeSet<IdentityId> = people.iter().flatten().copied().collect();
        let ids = Vec::from_iter(ids);
        let identities = identity::find_all(tx, tenant, &ids).await?;
        let identities: HashMap<_, _> =
            identities.into_iter().map(|identity| (identity.id, identity)).collect();
        let references = self.references(tx, tenant, &ids).await?;
        let queued = self.queued(tx, tenant, kind, selectors, &links).await?;
        let known = selectors.iter().zip(links).zip(people).zip(queued);
        Ok(known
            .map(|(((selector, link), identity_id), queued)| Known {
                identity: identity_id.and_then(|id| identities.get(&id).cloned()),
                references: identity_id.and_then(|id| references.get(&id).cloned()).unwrap_or_default(),
                key: selector.account().or(link.as_ref().map(|link| link.account.clone())),
                identity_id,
                link,
                queued,
            })
            .collect())
    }

    /// The link of each selector: that of its account, else that of its identity.
    async fn links(
        &self,
        tx: &mut PgConnection,
        tenant: TenantId,
        kind: &Kind,
        selectors: &[Selector],
    ) -> Result<Vec<Option<Link>>> {
        let ids: Vec<IdentityId> = selectors.iter().filter_map(|selector| selector.identity_id).collect();
        let names: Vec<AccountName> =
            selectors.iter().filter_map(|selector| Some(self.name_of(&selector.account()?))).collect();
        let connector = kind.connector_id;
        let of_people = link::of_identities(tx, tenant, &[connector], &ids).await?;
        let of_accounts = link::of_accounts(tx, tenant, connector, &kind.object_class, &names).await?;
        let is_asked_for = |link: &Link| kind.is_of(link);
        let by_identity: HashMap<IdentityId, Link> =
            of_people.into_iter().filter(is_asked_for).map(|link| (link.identity_id, link)).collect();
        let mut by_immutable_id = HashMap::new();
        let mut by_uid = HashMap::new();
        for link in of_accounts.into_iter().filter(is_asked_for) {
            let AccountName { uid_key, immutable_id } = self.name_of(&link.account);
            by_immutable_id.extend(immutable_id.map(|id| (id, link.clone())));
            by_uid.insert(uid_key, link);
        }
        let of_account = |account: AccountKey| {
            let AccountName { uid_key, immutable_id } = self.name_of(&account);
            let by_id = immutable_id.as_ref().and_then(|id| by_immutable_id.get(id));
            // The same uid with another immutable id is another account.
            let is_same = |link: &&Link| link.account.immutable_id.is_none() || immutable_id.is_none();
            by_id.or_else(|| by_uid.get(&uid_key).filter(is_same)).cloned()
        };
        Ok(selectors
            .iter()
            .map(|selector| {
                let by_identity = || by_identity.get(&selector.identity_id?).cloned();
                selector.account().and_then(of_account).or_else(by_identity)
            })
            .collect())
    }

    async fn references(
        &self,
        tx: &mut PgConnection,
        tenant: TenantId,
        ids: &[IdentityId],
    ) -> Result<HashMap<IdentityId, References>> {
        let mut references: HashMap<IdentityId, References> = HashMap::new();
        if self.program.uses_links() {
            for (identity, connector, account) in link::references(tx, tenant, ids).await? {
                references.entry(identity).or_default().0.entry(connector).or_insert(account);
            }
        }
        Ok(references)
    }

    /// What the queue holds for each selector, under any name of its account.
    async fn queued(
        &self,
        tx: &mut PgConnection,
        tenant: TenantId,
        kind: &Kind,
        selectors: &[Selector],
        links: &[Option<Link>],
    ) -> Result<Vec<Queued>> {
        let aliases: Vec<Vec<Alias>> =
            selectors.iter().map(|selector| self.aliases(kind, selector)).collect();
        let all: Vec<Alias> = aliases.iter().flatten().cloned().collect();
        let named = alias::find_all(tx, tenant, &all).await?;
        let lanes_of = |(aliases, link): (&Vec<Alias>, &Option<Link>)| -> BTreeSet<LaneId> {
            let by_name = aliases.iter().filter_map(|alias| named.get(alias).copied());
            by_name.chain(link.as_ref().map(|link| link.lane_id)).collect()
        };
        let lanes: Vec<BTreeSet<LaneId>> = aliases.iter().zip(links).map(lanes_of).collect();
        let all: BTreeSet<LaneId> = lanes.iter().flatten().copied().collect();
        let held = in_flight::of_lanes(tx, tenant, &Vec::from_iter(all)).await?;
        let sum = |lanes: &BTreeSet<LaneId>| {
            lanes.iter().filter_map(|lane| held.get(lane)).fold(Queued::default(), |sum, one| sum.and(*one))
        };
        Ok(lanes.iter().map(sum).collect())
    }

    pub(super) fn aliases(&self, kind: &Kind, selector: &Selector) -> Vec<Alias> {
        let connector = kind.connector_id;
        let identity =
            selector.identity_id.map(|id| Alias::identity(connector, &kind.object_class, &kind.intent, id));
        let name = selector.account().map(|account| self.name_of(&account));
        let immutable = name.as_ref().and_then(|name| name.immutable_id.as_deref());
        let uid = name.as_ref().map(|name| name.uid_key.as_str()).filter(|uid| !uid.is_empty());
        let immutable = immutable.map(|id| Alias::immutable(connector, id));
        let uid = uid.map(|uid| Alias::uid(connector, &kind.object_class, uid));
        [immutable, uid, identity].into_iter().flatten().collect()
    }

    /// The accounts as the target shows them now, in the order of the selectors.
    async fn read_all(&self, kind: &Kind, known: &[Known]) -> Result<Vec<Option<Account>>> {
        let keys: Vec<AccountKey> = known.iter().filter_map(|known| known.key.clone()).collect();
        let attributes = self.program.target_attributes();
        if keys.is_empty() {
            return Ok(known.iter().map(|_| None).collect());
        }
        let read = self.open.target.get_many(&kind.object_class, &keys, attributes).await;
        let mut read = read.map_err(targets::failed)?.into_iter();
        Ok(known.iter().map(|known| known.key.as_ref().and_then(|_| read.next().flatten())).collect())
    }
}

impl View {
    fn pair(&self, known: Known, live: Option<Account>, now: DateTime<Utc>, hides: bool) -> Pair {
        let Known { identity_id, identity, references, link, queued, key: _ } = known;
        let standing = identity_id.map(|_| match &identity {
            Some(identity) => self.program.scope(identity),
            None => Evaluation::Out,
        });
        let mut expected = identity
            .as_ref()
            .map(|identity| self.program.expected(identity, &references))
            .unwrap_or_default();
        let mut live = live.map(|account| self.look_at(account).0);
        self.keep_compared(&mut expected, live.as_mut(), hides);
        let deprovision = self.open.connector.policies.deprovision;
        let state = link.as_ref().zip(standing.as_ref()).and_then(|(link, standing)| {
            expected::state(standing, deprovision, link.deprovision_due_at, now)
        });
        Pair { identity_id, standing, state, expected, live, link, queued }
    }

    /// Takes out what is never compared, and hides what is sensitive.
    fn keep_compared(&self, expected: &mut Expected, live: Option<&mut TargetAccount>, hides: bool) {
        let rules = &self.program.object_type().mapping;
        for rule in rules.iter().filter(|rule| !comparison::is_compared(rule)) {
            expected.attributes.remove(&rule.name);
        }
        let mut live = live;
        for rule in rules.iter().filter(|rule| hides && rule.sensitive) {
            let hidden = || vec![Value::from(HIDDEN)];
            if let Some(ExpectedValue::Values(values)) = expected.attributes.get_mut(&rule.name) {
                *values = hidden();
            }
            let shown = live.as_mut().and_then(|live| live.account.attributes.get_mut(&rule.name));
            if let Some(values) = shown {
                *values = hidden();
            }
        }
    }
}

impl Selector {
    /// The account that it names itself.
    fn account(&self) -> Option<AccountKey> {
        let external_uid = self.external_uid.clone();
        let immutable_id = self.immutable_id.clone();
        (external_uid.is_some() || immutable_id.is_some())
            .then(|| AccountKey { external_uid: external_uid.unwrap_or_default(), immutable_id })
    }
}
