//! What a delta does differently: it starts from the marks of the last completed run, hears of the target only what changed
//! since, and looks up one by one whatever else it must see.
//!
//! That is: the accounts of whoever changed on the expected side; the accounts that lost their links; those whose owners the
//! target's tombstones name; what the last run handed on, first of all every account without a link; and the own accounts of
//! those whom an unlinked one resembles. What it then finds of unlinked accounts, and of identities without a link, is what a
//! full run would find; of linked ones it judges those that it saw ([`xavyo_core::classification`]).

use std::collections::BTreeSet;

use xavyo_core::{
    Error, Reason,
    account::AccountKey,
    classification::{AccountRef, Findings, Proof, Reading, TargetRecord},
    error::Result,
    ids::{IdentityId, RunId, TenantId},
    run::{self, MAX_REVISITED, ReconciliationMode},
};
use xavyo_runtime::db::Transaction;
use xavyo_wire::pb::provisioning as pb;

use super::{Matching, observe::identity};
use crate::{
    provisioning::{
        account::{BATCH, Kind, Pair, Selector},
        connector::ConnectorView,
        read::{ExpectedPage, TargetPage},
    },
    runs::basis::basis,
    store::{
        baseline::{self, Baseline},
        revisit::{self, Revisits},
    },
    worker::conduct::{Halt, Hand},
};

/// Where a delta starts, of one kind of account.
#[derive(Debug)]
pub(super) struct Start {
    pub watermark: String,
    pub expected_watermark: String,
    /// The run whose marks they are.
    run_id: RunId,
    revisits: Revisits,
}

/// One kind of account, while a delta reads it.
#[derive(Debug)]
pub(super) struct Delta {
    pub start: Start,
    /// To be looked up.
    wanted: Revisits,
    /// Accounts that the target has told of.
    told: BTreeSet<AccountKey>,
    /// Identities whose links turned out to be others than when the expected side was read.
    unsettled: BTreeSet<IdentityId>,
    changed: usize,
    looked_up: usize,
}

/// The index, and of a delta what else it needs.
#[derive(Debug)]
pub(super) struct Sides {
    pub reading: Reading,
    pub delta: Option<Delta>,
}

/// What a run leaves behind, of one kind of account.
#[derive(Debug)]
pub(in crate::worker) struct LeftOver {
    pub kind: Kind,
    /// For the next delta.
    pub revisits: Revisits,
    /// Linked identities that a delta did not judge, in order.
    unjudged: Vec<IdentityId>,
}

impl Start {
    /// One of each of the connector's kinds of account, in their order.
    async fn find_all(
        tx: &mut Transaction,
        tenant: TenantId,
        connector: &ConnectorView,
        baselines: &[Baseline],
    ) -> Result<Vec<Option<Self>>> {
        let mut starts = Vec::with_capacity(connector.programs.len());
        for program in &connector.programs {
            let kind = Kind::of(connector.id, program.object_type());
            let marks = baselines.iter().find(|it| it.is_of(&kind)).and_then(|it| {
                Some((it.watermark.clone()?, it.expected_watermark.clone()?, RunId(it.marked_by_run_id?)))
            });
            let Some((watermark, expected_watermark, run_id)) = marks else {
                return Err(Error::internal("a delta has begun without its marks"));
            };
            let revisits = revisit::find_all(tx, tenant, run_id, &kind).await?;
            starts.push(Some(Self { watermark, expected_watermark, run_id, revisits }));
        }
        Ok(starts)
    }
}

impl Delta {
    pub fn new(start: Start) -> Self {
        Self {
            wanted: start.revisits.clone(),
            start,
            told: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            changed: 0,
            looked_up: 0,
        }
    }

    /// Takes note of whom to look up for a page of the expected side.
    pub fn expect(&mut self, page: &ExpectedPage) -> Result<()> {
        for account in page.accounts.iter().filter(|account| account.changed && account.link.is_some()) {
            self.wanted.identities.insert(identity(&account.identity_id)?);
            self.changed += 1;
        }
        self.wanted.accounts.extend(page.former.iter().map(|former| AccountKey {
            external_uid: former.external_uid.clone(),
            immutable_id: former.immutable_id.clone(),
        }));
        Ok(())
    }

    /// Takes note of what the target tells.
    pub fn hear(&mut self, reading: &Reading, page: &TargetPage) {
        let key = |account: &pb::TargetAccount| AccountKey {
            external_uid: account.external_uid.clone(),
            immutable_id: account.immutable_id.clone(),
        };
        self.told.extend(page.accounts.iter().map(key));
        let owner = |gone: &pb::GoneAccount| {
            reading.owner(AccountRef {
                external_uid: &gone.external_uid,
                immutable_id: gone.immutable_id.as_deref(),
            })
        };
        self.wanted.identities.extend(page.gone.iter().filter_map(owner));
    }

    fn selectors(&self) -> Vec<Selector> {
        let identities = self.wanted.identities.iter().map(|id| Selector::identity(*id));
        let accounts = self.wanted.accounts.iter().filter(|account| !self.told.contains(account));
        identities.chain(accounts.map(|account| Selector::account(account.clone()))).collect()
    }

    /// In words, after those of the target's own.
    fn evidence(&self) -> String {
        format!(
            "what changed since run {}, and {} accounts looked up one by one; linked accounts that did not change were not \
             compared",
            self.start.run_id, self.looked_up
        )
    }

    pub fn expected_evidence(&self) -> String {
        format!("{} with a link may have changed since run {}", self.changed, self.start.run_id)
    }
}

