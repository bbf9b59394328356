//! Draining one pair: claim, execute, record, again and again, until nothing can be claimed.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use xavyo_core::{
    Kind,
    connector::{Connector, FailureKind, Mode},
    error::Result,
    ids::IdentityId,
    mapping::References,
};
use xavyo_runtime::{db, lifecycle::with_sources};

use super::{
    Engine,
    claim::{self, Claim},
    execute::execute,
    outcome::Outcome,
    record::{self, Executed},
};
use crate::{
    connectors::BAD_CREDENTIALS,
    store::{
        connector,
        connector::work::{self, Pair},
        lane, link,
    },
    targets::OpenTarget,
};

/// The most claims in one recording transaction.
const RECORDED_AT_ONCE: usize = 256;

/// How long a pair is worked on before others that are due have their turn.
const TURN: Duration = Duration::from_secs(5);

/// The pause between two looks for the lanes of dead workers, while there is always something to claim.
const TAKE_OVER_EVERY: Duration = Duration::from_secs(1);

/// What a recorded batch showed of the target as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Serves,
    Down,
    BadCredentials,
}

impl Engine {
    /// Works on a pair until there is nothing to claim, its target is down, or the process stops.
    pub(super) async fn drain(&self, pair: Pair, stop: CancellationToken) -> Result<()> {
        let begun = Instant::now();
        let mut taken_over: Option<Instant> = None;
        while !stop.is_cancelled() && self.lease.is_held() {
            // Looked up each time: a pause, a policy or a secret that has changed holds from this claim on.
            let Some(target) = self.open(pair).await? else { return self.set_aside(pair).await };
            if taken_over.is_none_or(|at| at.elapsed() >= TAKE_OVER_EVERY) {
                self.take_over(pair, &target).await?;
                taken_over = Some(Instant::now());
            }
            let claims = claim::claim(
                &self.database,
                &self.clock,
                self.lease.worker,
                pair,
                &target,
                self.limits.lanes_per_claim,
            )
            .await?;
            if claims.is_empty() {
                return self.rest(pair).await;
            }
            match self.work(pair, &target, claims).await? {
                Health::Serves => {}
                Health::Down => {
                    tracing::warn!(tenant = %pair.tenant, connector = %pair.connector, "the target is down");
                    return Ok(());
                }
                Health::BadCredentials => return self.stop_connector(pair).await,
            }
            if begun.elapsed() >= TURN {
                return self.give_way(pair).await;
            }
        }
        Ok(())
    }

    /// There is more to do, but others have waited for longer (Q10).
    async fn give_way(&self, pair: Pair) -> Result<()> {
        let mut tx = self.database.begin(pair.tenant).await?;
        work::put_last(&mut tx, pair, self.clock.now()).await?;
        db::commit(tx).await
    }

