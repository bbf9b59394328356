//! The sealer: gives each committed audit row its place in the tenant's chain.
//!
//! Afterwards, not in the audited transaction: there every writer of a tenant would wait for the last one. Any replica may
//! seal; of one tenant only one does at a time.

use std::time::Duration;

use tokio::time;
use tokio_util::sync::CancellationToken;
use xavyo_core::{chain::Chain, error::Result, ids::TenantId};
use xavyo_runtime::{Database, db, lifecycle::with_sources};

use crate::store::audit_seal;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Tenants that are looked after in one step.
const TENANTS: i64 = 100;

/// Rows sealed in one transaction.
const BATCH: i64 = 1_000;

#[derive(Clone, Debug)]
pub struct Sealer {
    pub database: Database,
    pub chain: Chain,
}

impl Sealer {
    pub async fn run(self, stop: CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            match self.step().await {
                // There may be more.
                Ok(sealed) if sealed > 0 => continue,
                Ok(_) => {}
                Err(error) => tracing::warn!(error = with_sources(&error), "sealing the audit log failed"),
            }
            stop.run_until_cancelled(time::sleep(LOOK_EVERY)).await;
        }
        Ok(())
    }

    /// Seals a batch of each tenant that has rows to seal. Returns how many were sealed.
    pub async fn step(&self) -> Result<usize> {
        let mut tx = self.database.begin_system().await?;
        let tenants = audit_seal::tenants(&mut tx, TENANTS).await?;
        db::commit(tx).await?;
        let mut sealed = 0;
        for tenant in tenants {
            sealed += self.seal(tenant).await?;
        }
        Ok(sealed)
    }

    async fn seal(&self, tenant: TenantId) -> Result<usize> {
        let mut tx = self.database.begin(tenant).await?;
        if !audit_seal::try_lock(&mut tx, tenant).await? {
            return Ok(0);
        }
        let mut last = audit_seal::last(&mut tx, tenant).await?;
        let entries = audit_seal::unsealed(&mut tx, tenant, BATCH).await?;
        let mut sealed = Vec::with_capacity(entries.len());
        for entry in &entries {
            let seal = self.chain.seal(last.as_ref(), entry)?;
            sealed.push((entry, seal));
            last = Some(seal);
        }
        audit_seal::insert_all(&mut tx, tenant, &sealed).await?;
        db::commit(tx).await?;
        Ok(sealed.len())
    }
}