impl Sides {
    /// What the target said of an account that it was asked for by itself. False where there was none to ask for.
    fn learn(&mut self, selector: &Selector, pair: &Pair) -> bool {
        let linked = pair.link.as_ref().map(|link| &link.account);
        let account = selector.account.as_ref().or(linked);
        let whose = match (&pair.live, account) {
            (Some(live), _) => {
                self.reading.observe(TargetRecord {
                    account: AccountRef {
                        external_uid: &live.external_uid,
                        immutable_id: live.immutable_id.as_deref(),
                    },
                    state: live.state(),
                    digest: pair.live_digest,
                    keys: &pair.live_keys,
                    protected: pair.is_protected,
                });
                linked.and_then(|account| self.reading.owner(account.into()))
            }
            (None, Some(account)) => self.reading.observe_gone(account.into()),
            (None, None) => None,
        };
        if let Some(delta) = &mut self.delta {
            delta.looked_up += usize::from(account.is_some());
            let asked = selector.identity_id.filter(|_| linked.is_some());
            delta.unsettled.extend(asked.filter(|identity| whose != Some(*identity)));
        }
        account.is_some()
    }

    pub fn finish(self) -> (Findings, BTreeSet<IdentityId>) {
        match self.delta {
            None => (self.reading.finish(Proof { expected: true, target: true }), BTreeSet::new()),
            Some(delta) => (self.reading.finish_changes(), delta.unsettled),
        }
    }
}

impl LeftOver {
    pub(super) fn of(matching: &Matching<Findings>, unsettled: BTreeSet<IdentityId>) -> Self {
        // One more than a delta takes tells as much as all of them.
        let most = usize::try_from(MAX_REVISITED).unwrap_or(usize::MAX) + 1;
        let findings = &matching.state;
        let mut identities = unsettled;
        identities.extend(findings.passed_over().take(most));
        let accounts = findings.strangers().take(most).map(AccountKey::from).collect();
        let mut unjudged: Vec<IdentityId> = findings.unjudged().collect();
        unjudged.sort_unstable();
        Self { kind: matching.kind.clone(), revisits: Revisits { identities, accounts }, unjudged }
    }

    pub(super) fn has_judged(&self, identity: IdentityId) -> bool {
        self.unjudged.binary_search(&identity).is_err()
    }
}

impl Hand<'_> {
    fn is_delta(&self) -> bool {
        self.record.run.mode == ReconciliationMode::Delta
    }

    /// Where to start, by kind of account; none = everything is read. What was there to start from when the run was asked for
    /// may be so no more.
    pub(super) async fn find_starts(
        &mut self,
        tx: &mut Transaction,
        connector: &ConnectorView,
        baselines: &[Baseline],
    ) -> Result<Vec<Option<Start>>> {
        if self.is_delta() {
            let origin = baseline::find_origin(tx, self.tenant(), connector.id).await?;
            let basis = basis(connector, baselines, origin, None);
            let run = &mut self.record.run;
            (run.mode, run.mode_note) = run::choose(run.mode, &basis, self.engine.clock.now());
        }
        if self.is_delta() {
            return Start::find_all(tx, self.tenant(), connector, baselines).await;
        }
        Ok(connector.programs.iter().map(|_| None).collect())
    }

    /// A delta of which one side cannot say what changed becomes a full run.
    pub(super) fn becomes_full(&mut self, halt: &Halt) -> bool {
        let Halt::Failed(error) = halt else { return false };
        if !self.is_delta() || !cannot_be_told(error) {
            return false;
        }
        self.record.run.mode = ReconciliationMode::Full;
        self.record.run.mode_note = Some(error.message.clone());
        true
    }

    /// Looks up what the target may not have told of.
    pub(super) async fn look_up(&mut self, matching: &mut Matching<Sides>) -> Result<(), Halt> {
        let Some(delta) = &matching.state.delta else { return Ok(()) };
        let mut asked = delta.wanted.identities.clone();
        let mut selectors = delta.selectors();
        loop {
            for batch in selectors.chunks(BATCH) {
                let pairs = self.session.pairs(&matching.kind, batch).await?;
                for (selector, pair) in batch.iter().zip(&pairs) {
                    let was_named = matching.state.learn(selector, pair);
                    self.record.run.accounts_processed += i64::from(was_named);
                }
                self.save_now_and_then().await?;
            }
            // Each round may show an account that resembles somebody else.
            let open = matching.state.reading.open_candidates();
            selectors = open.filter(|identity| asked.insert(*identity)).map(Selector::identity).collect();
            if selectors.is_empty() {
                break;
            }
        }
        if let Some(delta) = &matching.state.delta {
            self.add_evidence(&delta.evidence());
        }
        Ok(())
    }

    /// Writes what is left to the next delta, for the run's completion.
    pub(super) async fn hand_on(&mut self) -> Result<(), Halt> {
        if self.record.run.dry_run {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        for left_over in &self.left_over {
            let LeftOver { kind, revisits, unjudged: _ } = left_over;
            let run = self.record.run.id;
            revisit::insert(&mut tx, &self.engine.clock, self.tenant(), run, kind, revisits).await?;
        }
        self.save_with(tx).await
    }
}

/// One side refuses its mark, or cannot say what changed.
fn cannot_be_told(error: &Error) -> bool {
    let is_so = |code: &str| code == "NOT_OFFERED" || code == "WATERMARK_EXPIRED";
    match error.reason {
        Reason::TokenTooOld => true,
        Reason::TargetRefused => error.facts.iter().any(|(fact, code)| *fact == "code" && is_so(code)),
        _ => false,
    }
}
