//! Remediating up to a hundred discrepancies of one connector in one call. One's failure does not stop the others.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt, stream};
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    discrepancy::{Discrepancy, ResolutionStatus},
    error::Result,
    ids::DiscrepancyId,
    remediation as table,
};
use xavyo_runtime::{Caller, Deadline, db};

use super::{
    Remediate, Remediations,
    begin::{Begun, Intent},
    finish::passes,
    patience,
    record::{Failure, Outcome, RemediationRecord},
};
use crate::{
    provisioning::connector::ConnectorView,
    store::{discrepancy, request},
};

/// Items whose present is read and whose intent is recorded at once.
const BEGUN_AT_ONCE: usize = 8;
const METHOD: &str = "BulkRemediateDiscrepancies";

/// BulkRemediateDiscrepancies. Each discrepancy once; reason and dry run are every item's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BulkRemediate {
    pub items: Vec<Remediate>,
    #[serde(skip)]
    pub request_id: Option<Uuid>,
}

/// What came of each item, in the order of the request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BulkOutcome {
    pub results: Vec<RemediationRecord>,
    /// Items that were not tried, and why.
    pub skipped: Vec<(DiscrepancyId, String)>,
}

/// An item on its way.
enum Item {
    Done(Box<RemediationRecord>),
    Skipped(DiscrepancyId, String),
    UnderWay(Box<Intent>),
}

impl Remediations {
    /// NOT_FOUND for an unknown item, INVALID_FIELD for items of several connectors, REMEDIATION_NOT_ALLOWED for a triple
    /// outside the table: then nothing is done at all.
    pub async fn bulk(
        &self,
        caller: &Caller,
        command: BulkRemediate,
        deadline: Deadline,
    ) -> Result<BulkOutcome> {
        let found = self.check(caller, &command).await?;
        self.bind_request_id(caller, &command).await?;
        let connector = self.connector_of(caller, &found).await;
        let item = |remediate: &Remediate| {
            let request_id = command.request_id.map(|id| id_of_item(id, remediate.discrepancy_id));
            let row = found.get(&remediate.discrepancy_id)?;
            Some((Remediate { request_id, ..remediate.clone() }, row.clone()))
        };
        let items = command.items.iter().filter_map(item).collect();
        Ok(self.do_all(caller, items, connector, patience(deadline)).await)
    }

    /// Does all of it, as far as it has ended by then; the rest goes on by itself. Each item is checked by the caller.
    pub(crate) async fn do_all(
        &self,
        caller: &Caller,
        items: Vec<(Remediate, Discrepancy)>,
        connector: Option<Arc<ConnectorView>>,
        until: Instant,
    ) -> BulkOutcome {
        let begin = |(remediate, row): (Remediate, Discrepancy)| {
            let connector = connector.clone();
            async move { self.begin_item(caller, remediate, row, connector).await }
        };
        let items: Vec<Item> = stream::iter(items).map(begin).buffered(BEGUN_AT_ONCE).collect().await;
        self.end_all(items, until).await
    }

    /// The discrepancies by id, if the call makes sense as a whole.
    async fn check(
        &self,
        caller: &Caller,
        command: &BulkRemediate,
    ) -> Result<HashMap<DiscrepancyId, Discrepancy>> {
        let ids: Vec<Uuid> = command.items.iter().map(|item| item.discrepancy_id.0).collect();
        let mut tx = self.database.begin(caller.tenant).await?;
        let rows = discrepancy::find_all(&mut tx, caller.tenant, &ids).await?;
        drop(tx);
        let connectors: HashSet<_> = rows.iter().map(|row| row.discrepancy.connector_id).collect();
        if connectors.len() > 1 {
            return Err(Error::invalid("items", "discrepancies of one connector"));
        }
        let mut rows: HashMap<_, _> =
            rows.into_iter().map(|row| (row.discrepancy.id, row.discrepancy)).collect();
        let mut found = HashMap::new();
        for item in &command.items {
            let row = rows.remove(&item.discrepancy_id).ok_or_else(|| Error::not_found("discrepancy"))?;
            table::choose(&row, item.action, item.direction)?;
            found.insert(row.id, row);
        }
        Ok(found)
    }

    /// Read once for all items. None: each item finds out for itself why not.
    async fn connector_of(
        &self,
        caller: &Caller,
        found: &HashMap<DiscrepancyId, Discrepancy>,
    ) -> Option<Arc<ConnectorView>> {
        let row = found.values().next()?;
        self.session(caller).connector(row.connector_id).await.ok().map(Arc::new)
    }

