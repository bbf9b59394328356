//! The first three phases: *prepare* loads the expected side into the index, *read* streams the target past it, *compare*
//! looks into what differs or is absent and writes the findings.
//!
//! Nothing is concluded unless every read has proven that it was complete (R1): a read that has not fails the run. A delta
//! hears and looks up less, and concludes less: [`delta`].

mod compare;
mod completeness;
mod confirm;
mod delta;
mod observe;
mod row;

use std::collections::BTreeMap;

use tokio::time::sleep_until;
use xavyo_core::{
    Error, Reason,
    classification::{AccountRef, Matcher, Reading},
    connector::Mode,
    error::Result,
    mapping::Program,
    run::Phase,
};
use xavyo_wire::pb::provisioning::{ExpectedAccount, TargetAccount};

pub(super) use self::delta::LeftOver;
use self::{
    delta::{Delta, Sides, Start},
    observe::{expect, observe},
};
use super::conduct::{Halt, Hand, connector_is_paused};
use crate::{
    crash::{self, Point},
    provisioning::{
        account::Kind,
        connector::ConnectorView,
        read::{ExpectedPage, Item, Proof},
    },
    runs::record::{ReadProof, Side},
    store::{baseline, finding, revisit},
};

/// One kind of account of the connector, while it is examined.
struct Matching<S> {
    pub kind: Kind,
    pub program: Program,
    pub state: S,
}

/// What came of one side.
struct Received {
    count: i64,
    links: i64,
}

