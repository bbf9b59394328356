//! Why an account is as it is: what its identity calls for, what the target shows, and what stands between the two.

use std::collections::{BTreeMap, BTreeSet};

use xavyo_core::{
    Error,
    account::AccountState,
    comparison,
    conflict::Conflict,
    connector::{AttributeRule, Connector, Mode},
    error::Result,
    ids::{LaneId, OperationId, TenantId},
    mapping::{Evaluation, ExpectedValue, Program},
    operation::OperationStatus,
    sealed::HIDDEN,
    value::{Attributes, display},
};
use xavyo_runtime::{auth::Caller, db};

use super::{
    Accounts, Key, Kind,
    batch::{Pair, Selector},
};
use crate::{
    operations::{self, seal},
    store::{
        account::event,
        conflict, identity,
        lane::alias,
        operation::list::{self, Filter},
    },
};

/// Operations that are shown; more only wait behind them.
const MOST_SHOWN: i64 = 100;

/// Writes that are looked through for who wrote an attribute last.
const LOOKED_BACK: i64 = 500;

/// Which account to explain.
#[derive(Clone, Debug)]
pub struct ExplainAccount {
    pub kind: Kind,
    pub key: Key,
}

#[derive(Clone, Debug)]
pub struct Explained {
    /// In sentences, the most important first.
    pub statements: Vec<String>,
    /// Sensitive values hidden.
    pub pair: Pair,
    pub attributes: Vec<ExplainedAttribute>,
    /// Those of its lane that are not final, in order.
    pub operations: Vec<operations::Listed>,
    pub conflicts: Vec<Conflict>,
}

/// A rule, and both sides of it as people read them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExplainedAttribute {
    pub name: String,
    pub expression: String,
    pub expected: Option<String>,
    pub actual: Option<String>,
    pub is_equal: bool,
    pub is_unmanaged: bool,
    pub error: Option<String>,
    pub last_written_by: Option<OperationId>,
}

impl Accounts {
    /// Reads the account live; NOT_FOUND where there is neither an account nor anybody who could have one.
    pub async fn explain(&self, caller: &Caller, command: ExplainAccount) -> Result<Explained> {
        let ExplainAccount { kind, key } = command;
        let tenant = caller.tenant;
        let selector = selector(key);
        if let Some(id) = selector.identity_id {
            let mut tx = self.database.begin(tenant).await?;
            identity::get(&mut tx, tenant, id).await?;
        }
        let (mut pair, ready) = self.pair(caller, &kind, &selector).await?;
        if pair.identity_id.is_none() && pair.live.is_none() {
            return Err(Error::not_found("account"));
        }
        let mut tx = self.database.begin(tenant).await?;
        let aliases = ready.aliases(&kind, &selector);
        let named = alias::find_all(&mut tx, tenant, &aliases).await?.into_values();
        let lanes: BTreeSet<LaneId> = named.chain(pair.link.as_ref().map(|link| link.lane_id)).collect();
        let operations = self.queued(&mut tx, tenant, &lanes).await?;
        let conflicts = conflicts(&mut tx, tenant, &operations).await?;
        let writers = writers(&mut tx, tenant, &lanes, &ready.program).await?;
        db::commit(tx).await?;
        let attributes = attributes(&ready.program, &pair, &writers);
        let connector = &ready.open.connector;
        let statements = statements(connector, &pair, &attributes, &operations);
        hide(&ready.program, &mut pair);
        Ok(Explained { statements, pair, attributes, operations, conflicts })
    }

    async fn queued(
        &self,
        tx: &mut db::Transaction,
        tenant: TenantId,
        lanes: &BTreeSet<LaneId>,
    ) -> Result<Vec<operations::Listed>> {
        let mut found = Vec::new();
        for lane in lanes {
            let statuses = OperationStatus::ALL.into_iter().filter(|status| !status.is_final()).collect();
            let filter = Filter { lane_id: Some(*lane), statuses, ..Filter::default() };
            found.extend(list::page(tx, tenant, &filter, None, MOST_SHOWN).await?);
        }
        found.sort_by_key(|operation| (operation.lane_id, operation.sequence));
        let found = seal::hidden(tx, tenant, found).await?;
        operations::explain(tx, tenant, found, self.clock.now()).await
    }
}

fn selector(key: Key) -> Selector {
    match key {
        Key::Identity(id) => Selector { identity_id: Some(id), ..Selector::default() },
        Key::ExternalUid(uid) => Selector { external_uid: Some(uid), ..Selector::default() },
        Key::ImmutableId(id) => Selector { immutable_id: Some(id), ..Selector::default() },
    }
}

async fn conflicts(
    tx: &mut db::Transaction,
    tenant: TenantId,
    operations: &[operations::Listed],
) -> Result<Vec<Conflict>> {
    let ids: BTreeSet<_> = operations.iter().filter_map(|listed| listed.operation.conflict_id).collect();
    let mut conflicts = Vec::with_capacity(ids.len());
    for id in ids {
        conflicts.push(conflict::get(tx, tenant, id).await?);
    }
    Ok(conflicts)
}

