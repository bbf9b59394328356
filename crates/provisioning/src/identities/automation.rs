//! Automatic operations: what changed identities call for on every connector in mode `enforce`, in bulk.
//!
//! Three steps. [`Automation::foresee`] evaluates scopes and mappings before the transaction, because expressions take
//! time. [`Automation::decide`] reads links and the queue inside it, and refuses with CONTENDED where a connector has
//! changed since: the whole is then tried again. [`Automation::enqueue`] comes last. A set of changes costs the same
//! few statements as one change.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use xavyo_core::{
    Error, Reason,
    cause::Cause,
    connector::{Connector, Mode},
    error::Result,
    identity::Identity,
    ids::{ConnectorId, IdentityId, LinkId, TenantId},
    link::Link,
    mapping::{Evaluation, Program, References},
};
use xavyo_runtime::{Clock, db::Database};

use super::{
    consequences::{self, Consequence, Expectation, Situation, StagedDelete, Standing},
    planned::{self, Planned},
};
use crate::{
    programs::{Programs, Rules},
    queue,
    store::{
        account::in_flight::{self, LiveWork, Slot},
        connector, link,
    },
};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Automation {
    database: Database,
    clock: Clock,
    programs: Programs,
}

/// A change of an identity. None before it is made, None after it is deleted; never both.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub before: Option<Identity>,
    pub after: Option<Identity>,
}

/// What the rules of every enforcing connector say of each change.
#[derive(Clone, Debug)]
pub struct Foresight {
    enforcing: Vec<Enforcing>,
    /// By change, then by object type, in the order of [`Foresight::kinds`].
    standings: Vec<Vec<(Standing, Standing)>>,
}

#[derive(Clone, Debug)]
struct Enforcing {
    connector: Connector,
    rules: Rules,
}

/// What is called for, before it is enqueued.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    pub plans: Vec<planned::Plan>,
    staged: Vec<(LinkId, Option<DateTime<Utc>>)>,
}

impl Change {
    pub fn identity_id(&self) -> Option<IdentityId> {
        self.after.as_ref().or(self.before.as_ref()).map(|identity| identity.id)
    }
}

impl Automation {
    pub fn new(database: Database, clock: Clock, programs: Programs) -> Self {
        Self { database, clock, programs }
    }

    /// Evaluates every rule for both sides of every change. Holds no transaction while it does.
    pub async fn foresee(&self, tenant: TenantId, changes: &[Change]) -> Result<Foresight> {
        let mut tx = self.database.begin(tenant).await?;
        let connectors = connector::in_mode(&mut tx, tenant, Mode::Enforce).await?;
        let mut enforcing = Vec::with_capacity(connectors.len());
        for connector in connectors {
            let rules = self.programs.of(tenant, &connector).await?;
            enforcing.push(Enforcing { connector, rules });
        }
        let programs: Vec<_> = enforcing.iter().flat_map(|one| one.rules.programs.iter().cloned()).collect();
        let mut references = if programs.iter().any(|program| program.uses_links()) {
            references_of(&mut tx, tenant, changes).await?
        } else {
            HashMap::new()
        };
        drop(tx);
        if programs.is_empty() {
            return Ok(Foresight { enforcing, standings: vec![Vec::new(); changes.len()] });
        }
        let work = changes.iter().map(|change| {
            let references = change.identity_id().and_then(|id| references.remove(&id)).unwrap_or_default();
            (change.clone(), references)
        });
        let standings = self
            .programs
            .map(work.collect(), move |(change, references)| {
                let both = |program: &Program| {
                    let standing = |side: &Option<Identity>| standing(program, side.as_ref(), &references);
                    (standing(&change.before), standing(&change.after))
                };
                programs.iter().map(|program| both(program)).collect()
            })
            .await?;
        Ok(Foresight { enforcing, standings })
    }

    /// Reads what stands between the identities and the targets, and decides. The caller has locked the identities.
    pub async fn decide(
        &self,
        tx: &mut PgConnection,
        tenant: TenantId,
        changes: &[Change],
        foresight: &Foresight,
    ) -> Result<Decided> {
        foresight.check_current(tx, tenant).await?;
        if foresight.enforcing.is_empty() {
            return Ok(Decided::default());
        }
        let surroundings = Surroundings::load(tx, tenant, changes, foresight).await?;
        let mut decided = Decided::default();
        let mut failures: HashMap<ConnectorId, (usize, String)> = HashMap::new();
        for (change, standings) in changes.iter().zip(&foresight.standings) {
            for ((enforcing, program), (before, after)) in foresight.kinds().zip(standings) {
                let Some(identity) = change.identity_id() else { continue };
                let slot = slot(&enforcing.connector, program, identity);
                let situation = surroundings.situation(&slot);
                let policies = &enforcing.connector.policies;
                let rules = consequences::Rules {
                    object_type: program.object_type(),
                    deprovision: policies.deprovision,
                    allowed: policies.allowed_actions,
                };
                match consequences::follow(rules, before, after, situation, self.clock.now()) {
                    Ok(consequence) => decided.add(enforcing, program, &slot, situation.link, consequence),
                    Err(failure) => failures.entry(slot.connector_id).or_insert((0, failure)).0 += 1,
                }
            }
        }
        for (connector, (identities, first)) in failures {
            tracing::warn!(%tenant, %connector, identities, first, "expressions failed: nothing was enqueued");
        }
        Ok(decided)
    }