impl Hand<'_> {
    /// Prepare, read, compare. Begun anew, it clears what it wrote before.
    pub(super) async fn examine(&mut self) -> Result<(), Halt> {
        match self.examine_once().await {
            Err(halt) if self.becomes_full(&halt) => self.examine_once().await,
            outcome => outcome,
        }
    }

    async fn examine_once(&mut self) -> Result<(), Halt> {
        let connector = self.session.connector(self.record.run.connector_id).await?;
        if connector.is_paused {
            return Err(connector_is_paused());
        }
        let starts = self.begin_anew(&connector).await?;
        let mut expected = Vec::with_capacity(connector.programs.len());
        for (program, start) in connector.programs.iter().zip(starts) {
            expected.push(self.prepare(&connector, program, start).await?);
        }
        crash::point(Point::RunPrepared);

        self.record.progress.reading_started_at = Some(self.engine.clock.now());
        self.enter(Phase::Read).await?;
        let mut read = Vec::with_capacity(expected.len());
        for matching in expected {
            read.push(self.read(&connector, matching).await?);
        }
        crash::point(Point::RunRead);

        self.enter(Phase::Compare).await?;
        for matching in read {
            let Matching { kind, program, state } = matching;
            let (findings, unsettled) = state.finish();
            let matching = Matching { kind, program, state: findings };
            self.left_over.push(LeftOver::of(&matching, unsettled));
            self.compare(&matching).await?;
        }
        self.spare_unjudged().await?;
        self.hand_on().await
    }

    /// In its first phase, with empty hands. Where it starts, by kind of account.
    async fn begin_anew(&mut self, connector: &ConnectorView) -> Result<Vec<Option<Start>>, Halt> {
        let mut tx = self.begin().await?;
        finding::delete_untouched(&mut tx, self.tenant(), self.record.run.id).await?;
        revisit::delete(&mut tx, self.tenant(), self.record.run.id).await?;
        let baselines = baseline::find_all(&mut tx, self.tenant(), connector.id).await?;
        let starts = self.find_starts(&mut tx, connector, &baselines).await?;
        let reads_all = starts.iter().all(Option::is_none);
        // Nothing is done by itself before a run has shown what there is, nor where nothing may be written.
        let may_act = !baselines.is_empty() && connector.mode != Mode::Observe;
        self.policies = if may_act { connector.policies.remediation.clone() } else { BTreeMap::new() };
        let run = &mut self.record.run;
        run.phase = Phase::Prepare;
        run.connector_revision = Some(connector.revision);
        run.accounts_processed = 0;
        self.record.proofs.clear();
        self.record.spared.clear();
        self.written.clear();
        self.left_over.clear();
        let progress = &mut self.record.progress;
        *progress = crate::runs::record::Progress { sequence: progress.sequence, ..Default::default() };
        progress.accounts_expected =
            (reads_all && !baselines.is_empty()).then(|| baselines.iter().map(|it| it.target_count).sum());
        self.save_with(tx).await?;
        Ok(starts)
    }

    /// Loads what every identity calls for.
    async fn prepare(
        &mut self,
        connector: &ConnectorView,
        program: &Program,
        start: Option<Start>,
    ) -> Result<Matching<Sides>, Halt> {
        let kind = Kind::of(connector.id, program.object_type());
        let mut matcher = Matcher::new(&program.object_type().correlation);
        let mut delta = start.map(Delta::new);
        let since = delta.as_ref().map(|delta| delta.start.expected_watermark.as_str());
        let mut read = self.session.read_expected(&kind, since).await?;
        let (mut count, mut links) = (0, 0);
        let proof = loop {
            tokio::select! {
                item = read.next() => match item? {
                    Item::Page(page) => {
                        links += page.links();
                        count += i64::try_from(page.accounts.len()).unwrap_or(i64::MAX);
                        load(&mut matcher, &page)?;
                        delta.as_mut().map_or(Ok(()), |delta| delta.expect(&page))?;
                    }
                    Item::Proof(proof) => break proof,
                },
                () = sleep_until(self.save_at) => self.save_now_and_then().await?,
                () = self.stop.cancelled() => return Err(Halt::Leaving),
            }
        };
        completeness::check_expressions(proof.unevaluable, count)?;
        self.accept(connector, &kind, Side::Expected, proof, Received { count, links })?;
        self.check_against_baseline(&kind, Side::Expected, count).await?;
        if let Some(delta) = &delta {
            self.add_evidence(&delta.expected_evidence());
        }
        let state = Sides { reading: matcher.ready(), delta };
        Ok(Matching { kind, program: program.clone(), state })
    }

    /// Streams the target's accounts past the index: all of them, or what changed.
    async fn read(
        &mut self,
        connector: &ConnectorView,
        mut matching: Matching<Sides>,
    ) -> Result<Matching<Sides>, Halt> {
        let since = matching.state.delta.as_ref().map(|delta| delta.start.watermark.as_str());
        let mut read = self.session.read_target(&matching.kind, since).await?;
        let mut count = 0;
        let proof = loop {
            tokio::select! {
                item = read.next() => match item? {
                    Item::Page(page) => {
                        pass(&mut matching.state.reading, &page.accounts)?;
                        if let Some(delta) = &mut matching.state.delta {
                            delta.hear(&matching.state.reading, &page);
                        }
                        count += page.count();
                        let told = i64::try_from(page.accounts.len()).unwrap_or(i64::MAX);
                        self.record.run.accounts_processed += told;
                        crash::point(Point::RunReading);
                    }
                    Item::Proof(proof) => break proof,
                },
                () = sleep_until(self.save_at) => self.save_now_and_then().await?,
                () = self.stop.cancelled() => return Err(Halt::Leaving),
            }
        };
        self.record.progress.calls_made += proof.calls_made;
        self.record.progress.set_apart.unevaluable += proof.unevaluable;
        self.accept(connector, &matching.kind, Side::Target, proof, Received { count, links: 0 })?;
        if matching.state.delta.is_none() {
            self.check_against_baseline(&matching.kind, Side::Target, count).await?;
        }
        self.look_up(&mut matching).await?;
        Ok(matching)
    }

    /// Keeps the proof as evidence; INCOMPLETE_READ unless it proves that everything came.
    fn accept(
        &mut self,
        connector: &ConnectorView,
        kind: &Kind,
        side: Side,
        proof: Proof,
        Received { count, links }: Received,
    ) -> Result<()> {
        let complete = proof.complete && proof.count == count;
        let evidence = if proof.count == count {
            proof.evidence
        } else {
            format!("{}; {} were sent and {count} received", proof.evidence, proof.count)
        };
        self.record.proofs.push(ReadProof {
            side,
            object_class: kind.object_class.clone(),
            intent: kind.intent.clone(),
            complete,
            evidence: evidence.clone(),
            count,
            links,
            watermark: proof.watermark,
        });
        if proof.connector_revision != connector.revision {
            return Err(Error::new(Reason::Contended, "the connector was changed while it was read"));
        }
        if complete { Ok(()) } else { Err(completeness::incomplete(side, &evidence)) }
    }

    /// A target that shows far fewer accounts than the last complete read saw is not taken to be complete, whatever it says
    /// itself, unless somebody has said so in advance; nor is a source of identities that has suddenly none.
    async fn check_against_baseline(&mut self, kind: &Kind, side: Side, count: i64) -> Result<(), Halt> {
        let mut tx = self.begin().await?;
        let baselines = baseline::find_all(&mut tx, self.tenant(), kind.connector_id).await?;
        drop(tx);
        let Some(last) = baselines.iter().find(|it| it.is_of(kind)) else { return Ok(()) };
        let judged = match side {
            Side::Expected => completeness::of_identities(count, last.expected_count),
            Side::Target => {
                let accepted = self.record.run.accept_count_at_least;
                completeness::against_baseline(count, last.target_count, accepted)
            }
        };
        let proof = self.add_evidence(&judged.evidence);
        proof.complete = judged.is_complete;
        if judged.is_complete {
            return Ok(());
        }
        Err(Halt::Failed(completeness::incomplete(side, &judged.evidence)))
    }

    /// Says more of the read that has just been accepted.
    fn add_evidence(&mut self, more: &str) -> &mut ReadProof {
        let proof = self.record.proofs.last_mut().expect("the read has just been accepted");
        proof.evidence = format!("{}; {more}", proof.evidence);
        proof
    }
}

fn load(matcher: &mut Matcher, page: &ExpectedPage) -> Result<()> {
    for account in &page.accounts {
        let account: &ExpectedAccount = account;
        expect(matcher, account)?;
    }
    for busy in &page.busy {
        let account = AccountRef {
            external_uid: busy.external_uid.as_deref().unwrap_or_default(),
            immutable_id: busy.immutable_id.as_deref(),
        };
        matcher.expect_busy_account(account);
    }
    Ok(())
}

fn pass(reading: &mut Reading, accounts: &[TargetAccount]) -> Result<()> {
    accounts.iter().try_for_each(|account| observe(reading, account))
}