/// The newest operation that wrote each mapped attribute.
async fn writers(
    tx: &mut db::Transaction,
    tenant: TenantId,
    lanes: &BTreeSet<LaneId>,
    program: &Program,
) -> Result<BTreeMap<String, OperationId>> {
    let mut written = Vec::new();
    for lane in lanes {
        written.extend(event::written(tx, tenant, *lane, LOOKED_BACK).await?);
    }
    written.sort_by_key(|one| std::cmp::Reverse(one.id));
    let names = program.object_type().mapping.iter().map(|rule| &rule.name);
    let writers = names.filter_map(|name| {
        let wrote = |one: &&event::Written| one.attributes.as_ref().is_none_or(|all| all.contains(name));
        written.iter().find(wrote).map(|one| (name.clone(), one.id))
    });
    Ok(writers.collect())
}

fn attributes(
    program: &Program,
    pair: &Pair,
    writers: &BTreeMap<String, OperationId>,
) -> Vec<ExplainedAttribute> {
    let none = Attributes::new();
    let actual = pair.live.as_ref().map_or(&none, |live| &live.account.attributes);
    let differing: BTreeSet<String> = match &pair.live {
        Some(_) => {
            let all = comparison::differences(program, &pair.expected, actual);
            all.into_iter().map(|one| one.attribute).collect()
        }
        None => BTreeSet::new(),
    };
    let explained = program.object_type().mapping.iter().map(|rule| ExplainedAttribute {
        name: rule.name.clone(),
        expression: rule.expression.clone(),
        expected: shown(rule, pair.expected.attributes.get(&rule.name).and_then(ExpectedValue::values)),
        actual: shown(rule, actual.get(&rule.name).map(Vec::as_slice)),
        is_equal: !differing.contains(&rule.name),
        is_unmanaged: pair.expected.attributes.get(&rule.name) == Some(&ExpectedValue::Unmanaged),
        error: pair
            .expected
            .failures
            .iter()
            .find(|(name, _)| *name == rule.name)
            .map(|(_, error)| error.clone()),
        last_written_by: writers.get(&rule.name).copied(),
    });
    explained.collect()
}

fn shown(rule: &AttributeRule, values: Option<&[xavyo_core::value::Value]>) -> Option<String> {
    let text = display(values.unwrap_or_default())?;
    Some(if rule.sensitive || rule.write_only { HIDDEN.to_owned() } else { text })
}

/// The account itself without sensitive values.
fn hide(program: &Program, pair: &mut Pair) {
    if let Some(live) = &mut pair.live {
        super::live::hide(program.object_type(), &mut live.account);
    }
}

fn statements(
    connector: &Connector,
    pair: &Pair,
    attributes: &[ExplainedAttribute],
    operations: &[operations::Listed],
) -> Vec<String> {
    let mut all = vec![whose(pair), stands(pair)];
    if let Some(live) = pair.live.as_ref().filter(|live| live.is_protected) {
        all.push(format!("{} is protected: it is never written.", live.account.external_uid));
    }
    all.extend(wrong_state(pair));
    let differing: Vec<&str> =
        attributes.iter().filter(|one| !one.is_equal).map(|one| one.name.as_str()).collect();
    if !differing.is_empty() {
        all.push(format!("The target differs from what the rules yield in {}.", differing.join(", ")));
    }
    for failed in attributes.iter().filter(|one| one.error.is_some()) {
        let error = failed.error.as_deref().unwrap_or_default();
        all.push(format!("What {} should be is unknown: {error}.", failed.name));
    }
    all.extend(match connector.mode {
        Mode::Observe => Some("The connector only observes: nothing is written.".to_owned()),
        Mode::Manual => Some("The connector acts only when it is asked to.".to_owned()),
        Mode::Enforce => None,
    });
    for listed in operations {
        let operation = &listed.operation;
        let waits: Vec<&str> = listed.waits.iter().map(|wait| wait.message.as_str()).collect();
        let why = if waits.is_empty() { String::new() } else { format!(": {}", waits.join("; ")) };
        all.push(format!("{} {} is {}{why}.", operation.operation_type, operation.id, operation.status));
    }
    all
}

fn whose(pair: &Pair) -> String {
    match &pair.standing {
        None => "Nobody owns the account.".to_owned(),
        Some(Evaluation::In) => "The identity is active and in scope: it should have an account.".to_owned(),
        Some(Evaluation::Out) => {
            "The identity is gone, inactive or out of scope: it should have no account.".to_owned()
        }
        Some(Evaluation::Unknown(error)) => {
            format!("Whether the identity should have an account is unknown: {error}.")
        }
    }
}

fn stands(pair: &Pair) -> String {
    match (&pair.live, &pair.link) {
        (Some(live), Some(_)) => format!("It is linked to {}, which is there.", live.account.external_uid),
        (Some(live), None) => format!("{} is there, and linked to nobody.", live.account.external_uid),
        (None, Some(link)) => {
            format!("It is linked to {}, which the target does not have.", link.account.external_uid)
        }
        (None, None) => "It has no account.".to_owned(),
    }
}

fn wrong_state(pair: &Pair) -> Option<String> {
    let actual = pair.live.as_ref().map_or(AccountState::Absent, |live| live.account.state());
    let expected = pair.state.filter(|expected| *expected != actual)?;
    Some(format!("The account should be {expected}, and is {actual}."))
}
