//! Draining one pair: claim, execute, record, again and again, until nothing can be claimed.

use std::{
    collections::HashMap,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use xavyo_core::{
    Error, Kind,
    connector::{Connector, FailureKind, Mode},
    error::Result,
    ids::IdentityId,
    mapping::References,
};
use xavyo_runtime::{db, lifecycle::with_sources};

use super::{
    Engine,
    claim::{self, Claim, Claimed},
    execute::execute,
    lease::Lease,
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
const RECORDED_AT_ONCE: usize = 512;

/// How long an outcome waits for others that may be recorded with it, while calls are still to come.
const GATHERED_FOR: Duration = Duration::from_millis(5);

/// Claims of a pair under way at once: while one is being recorded and another waits for its commit, the next calls the
/// target and one more is claimed.
const ROUNDS: usize = 4;

/// The lanes of the first claim; the next are larger while rounds are quick, and smaller when they are slow, so that
/// nobody waits behind lanes that lie in hand.
const FIRST_CLAIM: i64 = 64;
const QUICK: Duration = Duration::from_millis(250);
const SLOW: Duration = Duration::from_secs(1);

/// How long a pair is worked on at most, though no other waits: it is looked up anew.
const LONGEST_TURN: Duration = Duration::from_secs(5);

/// The pause before a pair is looked at again of which others make all calls.
const SHARE_AGAIN: Duration = Duration::from_millis(100);

/// What a recorded batch showed of the target as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Serves,
    Down,
    BadCredentials,
}

/// A claim that was executed, and what became of recording it.
#[derive(Debug)]
struct Round {
    health: Health,
    took: Duration,
    recorded: Result<()>,
}

/// Why no more is claimed.
enum Left {
    NothingToClaim,
    /// Nothing may be written for this pair.
    Forbidden,
    /// Other processes make all the calls that the connector allows.
    NoShare,
    TurnIsOver,
    Unwell(Health),
    /// The process stops, may not call any more, or a call has met a target that is unwell.
    Stopped,
}

impl Engine {
    /// Works on a pair until there is nothing to claim, its target is down, or the process stops.
    pub(super) async fn drain(&self, pair: Pair, stop: CancellationToken) -> Result<()> {
        let mut rounds = JoinSet::new();
        let left = self.run_rounds(pair, &stop, &mut rounds).await;
        let mut health = if let Ok(Left::Unwell(health)) = left { health } else { Health::Serves };
        let mut lost = Ok(());
        // Whatever ended the claiming: calls that are under way are let end.
        while let Some(ended) = rounds.join_next().await {
            match ended_round(ended) {
                Ok(round) => {
                    health = worse(health, round.health);
                    lost = lost.and(round.recorded);
                }
                Err(error) => lost = Err(error),
            }
        }
        if health == Health::BadCredentials {
            // Before any trouble of our own is told: each further call could lock our login.
            self.stop_connector(pair).await?;
        }
        lost?;
        match (left?, health) {
            (_, Health::BadCredentials) | (Left::Stopped | Left::Unwell(_), Health::Serves) => Ok(()),
            (_, Health::Down) => {
                tracing::warn!(tenant = %pair.tenant, connector = %pair.connector, "the target is down");
                Ok(())
            }
            (Left::NothingToClaim, Health::Serves) => self.rest(pair).await,
            (Left::Forbidden, Health::Serves) => self.set_aside(pair).await,
            (Left::TurnIsOver, Health::Serves) => self.give_way(pair).await,
            (Left::NoShare, Health::Serves) => {
                tokio::time::sleep(SHARE_AGAIN).await;
                Ok(())
            }
        }
    }

    /// Claims as long as it should; what is claimed runs in `rounds`, a few at once.
    async fn run_rounds(
        &self,
        pair: Pair,
        stop: &CancellationToken,
        rounds: &mut JoinSet<Result<Round>>,
    ) -> Result<Left> {
        let begun = Instant::now();
        let mut size = FIRST_CLAIM.min(self.limits.lanes_per_claim);
        let licence = self.lease.licence();
        while !stop.is_cancelled() && licence.is_held() {
            let has_none = rounds.is_empty();
            if self.looks.is_due(pair, has_none) {
                let Some(target) = self.open(pair).await? else { return Ok(Left::Forbidden) };
                self.take_over(pair, &target, has_none).await?;
            }
            let Some(target) = self.kept_or_open(pair).await? else { return Ok(Left::Forbidden) };
            let ahead = target.pacer.ahead().await;
            if ahead == 0 && rounds.is_empty() {
                return Ok(Left::NoShare);
            }
            let claims = match self.claim(pair, &target, size.min(i64::from(ahead))).await? {
                Claimed::Lanes(claims) => claims,
                Claimed::Outdated if self.open(pair).await?.is_some() => continue,
                Claimed::Outdated => return Ok(Left::Forbidden),
            };
            if claims.is_empty() {
                // What is under way may leave more behind it: lanes have followers.
                let Some(ended) = rounds.join_next().await else {
                    if self.release(pair, ahead).await? > 0 {
                        continue;
                    }
                    return Ok(Left::NothingToClaim);
                };
                let round = ended_round(ended)?;
                if round.health != Health::Serves {
                    return Ok(Left::Unwell(round.health));
                }
                round.recorded?;
            } else {
                let (engine, licence) = (self.clone(), licence.clone());
                rounds.spawn(async move { engine.work(pair, &target, licence, claims).await });
            }
            while rounds.len() >= ROUNDS {
                let Some(ended) = rounds.join_next().await else { break };
                let round = ended_round(ended)?;
                if round.health != Health::Serves {
                    return Ok(Left::Unwell(round.health));
                }
                round.recorded?;
                size = next_size(size, round.took).min(self.limits.lanes_per_claim);
            }
            if begun.elapsed() >= LONGEST_TURN || self.busy.is_turn_over(begun.elapsed()) {
                return Ok(Left::TurnIsOver);
            }
        }
        Ok(Left::Stopped)
    }

    /// Claims no more than may be called about now: the rest is left to whoever can. After an outage, what waited for the
    /// target is released at the pace of its ramp, before the rest of the queue.
    async fn claim(&self, pair: Pair, target: &OpenTarget, most: i64) -> Result<Claimed> {
        if most == 0 {
            return Ok(Claimed::Lanes(Vec::new()));
        }
        if target.pacer.is_limited() {
            self.release(pair, u32::try_from(most).unwrap_or(u32::MAX)).await?;
        }
        claim::claim(&self.database, &self.clock, self.lease.worker, pair, target, most).await
    }

    /// There is more to do, but others have waited for longer (Q10).
    async fn give_way(&self, pair: Pair) -> Result<()> {
        self.release(pair, u32::MAX).await?;
        let mut tx = self.database.begin(pair.tenant).await?;
        work::put_last(&mut tx, pair, self.clock.now()).await?;
        db::commit(tx).await
    }

    /// The pair's target as it was last opened here, at the cost of no look: the claim finds out whether it is outdated.
    /// What an outage holds is released before any claim, hence never for an outdated one.
    async fn kept_or_open(&self, pair: Pair) -> Result<Option<Arc<OpenTarget>>> {
        let serves =
            |target: &Arc<OpenTarget>| may_be_written(&target.connector) && !target.pacer.is_limited();
        match self.targets.kept(pair).filter(serves) {
            Some(target) => Ok(Some(target)),
            None => self.open(pair).await,
        }
    }

    /// The pair's target, or none where nothing may be written: deleted, paused or only observed.
    pub(super) async fn open(&self, pair: Pair) -> Result<Option<Arc<OpenTarget>>> {
        let mut tx = self.database.begin(pair.tenant).await?;
        let found = connector::find(&mut tx, pair.tenant, pair.connector).await?;
        db::leave(tx);
        match found {
            Some(connector) if may_be_written(&connector) => {
                Ok(Some(self.targets.open(pair.tenant, &connector).await?))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Executes claims side by side, as many at once as the connector allows, and records them as they end.
    async fn work(
        &self,
        pair: Pair,
        target: &Arc<OpenTarget>,
        licence: Lease,
        claims: Vec<Claim>,
    ) -> Result<Round> {
        let begun = Instant::now();
        let references = self.references(pair, target, &claims).await?;
        let at_once = usize::try_from(target.connector.policies.max_concurrency.0).unwrap_or(1).max(1);
        let executed = stream::iter(claims.into_iter().zip(references))
            .map(|(claim, references)| {
                execute(Arc::clone(target), self.clock.clone(), licence.clone(), references, claim)
            })
            .buffer_unordered(at_once);
        let mut executed =
            pin!(tokio_stream::StreamExt::chunks_timeout(executed, RECORDED_AT_ONCE, GATHERED_FOR));
        let mut health = Health::Serves;
        let mut recorded = Ok(());
        while let Some(batch) = executed.next().await {
            health = batch.iter().map(health_after).fold(health, worse);
            if health != Health::Serves {
                // What was granted was for a target that serves.
                target.pacer.expire();
            }
            self.sightings.of_batch(pair, &batch);
            // Calls that are under way are let end, whatever became of recording others.
            recorded = recorded.and(self.record_batch(pair, target, &batch).await);
            if target.pacer.is_limited() {
                recorded = recorded.and(self.count_answers(pair, &batch).await);
            }
        }
        Ok(Round { health, took: begun.elapsed(), recorded })
    }

    /// A target that is tried out after an outage has answered.
    async fn count_answers(&self, pair: Pair, batch: &[Executed]) -> Result<()> {
        let tries = batch.iter().flat_map(|executed| &executed.tries);
        let answers = tries.filter(|tried| tried.outcome.is_answered()).count();
        let mut tx = self.database.begin(pair.tenant).await?;
        work::count_successes(&mut tx, pair, i32::try_from(answers).unwrap_or(i32::MAX)).await?;
        db::commit(tx).await
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

/// A round that panicked leaves its lanes to the next take-over, as those of a dead worker.
fn ended_round(ended: std::result::Result<Result<Round>, JoinError>) -> Result<Round> {
    ended.map_err(Error::internal)?
}

fn next_size(size: i64, took: Duration) -> i64 {
    if took < QUICK {
        size * 2
    } else if took > SLOW {
        (size / 2).max(1)
    } else {
        size
    }
}

fn worse(one: Health, other: Health) -> Health {
    match (one, other) {
        (Health::BadCredentials, _) | (_, Health::BadCredentials) => Health::BadCredentials,
        (Health::Down, _) | (_, Health::Down) => Health::Down,
        (Health::Serves, Health::Serves) => Health::Serves,
    }
}