    /// Enqueues what was decided, and sets the dates of staged deletes. Last in the transaction.
    pub async fn enqueue(
        &self,
        tx: &mut PgConnection,
        tenant: TenantId,
        decided: Decided,
        cause: &Cause,
    ) -> Result<Vec<Planned>> {
        if !decided.staged.is_empty() {
            link::save_deprovision_due(tx, tenant, &decided.staged).await?;
        }
        let operations = decided.plans.iter().filter_map(|plan| plan.operation(cause)).collect();
        let enqueued = queue::enqueue(tx, &self.clock, tenant, operations).await?;
        let mut ids = enqueued.operations.into_iter().map(|operation| operation.id);
        Ok(planned::shown(decided.plans, &mut ids))
    }
}

impl Foresight {
    /// Every object type of every enforcing connector.
    fn kinds(&self) -> impl Iterator<Item = (&Enforcing, &Program)> {
        self.enforcing.iter().flat_map(|enforcing| {
            enforcing.rules.programs.iter().map(move |program| (enforcing, program.as_ref()))
        })
    }

    /// Holds the connectors as they are until the transaction ends.
    async fn check_current(&self, tx: &mut PgConnection, tenant: TenantId) -> Result<()> {
        let seen =
            self.enforcing.iter().map(|enforcing| (enforcing.connector.id, enforcing.connector.version));
        let present = connector::share_in_mode(tx, tenant, Mode::Enforce).await?;
        if seen.eq(present) {
            return Ok(());
        }
        Err(Error::new(Reason::Contended, "a connector changed while its rules were evaluated"))
    }
}

impl Decided {
    fn add(
        &mut self,
        enforcing: &Enforcing,
        program: &Program,
        slot: &Slot,
        link: Option<&Link>,
        consequence: Consequence,
    ) {
        let Consequence { write, staged_delete } = consequence;
        let plan = |write, due| planned::Plan::new(&enforcing.connector, program, slot, link, write, due);
        self.plans.extend(write.map(|write| plan(write, None)));
        let due = match staged_delete {
            StagedDelete::Unchanged => return,
            StagedDelete::Due(at) => Some(at),
            StagedDelete::Dropped => None,
        };
        self.staged.extend(link.map(|link| (link.id, due)));
        if let Some(at) = due {
            self.plans.push(plan(consequences::Write::staged_delete(), Some(at)));
        }
    }
}

/// What stands between identities and targets, by slot.
struct Surroundings {
    links: HashMap<Slot, Link>,
    live: HashMap<Slot, LiveWork>,
}

impl Surroundings {
    async fn load(
        tx: &mut PgConnection,
        tenant: TenantId,
        changes: &[Change],
        foresight: &Foresight,
    ) -> Result<Self> {
        let connectors: Vec<_> = foresight.enforcing.iter().map(|one| one.connector.id).collect();
        // Who is just made has nothing yet.
        let known: Vec<_> = changes.iter().filter_map(|one| one.before.as_ref()).map(|one| one.id).collect();
        if known.is_empty() {
            return Ok(Self { links: HashMap::new(), live: HashMap::new() });
        }
        let links = link::of_identities(tx, tenant, &connectors, &known).await?;
        let live = in_flight::of_identities(tx, tenant, &connectors, &known).await?;
        Ok(Self { links: links.into_iter().map(|link| (slot_of(&link), link)).collect(), live })
    }

    fn situation(&self, slot: &Slot) -> Situation<'_> {
        let live = self.live.get(slot).copied().unwrap_or_default();
        Situation {
            link: self.links.get(slot),
            has_live_create: live.creates,
            has_live_leave: live.takes_away,
        }
    }
}

/// What one object type's rules say of an identity; of none, that it is out.
fn standing(program: &Program, identity: Option<&Identity>, references: &References) -> Standing {
    let Some(identity) = identity else { return Standing::Out };
    match program.scope(identity) {
        Evaluation::Out => return Standing::Out,
        Evaluation::Unknown(failure) => return Standing::Unknown(failure),
        Evaluation::In => {}
    }
    let expected = program.expected(identity, references);
    match expected.failures.into_iter().next() {
        Some((attribute, failure)) => Standing::Unknown(format!("{attribute}: {failure}")),
        None => Standing::In(Expectation {
            attributes: expected.attributes,
            naming_failure: program.name(identity, 0).err(),
        }),
    }
}

async fn references_of(
    tx: &mut PgConnection,
    tenant: TenantId,
    changes: &[Change],
) -> Result<HashMap<IdentityId, References>> {
    let ids: Vec<_> = changes.iter().filter_map(|one| one.before.as_ref()).map(|one| one.id).collect();
    let mut references: HashMap<IdentityId, References> = HashMap::new();
    for (identity, connector, account) in link::references(tx, tenant, &ids).await? {
        references.entry(identity).or_default().0.entry(connector).or_insert(account);
    }
    Ok(references)
}

fn slot(connector: &Connector, program: &Program, identity_id: IdentityId) -> Slot {
    Slot {
        identity_id,
        connector_id: connector.id,
        object_class: program.object_type().object_class.clone(),
        intent: program.object_type().intent.clone(),
    }
}

fn slot_of(link: &Link) -> Slot {
    Slot {
        identity_id: link.identity_id,
        connector_id: link.connector_id,
        object_class: link.object_class.clone(),
        intent: link.intent.clone(),
    }
}
