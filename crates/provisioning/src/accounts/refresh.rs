//! What a run tells after its read: new uids of linked accounts, and that it was complete.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;
use xavyo_core::{
    cause::{Cause, CauseKind},
    connector::{Connector, Settings},
    error::Result,
    ids::{ConnectorId, LaneId, LinkId, RunId},
    link::Link,
};
use xavyo_runtime::{auth::Caller, db};

use super::{Accounts, uid::uid_key};
use crate::store::{
    account::in_flight,
    audit, connector, lane,
    lane::alias::{self, Alias},
    link::{self, LinkEvent, Renaming},
};

/// Accounts whose uid is no longer the link's.
#[derive(Clone, Debug)]
pub struct RefreshLinks {
    pub connector_id: ConnectorId,
    pub links: Vec<RefreshedLink>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshedLink {
    pub link_id: LinkId,
    pub external_uid: String,
    pub immutable_id: Option<String>,
}

/// A full run that ended completely.
#[derive(Clone, Debug)]
pub struct CompletedRun {
    pub connector_id: ConnectorId,
    pub run_id: RunId,
    pub revision: i32,
    pub completed_at: DateTime<Utc>,
}

impl Accounts {
    /// Answers how many links changed. One whose lane is busy, or that has another immutable id, is left alone: the
    /// next run tells it again.
    pub async fn refresh_links(&self, caller: &Caller, command: RefreshLinks) -> Result<i64> {
        db::retry(|| self.store_uids(caller, &command)).await
    }

    async fn store_uids(&self, caller: &Caller, command: &RefreshLinks) -> Result<i64> {
        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        let stored = connector::get(&mut tx, tenant, command.connector_id).await?;
        let ids: Vec<LinkId> = command.links.iter().map(|refreshed| refreshed.link_id).collect();
        let known = link::find_all(&mut tx, tenant, &ids).await?;
        let lanes: BTreeSet<LaneId> = known.iter().map(|link| link.lane_id).collect();
        let lanes = Vec::from_iter(lanes);
        lane::lock(&mut tx, tenant, &lanes).await?;
        let busy = in_flight::of_lanes(&mut tx, tenant, &lanes).await?;
        let idle: HashMap<LinkId, Link> = known
            .into_iter()
            .filter(|link| link.connector_id == stored.id && !busy.contains_key(&link.lane_id))
            .map(|link| (link.id, link))
            .collect();
        let renamings: Vec<Renaming> =
            command.links.iter().filter_map(|told| renaming(&stored.settings, &idle, told)).collect();
        if renamings.is_empty() {
            return Ok(0);
        }
        let renamed = link::rename(&mut tx, tenant, &renamings, self.clock.now()).await?;
        let names: Vec<(Alias, LaneId)> =
            renamed.iter().flat_map(|link| names(&stored.settings, link)).collect();
        alias::reassign(&mut tx, tenant, &names).await?;
        let cause = run_cause(caller, None);
        let events: Vec<LinkEvent> =
            renamed.iter().map(|link| LinkEvent::by_call("renamed", link, &cause)).collect();
        link::insert_events(&mut tx, &self.clock, tenant, &events).await?;
        let count = i64::try_from(renamed.len()).unwrap_or(i64::MAX);
        let entry = entry("RefreshLinks", &stored, json!({ "refreshed": count }));
        audit::insert(&mut tx, &self.clock, caller, entry).await?;
        db::commit(tx).await?;
        Ok(count)
    }

