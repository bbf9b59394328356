//! Findings that somebody decided to live with.
//!
//! An ignore binds to a finding's fingerprint, not to a row: whichever run finds the same again counts it apart
//! ([`crate::worker`]) until the ignore is deleted, or its time is over.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    discrepancy::{DiscrepancyType, Event},
    error::Result,
    ids::{ConnectorId, DiscrepancyId, IdentityId, SubjectId},
};
use xavyo_runtime::{Caller, Clock, Database, db};
use xavyo_wire::page::Page;

use crate::{
    discrepancies::record::DiscrepancyRecord,
    paging::Listed,
    store::{
        action::{self, Action, ActionResult},
        discrepancy::{self, Settlement},
        ignore::{self, IgnoreFilter},
        remediation,
    },
};

#[derive(Clone, Debug)]
pub struct Ignores {
    pub database: Database,
    pub clock: Clock,
}

/// One decision, with what its finding is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Ignore {
    pub id: Uuid,
    pub connector_id: ConnectorId,
    pub discrepancy_type: DiscrepancyType,
    pub identity_id: Option<IdentityId>,
    pub external_uid: Option<String>,
    pub attribute_name: Option<String>,
    /// The row it was decided on.
    pub discrepancy_id: DiscrepancyId,
    /// None = for good.
    pub until: Option<DateTime<Utc>>,
    pub reason: Option<String>,
    pub created_by: SubjectId,
    pub created_at: DateTime<Utc>,
}

/// IgnoreDiscrepancy.
#[derive(Clone, Debug)]
pub struct IgnoreDiscrepancy {
    pub discrepancy_id: DiscrepancyId,
    pub until: Option<DateTime<Utc>>,
    pub reason: Option<String>,
}

impl Ignores {
    /// ILLEGAL_MOVE where it is settled, REMEDIATION_IN_FLIGHT while it is being remediated. Other open rows of the same
    /// finding, of dry runs say, are ignored with it. Takes the place of an earlier ignore of the finding.
    pub async fn ignore(
        &self,
        caller: &Caller,
        command: IgnoreDiscrepancy,
    ) -> Result<(DiscrepancyRecord, Ignore)> {
        let now = self.clock.now();
        if command.until.is_some_and(|until| until <= now) {
            return Err(Error::invalid("until", "a time to come"));
        }
        let (tenant, id) = (caller.tenant, command.discrepancy_id);
        let mut tx = self.database.begin(tenant).await?;
        let finding = discrepancy::lock(&mut tx, tenant, id).await?.discrepancy;
        finding.resolution_status.after(Event::Ignored)?;
        if remediation::is_in_flight(&mut tx, tenant, id).await? {
            return Err(Error::new(Reason::RemediationInFlight, "a remediation of it is under way"));
        }
        let ignored = Ignore {
            id: self.clock.new_id(),
            connector_id: finding.connector_id,
            discrepancy_type: finding.discrepancy_type,
            identity_id: finding.identity_id,
            external_uid: finding.external_uid,
            attribute_name: finding.attribute_name,
            discrepancy_id: id,
            until: command.until,
            reason: command.reason,
            created_by: caller.subject,
            created_at: now,
        };
        ignore::put(&mut tx, tenant, &ignored, finding.fingerprint).await?;
        let note = ignored.reason.as_deref().unwrap_or("ignored");
        let settlement = Settlement { event: Event::Ignored, by: caller.subject, note, at: now };
        discrepancy::settle(&mut tx, tenant, id, settlement).await?;
        let of = (finding.connector_id, finding.fingerprint);
        discrepancy::settle_alike(&mut tx, tenant, of, settlement).await?;
        action::insert(&mut tx, tenant, &self.action(caller, "ignore", &ignored)).await?;
        let record = discrepancy::get(&mut tx, tenant, id).await?;
        db::commit(tx).await?;
        Ok((record, ignored))
    }

    pub async fn list(
        &self,
        caller: &Caller,
        filter: &IgnoreFilter,
        page: &Page<Uuid>,
    ) -> Result<Listed<Ignore>> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let listed = Listed::ids(&mut tx, caller.tenant, filter, page).await?;
        let ignores = ignore::find_all(&mut tx, caller.tenant, &listed.items).await?;
        Ok(listed.with(ignores))
    }

    /// The discrepancy stays as it is settled; later runs report the finding again.
    pub async fn delete(&self, caller: &Caller, id: Uuid) -> Result<()> {
        let mut tx = self.database.begin(caller.tenant).await?;
        let no_ignore = || Error::not_found("ignore");
        let ignored = ignore::find_all(&mut tx, caller.tenant, &[id]).await?.pop().ok_or_else(no_ignore)?;
        if !ignore::delete(&mut tx, caller.tenant, id).await? {
            return Err(no_ignore());
        }
        action::insert(&mut tx, caller.tenant, &self.action(caller, "ignore_deleted", &ignored)).await?;
        db::commit(tx).await
    }

    fn action(&self, caller: &Caller, action_type: &'static str, ignored: &Ignore) -> Action {
        Action {
            id: self.clock.new_id(),
            connector_id: ignored.connector_id,
            run_id: None,
            discrepancy_id: Some(ignored.discrepancy_id),
            action_type,
            result: ActionResult::Success,
            dry_run: false,
            performed_by: caller.subject,
            performed_at: self.clock.now(),
            details: Some(json!({
                "ignore_id": ignored.id,
                "until": ignored.until,
                "reason": ignored.reason,
            })),
            trace_id: Some(caller.trace_id.clone()),
        }
    }
}