    /// The pair's target, or none where nothing may be written: deleted, paused or only observed.
    pub(super) async fn open(&self, pair: Pair) -> Result<Option<Arc<OpenTarget>>> {
        let mut tx = self.database.begin(pair.tenant).await?;
        let found = connector::find(&mut tx, pair.tenant, pair.connector).await?;
        db::commit(tx).await?;
        match found {
            Some(connector) if may_be_written(&connector) => {
                Ok(Some(self.targets.open(pair.tenant, &connector).await?))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Executes claims side by side, as many at once as the connector allows, and records them as they end.
    async fn work(&self, pair: Pair, target: &Arc<OpenTarget>, claims: Vec<Claim>) -> Result<Health> {
        let references = self.references(pair, target, &claims).await?;
        let at_once = usize::try_from(target.connector.policies.max_concurrency.0).unwrap_or(1).max(1);
        let mut executed = stream::iter(claims.into_iter().zip(references))
            .map(|(claim, references)| {
                execute(Arc::clone(target), self.clock.clone(), self.lease.clone(), references, claim)
            })
            .buffer_unordered(at_once)
            .ready_chunks(RECORDED_AT_ONCE);
        let mut health = Health::Serves;
        let mut lost = None;
        while let Some(batch) = executed.next().await {
            health = batch.iter().map(health_after).fold(health, worse);
            self.sightings.of_batch(pair, &batch);
            // Calls that are under way are let end, whatever became of recording others.
            if let Err(error) = self.record_batch(pair, target, &batch).await {
                lost = Some(error);
            }
        }
        match lost {
            Some(error) => Err(error),
            None => Ok(health),
        }
    }

    /// Records a batch; if that fails, one by one: what cannot be recorded takes nothing else along.
    async fn record_batch(&self, pair: Pair, target: &OpenTarget, batch: &[Executed]) -> Result<()> {
        match self.record(pair, target, batch).await {
            Err(error) if batch.len() > 1 && error.kind() != Kind::Unavailable => {
                let mut lost = Ok(());
                for one in batch.chunks(1) {
                    if let Err(error) = self.record(pair, target, one).await {
                        lost = Err(error);
                    }
                }
                lost
            }
            recorded => recorded,
        }
    }

    /// Records some claims. While the database is away the outcomes are kept and tried again, for as long as the lease
    /// lasts; what cannot be recorded stays claimed, and is taken over as unknown.
    async fn record(&self, pair: Pair, target: &OpenTarget, batch: &[Executed]) -> Result<()> {
        loop {
            let recorded =
                record::record(&self.database, &self.clock, self.lease.worker, pair, target, batch).await;
            match recorded {
                Ok(ours) if ours < batch.len() => {
                    tracing::warn!(lost = batch.len() - ours, connector = %pair.connector, "lanes were taken over");
                    return Ok(());
                }
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == Kind::Unavailable && self.lease.is_held() => {
                    tracing::warn!(error = with_sources(&error), "outcomes wait for the database");
                    tokio::time::sleep(self.limits.poll).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The other accounts of the claims' identities, where the mapping refers to them.
    async fn references(&self, pair: Pair, target: &OpenTarget, claims: &[Claim]) -> Result<Vec<References>> {
        if !target.uses_links() {
            return Ok(vec![References::default(); claims.len()]);
        }
        let people: Vec<_> = claims.iter().filter_map(|claim| Some(claim.identity.as_ref()?.id)).collect();
        let mut tx = self.database.begin(pair.tenant).await?;
        let mut known: HashMap<IdentityId, References> = HashMap::new();
        for (identity, connector, account) in link::references(&mut tx, pair.tenant, &people).await? {
            known.entry(identity).or_default().0.insert(connector, account);
        }
        db::commit(tx).await?;
        let of = |claim: &Claim| Some(known.get(&claim.identity.as_ref()?.id)?.clone());
        Ok(claims.iter().map(|claim| of(claim).unwrap_or_default()).collect())
    }

    /// Nothing can be claimed now: says when to look again, unless an enqueue is under way.
    async fn rest(&self, pair: Pair) -> Result<()> {
        let mut tx = self.database.begin(pair.tenant).await?;
        if work::lock_against_enqueues(&mut tx, pair).await? {
            let due = lane::next_due(&mut tx, pair.tenant, pair.connector, self.clock.now()).await?;
            work::save_due(&mut tx, pair, due).await?;
        }
        db::commit(tx).await
    }

    /// Nothing may be written for this pair: it is looked at again when its connector changes. It may just have: hence
    /// under its lock.
    async fn set_aside(&self, pair: Pair) -> Result<()> {
        let mut tx = self.database.begin(pair.tenant).await?;
        if work::lock_against_enqueues(&mut tx, pair).await? {
            let found = connector::find(&mut tx, pair.tenant, pair.connector).await?;
            if !found.is_some_and(|connector| may_be_written(&connector)) {
                work::save_due(&mut tx, pair, None).await?;
            }
        }
        db::commit(tx).await
    }

    /// Bad credentials stop the connector at the first refusal: more tries could lock its login.
    pub(super) async fn stop_connector(&self, pair: Pair) -> Result<()> {
        tracing::error!(tenant = %pair.tenant, connector = %pair.connector, "the target refuses our credentials");
        let mut tx = self.database.begin(pair.tenant).await?;
        connector::pause(&mut tx, pair.tenant, pair.connector, Some(BAD_CREDENTIALS), self.clock.now())
            .await?;
        db::commit(tx).await
    }
}

/// Whether operations may be executed at all: not while their connector is paused or only observes.
fn may_be_written(connector: &Connector) -> bool {
    !connector.paused && connector.mode != Mode::Observe
}

fn health_after(executed: &Executed) -> Health {
    match executed.tries.last().map(|tried| &tried.outcome) {
        Some(outcome) if outcome.is(FailureKind::BadCredentials) => Health::BadCredentials,
        Some(outcome) if outcome.is(FailureKind::Down) => Health::Down,
        Some(
            Outcome::Completed(_) | Outcome::Failed(_) | Outcome::PremiseGone(_) | Outcome::Conflict { .. },
        )
        | None => Health::Serves,
    }
}

fn worse(one: Health, other: Health) -> Health {
    match (one, other) {
        (Health::BadCredentials, _) | (_, Health::BadCredentials) => Health::BadCredentials,
        (Health::Down, _) | (_, Health::Down) => Health::Down,
        (Health::Serves, Health::Serves) => Health::Serves,
    }
}