    /// From the first one on the connector may enforce. Repeating it is harmless.
    pub async fn record_completed_run(&self, caller: &Caller, run: CompletedRun) -> Result<()> {
        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        let stored = connector::lock(&mut tx, tenant, run.connector_id).await?;
        if stored.first_full_run_at.is_some() {
            return Ok(());
        }
        let updated_at = self.clock.now();
        let first_full_run_at = Some(run.completed_at);
        let recorded = Connector { first_full_run_at, updated_at, ..stored };
        connector::save(&mut tx, tenant, &recorded).await?;
        let details = json!({ "run_id": run.run_id, "revision": run.revision });
        let entry = entry("RecordCompletedRun", &recorded, details);
        audit::insert(&mut tx, &self.clock, caller, entry).await?;
        db::commit(tx).await
    }
}

/// None where nothing changes, or where the account told of is not the link's.
fn renaming(settings: &Settings, idle: &HashMap<LinkId, Link>, told: &RefreshedLink) -> Option<Renaming> {
    let link = idle.get(&told.link_id)?;
    let is_another = link.account.immutable_id.is_some()
        && told.immutable_id.is_some()
        && link.account.immutable_id != told.immutable_id;
    let is_known = link.account.external_uid == told.external_uid
        && (told.immutable_id.is_none() || link.account.immutable_id.is_some());
    (!is_another && !is_known).then(|| Renaming {
        link: told.link_id,
        external_uid: told.external_uid.clone(),
        uid_key: uid_key(settings, &told.external_uid),
        immutable_id: told.immutable_id.clone(),
    })
}

fn names(settings: &Settings, link: &Link) -> impl Iterator<Item = (Alias, LaneId)> {
    let uid = uid_key(settings, &link.account.external_uid);
    let uid = Alias::uid(link.connector_id, &link.object_class, &uid);
    let immutable = link.account.immutable_id.as_deref().map(|id| Alias::immutable(link.connector_id, id));
    let lane = link.lane_id;
    [Some(uid), immutable].into_iter().flatten().map(move |alias| (alias, lane))
}

fn run_cause(caller: &Caller, run: Option<Uuid>) -> Cause {
    Cause {
        kind: CauseKind::Run,
        id: run,
        requested_by: caller.subject,
        reason: None,
        trace_id: Some(caller.trace_id.clone()),
    }
}

fn entry(method: &'static str, connector: &Connector, details: serde_json::Value) -> audit::Entry {
    audit::Entry {
        method,
        resource_type: "connector",
        resource_id: Some(connector.id.0),
        connector_id: Some(connector.id),
        details,
        reason: None,
    }
}

#[cfg(test)]
mod tests {
    use xavyo_core::{account::AccountKey, connector::MemorySettings, ids::IdentityId};

    use super::*;

    fn told(external_uid: &str, immutable_id: Option<&str>) -> Option<Renaming> {
        told_of(Some("7"), external_uid, immutable_id)
    }

    fn told_of(known: Option<&str>, external_uid: &str, immutable_id: Option<&str>) -> Option<Renaming> {
        let id = LinkId(Uuid::from_u128(1));
        let account = AccountKey { external_uid: "jane".to_owned(), immutable_id: known.map(str::to_owned) };
        let link = Link {
            id,
            connector_id: ConnectorId(Uuid::from_u128(2)),
            object_class: "account".to_owned(),
            intent: "default".to_owned(),
            identity_id: IdentityId(Uuid::from_u128(3)),
            lane_id: LaneId(Uuid::from_u128(4)),
            account,
            disabled_by_us: false,
            deprovision_due_at: None,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        };
        let told = RefreshedLink {
            link_id: id,
            external_uid: external_uid.to_owned(),
            immutable_id: immutable_id.map(str::to_owned),
        };
        renaming(&Settings::Memory(MemorySettings::default()), &HashMap::from([(id, link)]), &told)
    }

    #[test]
    fn a_renamed_account_is_followed_and_another_one_is_not() {
        assert_eq!(told("jane.doe", Some("7")).unwrap().external_uid, "jane.doe");
        assert_eq!(told("jane", Some("7")), None, "nothing changed");
        assert_eq!(told("jane", Some("8")), None, "the uid now names another account");
    }

    #[test]
    fn an_immutable_id_is_learned_once() {
        assert_eq!(told_of(None, "jane", Some("7")).unwrap().immutable_id.as_deref(), Some("7"));
        assert_eq!(told_of(None, "jane", None), None);
    }
}