    /// The same id with another body is refused; with the same one, each item answers for itself.
    async fn bind_request_id(&self, caller: &Caller, command: &BulkRemediate) -> Result<()> {
        let key = request::Key::of(METHOD, command.request_id, command)?;
        let mut tx = self.database.begin(caller.tenant).await?;
        request::recall(&mut tx, &self.clock, caller.tenant, key.as_ref()).await?;
        db::commit(tx).await
    }

    async fn begin_item(
        &self,
        caller: &Caller,
        remediate: Remediate,
        row: Discrepancy,
        connector: Option<Arc<ConnectorView>>,
    ) -> Item {
        let id = remediate.discrepancy_id;
        match self.begin(caller, &remediate, METHOD, connector).await {
            Ok(Begun::Before(record)) => Item::Done(record),
            Ok(Begun::Now(intent)) => Item::UnderWay(intent),
            Err(error) if error.reason == Reason::RemediationInFlight => Item::Skipped(id, error.message),
            Err(error) if error.reason == Reason::IllegalMove => {
                let status = match row.resolution_status {
                    ResolutionStatus::Pending | ResolutionStatus::Resolved => "resolved",
                    ResolutionStatus::Ignored => "ignored",
                };
                Item::Skipped(id, format!("it is {status}"))
            }
            Err(error) => {
                let record = match table::choose(&row, remediate.action, remediate.direction) {
                    Ok(remedy) => self.intent(caller, &remediate, &row, remedy),
                    Err(error) => return Item::Skipped(id, error.message),
                };
                Item::Done(Box::new(failed(record, &error)))
            }
        }
    }

    /// Carries out what was begun, accounts side by side, the items of one account one after the other; what has not ended
    /// at the deadline goes on without the caller.
    async fn end_all(&self, items: Vec<Item>, deadline: Instant) -> BulkOutcome {
        let mut lanes: HashMap<String, Vec<Intent>> = HashMap::new();
        for item in &items {
            if let Item::UnderWay(intent) = item {
                lanes.entry(lane(intent)).or_default().push((**intent).clone());
            }
        }
        let lanes: Vec<_> = lanes.into_values().map(|intents| self.spawn_lane(intents)).collect();
        let mut ended: HashMap<DiscrepancyId, RemediationRecord> = HashMap::new();
        for lane in lanes {
            if let Ok(Ok(records)) = tokio::time::timeout_at(deadline, lane).await {
                ended.extend(records.into_iter().map(|record| (record.discrepancy_id, record)));
            }
        }
        let mut outcome = BulkOutcome::default();
        for item in items {
            match item {
                Item::Done(record) => outcome.results.push(*record),
                Item::Skipped(id, why) => outcome.skipped.push((id, why)),
                Item::UnderWay(intent) => outcome.results.push(self.result_of(*intent, &mut ended).await),
            }
        }
        outcome
    }

    async fn result_of(
        &self,
        intent: Intent,
        ended: &mut HashMap<DiscrepancyId, RemediationRecord>,
    ) -> RemediationRecord {
        if let Some(record) = ended.remove(&intent.record.discrepancy_id) {
            return record;
        }
        self.still_under_way(&intent).await.unwrap_or(intent.record)
    }

    /// The records of those that have ended.
    fn spawn_lane(&self, intents: Vec<Intent>) -> tokio::task::JoinHandle<Vec<RemediationRecord>> {
        let remediations = self.clone();
        self.tasks.spawn(async move {
            let mut records = Vec::new();
            for intent in intents {
                let carried = remediations.stop.run_until_cancelled(remediations.carry_out(&intent)).await;
                match carried {
                    Some(Ok(record)) => records.push(record),
                    Some(Err(error)) if !passes(&error) => {
                        records.push(failed(intent.record.clone(), &error));
                    }
                    Some(Err(_)) => {}
                    None => break,
                }
            }
            records
        })
    }
}

fn failed(record: RemediationRecord, error: &Error) -> RemediationRecord {
    let outcome = Outcome { failure: Some(Failure::of(error)), changes: None };
    RemediationRecord { outcome: Some(outcome), ..record }
}

/// What must not be done at the same time: the account, or else the identity.
fn lane(intent: &Intent) -> String {
    let subject = &intent.planned.facts.subject;
    match (&subject.identity_id, &subject.account) {
        (Some(identity), _) => identity.to_string(),
        (None, Some(account)) => account.external_uid.clone(),
        (None, None) => intent.record.discrepancy_id.to_string(),
    }
}

/// Each item's own request id, the same whenever the call is repeated.
fn id_of_item(request_id: Uuid, discrepancy: DiscrepancyId) -> Uuid {
    Uuid::new_v5(&request_id, discrepancy.0.as_bytes())
}
