//! The third phase: what the index concludes is confirmed in bulk against both sides as they are now, and written.

use std::collections::HashMap;

use tokio::task::JoinHandle;
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    account::AccountKey,
    classification::Findings,
    discrepancy::{Discrepancy, DiscrepancyType},
    error::Result,
    fingerprint::Fingerprint,
    ids::{DiscrepancyId, IdentityId, LinkId},
};
use xavyo_runtime::db::Transaction;

use super::{
    Matching,
    confirm::{Conclusion, Verdict},
    row::Author,
};
use crate::{
    crash::{self, Point},
    provisioning::{
        Session,
        account::{BATCH, Kind, Pair, Renamed, Selector},
    },
    store::{discrepancy, finding, ignore},
    worker::conduct::{Halt, Hand},
};

impl Hand<'_> {
    /// Confirms and writes everything that was found of one kind of account.
    pub(super) async fn compare(&mut self, matching: &Matching<Findings>) -> Result<(), Halt> {
        let findings = &matching.state;
        let counts = findings.counts();
        let set_apart = &mut self.record.progress.set_apart;
        set_apart.protected += counts.protected;
        set_apart.in_flight += counts.in_flight;
        set_apart.unevaluable += counts.unevaluable;
        set_apart.suppressed += counts.suppressed;
        set_apart.renamed += counts.renamed;
        if !self.record.run.dry_run {
            self.refresh_links(matching).await?;
        }
        self.look_into(matching, findings.differing()).await?;
        self.look_into(matching, findings.collisions()).await?;
        self.look_into(matching, findings.unlinked()).await?;
        self.look_into(matching, findings.deleted()).await?;
        self.look_into(matching, findings.orphans()).await?;
        self.look_into(matching, findings.missing()).await
    }

    /// Confirms conclusions batch by batch and writes what holds; the next batch is read meanwhile.
    async fn look_into<C: Conclusion>(
        &mut self,
        matching: &Matching<Findings>,
        conclusions: impl Iterator<Item = C>,
    ) -> Result<(), Halt> {
        let mut batches = Batches(conclusions);
        let mut ahead = batches.next().map(|batch| Reading::begin(&self.session, &matching.kind, batch));
        while let Some(reading) = ahead.take() {
            ahead = batches.next().map(|batch| Reading::begin(&self.session, &matching.kind, batch));
            let (batch, pairs) = reading.end().await?;
            let rows = self.judge(matching, &batch, &pairs);
            self.write(rows).await?;
        }
        Ok(())
    }

    /// The rows of what holds; the rest is counted in flight.
    fn judge<C: Conclusion>(
        &mut self,
        matching: &Matching<Findings>,
        batch: &[C],
        mut pairs: &[Pair],
    ) -> Vec<Discrepancy> {
        let (mut rows, mut in_flight, mut again) = (Vec::new(), 0, Vec::new());
        let author = self.author(matching);
        for conclusion in batch {
            let (own, rest) = pairs.split_at(conclusion.selectors().len());
            pairs = rest;
            match conclusion.confirm(&author, own) {
                Verdict::Holds(found) => rows.extend(found),
                Verdict::InFlight => {
                    in_flight += 1;
                    again.extend(conclusion.linked_identity());
                }
            }
        }
        self.look_again(&matching.kind, again);
        self.record.progress.set_apart.in_flight += in_flight;
        rows
    }

    /// These linked identities are the next delta's to judge.
    fn look_again(&mut self, kind: &Kind, identities: Vec<IdentityId>) {
        let of_kind = self.left_over.iter_mut().find(|left_over| left_over.kind == *kind);
        if let Some(left_over) = of_kind {
            left_over.revisits.identities.extend(identities);
        }
    }

    fn author<'s>(&'s self, matching: &'s Matching<Findings>) -> Author<'s> {
        Author {
            tenant: self.tenant(),
            run_id: self.record.run.id,
            connector_revision: self.record.run.connector_revision.unwrap_or_default(),
            kind: &matching.kind,
            program: &matching.program,
            policies: &self.policies,
            secret_values: &self.engine.secret_values,
            clock: &self.engine.clock,
            now: self.engine.clock.now(),
        }
    }

    /// A batch of rows and the progress, in one transaction under the fence.
    async fn write(&mut self, mut rows: Vec<Discrepancy>) -> Result<(), Halt> {
        if rows.is_empty() {
            return self.save_now_and_then().await;
        }
        let mut tx = self.begin().await?;
        self.set_ignored_apart(&mut tx, &mut rows).await?;
        finding::insert_all(&mut tx, self.tenant(), &rows).await?;
        for row in &rows {
            self.record.progress.found.add(row.discrepancy_type, 1);
            self.written.insert(row.fingerprint);
        }
        self.record.run.discrepancies_found = self.record.progress.found.total;
        crash::point(Point::FindingsWritten);
        self.save_with(tx).await?;
        crash::point(Point::FindingsCommitted);
        if self.stop.is_cancelled() { Err(Halt::Leaving) } else { Ok(()) }
    }

    /// Findings that somebody ignores get no row: they are counted apart.
    async fn set_ignored_apart(&mut self, tx: &mut Transaction, rows: &mut Vec<Discrepancy>) -> Result<()> {
        let fingerprints: Vec<Fingerprint> = rows.iter().map(|row| row.fingerprint).collect();
        let (connector, now) = (self.record.run.connector_id, self.engine.clock.now());
        let ignored = ignore::find_ignored(tx, self.tenant(), connector, &fingerprints, now).await?;
        let found = rows.len();
        rows.retain(|row| !ignored.contains(&row.fingerprint));
        let set_apart = i64::try_from(found - rows.len()).unwrap_or(i64::MAX);
        self.record.progress.set_apart.ignored += set_apart;
        Ok(())
    }

    /// Tells the links of renamed accounts their present names: no finding.
    async fn refresh_links(&mut self, matching: &Matching<Findings>) -> Result<(), Halt> {
        let renamed: Vec<_> = matching.state.renamed().collect();
        for batch in renamed.chunks(BATCH) {
            let selectors: Vec<Selector> =
                batch.iter().map(|renamed| Selector::identity(renamed.identity)).collect();
            let pairs = self.session.pairs(&matching.kind, &selectors).await?;
            let links: HashMap<_, LinkId> = pairs
                .iter()
                .filter_map(|pair| pair.link.as_ref().map(|link| (link.identity_id, link.id)))
                .collect();
            let named = batch.iter().filter_map(|renamed| {
                let link_id = *links.get(&renamed.identity)?;
                Some(Renamed { link_id, account: renamed.account.into() })
            });
            let named: Vec<Renamed> = named.collect();
            self.session.refresh_links(matching.kind.connector_id, &named).await?;
            self.save_now_and_then().await?;
        }
        Ok(())
    }

    /// Of the older open findings that this run has not found again, those whose account or identity is in flight now were
    /// not judged: they are kept open. So are those of linked accounts that a delta did not look at.
    pub(super) async fn spare_unjudged(&mut self) -> Result<(), Halt> {
        if self.record.run.dry_run {
            return Ok(());
        }
        let mut after = Uuid::nil();
        loop {
            let mut tx = self.begin().await?;
            let of = (self.record.run.connector_id, self.record.run.id);
            let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
            let open = finding::find_open(&mut tx, self.tenant(), of, after, limit).await?;
            let Some(last) = open.last() else { return Ok(()) };
            after = last.id.0;
            let unconfirmed = open.iter().filter(|it| !self.written.contains(&it.fingerprint));
            let unconfirmed: Vec<Uuid> = unconfirmed.map(|it| it.id.0).collect();
            let older = discrepancy::find_all(&mut tx, self.tenant(), &unconfirmed).await?;
            drop(tx);
            let older = older.into_iter().map(|record| record.discrepancy);
            let (judged, left): (Vec<Discrepancy>, Vec<Discrepancy>) =
                older.partition(|row| self.has_judged(row));
            self.record.spared.extend(left.iter().map(|row| row.id));
            let in_flight = self.in_flight(&judged).await?;
            for row in judged.iter().filter(|row| in_flight.binary_search(&row.id).is_ok()) {
                let linked = linked_identity(row);
                self.look_again(&self.kind_of(row), linked.into_iter().collect());
            }
            self.record.spared.extend(in_flight);
            self.save_now_and_then().await?;
        }
    }

    /// What is said of accounts without a link, and of identities without one, every run judges.
    fn has_judged(&self, row: &Discrepancy) -> bool {
        let kind = self.kind_of(row);
        let left_over = self.left_over.iter().find(|left_over| left_over.kind == kind);
        match (left_over, linked_identity(row)) {
            (Some(left_over), Some(identity)) => left_over.has_judged(identity),
            (None, _) | (_, None) => true,
        }
    }

    fn kind_of(&self, row: &Discrepancy) -> Kind {
        Kind {
            connector_id: self.record.run.connector_id,
            object_class: row.object_class.clone(),
            intent: row.intent.clone(),
        }
    }

    async fn in_flight(&self, older: &[Discrepancy]) -> Result<Vec<DiscrepancyId>> {
        let mut by_kind: HashMap<(&str, &str), Vec<(DiscrepancyId, Selector)>> = HashMap::new();
        for row in older {
            let kind = by_kind.entry((&row.object_class, &row.intent)).or_default();
            kind.extend(subjects(row).into_iter().map(|subject| (row.id, subject)));
        }
        let mut in_flight = Vec::new();
        for ((object_class, intent), subjects) in by_kind {
            let kind = Kind {
                connector_id: self.record.run.connector_id,
                object_class: object_class.to_owned(),
                intent: intent.to_owned(),
            };
            let selectors: Vec<Selector> = subjects.iter().map(|(_, selector)| selector.clone()).collect();
            let pairs = match self.session.pairs(&kind, &selectors).await {
                // A kind of account that the connector no longer has: nothing of it is under way.
                Err(error) if error.reason == Reason::InvalidField => continue,
                pairs => pairs?,
            };
            let busy = subjects.iter().zip(&pairs).filter(|(_, pair)| pair.in_flight);
            in_flight.extend(busy.map(|((id, _), _)| *id));
        }
        in_flight.sort_unstable();
        in_flight.dedup();
        Ok(in_flight)
    }
}

/// Of a finding about a linked account: whose.
fn linked_identity(row: &Discrepancy) -> Option<IdentityId> {
    match row.discrepancy_type {
        DiscrepancyType::Mismatch | DiscrepancyType::Deleted => row.identity_id,
        DiscrepancyType::Missing
        | DiscrepancyType::Orphan
        | DiscrepancyType::Collision
        | DiscrepancyType::Unlinked => None,
    }
}

/// The pairs that an older finding is about.
fn subjects(row: &Discrepancy) -> Vec<Selector> {
    let identity = row.identity_id.map(Selector::identity);
    let account = row.external_uid.as_ref().map(|uid| {
        Selector::account(AccountKey { external_uid: uid.clone(), immutable_id: row.immutable_id.clone() })
    });
    let candidates = row.candidates.iter().map(|it| Selector::pair(it.identity_id, it.account.clone()));
    identity.or(account).into_iter().chain(candidates).collect()
}

/// A batch whose pairs are being read.
struct Reading<C> {
    batch: Vec<C>,
    pairs: JoinHandle<Result<Vec<Pair>>>,
}

impl<C: Conclusion> Reading<C> {
    fn begin(session: &Session, kind: &Kind, batch: Vec<C>) -> Self {
        let (session, kind) = (session.clone(), kind.clone());
        let selectors: Vec<Selector> = batch.iter().flat_map(C::selectors).collect();
        let pairs = tokio::spawn(async move { session.pairs(&kind, &selectors).await });
        Self { batch, pairs }
    }

    async fn end(self) -> Result<(Vec<C>, Vec<Pair>)> {
        let pairs = self.pairs.await.map_err(Error::internal)??;
        Ok((self.batch, pairs))
    }
}

/// Conclusions in batches of about [`BATCH`] pairs.
struct Batches<I>(I);

impl<C: Conclusion, I: Iterator<Item = C>> Iterator for Batches<I> {
    type Item = Vec<C>;

    fn next(&mut self) -> Option<Vec<C>> {
        let mut batch = Vec::new();
        let mut pairs = 0;
        while pairs < BATCH {
            let Some(conclusion) = self.0.next() else { break };
            pairs += conclusion.selectors().len();
            batch.push(conclusion);
        }
        Some(batch).filter(|batch| !batch.is_empty())
    }
}
