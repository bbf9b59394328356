//! The expected side of a run: what every identity calls for, from one snapshot, ended by a proof.
//!
//! A page is fetched while the one before it is evaluated. The digest of an identity that has not changed is taken
//! from its link; a new one is stored there, behind the reader's back, for the next run.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use xavyo_core::{
    account::{AccountKey, AccountState},
    account_state,
    connector::{Connector, Deprovision},
    correlation::CorrelationKey,
    digest::{self, Digest},
    error::Result,
    ids::{IdentityId, LinkId, TenantId},
    mapping::{Evaluation, Program, References},
};
use xavyo_runtime::{
    auth::Caller,
    db::{self, Transaction},
};

use super::{Accounts, Kind, check_kind, unknown_kind};
use crate::store::{
    account::{
        AccountKind,
        expected::{self as rows, LinkedAccount, Row},
        in_flight::{self, InFlight},
    },
    connector,
    link::{self, digest::ExpectedDigest, rejection},
};

/// Identities a page.
const PAGE: i64 = 500;

/// Pages that wait for a slow reader; then the snapshot waits too.
const WAITING: usize = 4;

/// What the stream yields: pages, then the proof.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Page(Vec<ExpectedAccount>),
    /// Accounts without a link that the queue holds something for.
    Busy(Vec<AccountKey>),
    Proof(Proof),
}

/// What one identity calls for.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedAccount {
    pub identity_id: IdentityId,
    pub standing: Evaluation,
    /// Of a linked account; None = no opinion.
    pub state: Option<AccountState>,
    pub link: Option<LinkedAccount>,
    /// Of a linked account; None where an attribute is unmanaged or failed.
    pub digest: Option<Digest>,
    /// None = an expression failed: an account may be this identity's all the same.
    pub correlation_keys: Option<Vec<CorrelationKey>>,
    pub in_flight: bool,
    pub rejected: Vec<AccountKey>,
}

/// That everything was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub count: i64,
    pub revision: i32,
    /// Identities of which an expression failed.
    pub unevaluable: i64,
}

impl Accounts {
    /// The receiver ends after the proof or after an error. Dropping it ends the read.
    pub async fn read_expected(&self, caller: &Caller, kind: Kind) -> Result<mpsc::Receiver<Result<Item>>> {
        let tenant = caller.tenant;
        let mut tx = self.database.begin_snapshot(tenant).await?;
        let connector = connector::get(&mut tx, tenant, kind.connector_id).await?;
        check_kind(&connector, &kind)?;
        let compiled = self.targets.programs().of(tenant, &connector).await?;
        let program = compiled.program(&kind.object_class, &kind.intent).ok_or_else(unknown_kind)?;
        let rules = Arc::new(Rules {
            program: Program::clone(program),
            deprovision: connector.policies.deprovision,
            revision: connector.revision,
            now: self.clock.now(),
        });
        let (items, receiver) = mpsc::channel(WAITING);
        let reading = Reading { accounts: self.clone(), tenant, rules, kind: account_kind(kind), items };
        tokio::spawn(async move {
            if let Err(error) = reading.run(tx, &connector).await {
                // Fails only if the reader has gone.
                reading.items.send(Err(error)).await.ok();
            }
        });
        Ok(receiver)
    }
}

fn account_kind(kind: Kind) -> AccountKind {
    AccountKind { connector_id: kind.connector_id, object_class: kind.object_class, intent: kind.intent }
}

/// What every record is judged by.
struct Rules {
    program: Program,
    deprovision: Deprovision,
    revision: i32,
    now: DateTime<Utc>,
}

/// One read under way.
struct Reading {
    accounts: Accounts,
    tenant: TenantId,
    rules: Arc<Rules>,
    kind: AccountKind,
    items: mpsc::Sender<Result<Item>>,
}

/// A row with all that its evaluation needs.
struct Record {
    row: Row,
    in_flight: bool,
    references: References,
    rejected: Vec<AccountKey>,
}

/// What few identities have, read once.
struct Extras {
    rejected: HashMap<IdentityId, Vec<AccountKey>>,
    in_flight: InFlight,
}

/// What evaluating a record made.
struct Evaluated {
    account: ExpectedAccount,
    is_unevaluable: bool,
    /// To be kept for the next run.
    fresh: Option<(LinkId, ExpectedDigest)>,
}

impl Reading {
    async fn run(&self, mut tx: Transaction, connector: &Connector) -> Result<()> {
        rows::keep_order(&mut tx).await?;
        let class = &self.kind.object_class;
        let mut extras = Extras {
            rejected: rejection::of_connector(&mut tx, self.tenant, connector.id, class).await?,
            in_flight: in_flight::of_kind(&mut tx, self.tenant, &self.kind).await?,
        };
        let busy = in_flight::without_link(&mut tx, self.tenant, &self.kind).await?;
        if !busy.is_empty() && self.items.send(Ok(Item::Busy(busy))).await.is_err() {
            return Ok(());
        }
        let mut proof = Proof { count: 0, revision: self.rules.revision, unevaluable: 0 };
        let mut after = None;
        let mut records = self.fetch(&mut tx, &mut after, &mut extras).await?;
        while !records.is_empty() {
            let evaluation = self.evaluate(std::mem::take(&mut records));
            let (evaluated, next) = tokio::join!(evaluation, self.fetch(&mut tx, &mut after, &mut extras));
            records = next?;
            if !self.send(evaluated?, &mut proof).await {
                return Ok(());
            }
        }
        // Fails only if the reader has gone.
        self.items.send(Ok(Item::Proof(proof))).await.ok();
        Ok(())
    }

    async fn fetch(
        &self,
        tx: &mut Transaction,
        after: &mut Option<IdentityId>,
        extras: &mut Extras,
    ) -> Result<Vec<Record>> {
        let rows = rows::page(tx, self.tenant, &self.kind, *after, PAGE).await?;
        *after = rows.last().map_or(*after, |row| Some(row.identity.id));
        let mut references = self.references(tx, &rows).await?;
        let record = |row: Row| {
            let id = row.identity.id;
            let lane = row.link.as_ref().map(|link| link.lane_id);
            let in_flight = extras.in_flight.identities.contains(&id)
                || lane.is_some_and(|lane| extras.in_flight.lanes.contains(&lane));
            let references = references.remove(&id).unwrap_or_default();
            Record { row, in_flight, references, rejected: extras.rejected.remove(&id).unwrap_or_default() }
        };
        Ok(rows.into_iter().map(record).collect())
    }

    async fn references(
        &self,
        tx: &mut Transaction,
        rows: &[Row],
    ) -> Result<HashMap<IdentityId, References>> {
        let mut references: HashMap<IdentityId, References> = HashMap::new();
        if self.rules.program.uses_links() {
            let ids: Vec<IdentityId> = rows.iter().map(|row| row.identity.id).collect();
            for (identity, connector, account) in link::references(tx, self.tenant, &ids).await? {
                references.entry(identity).or_default().0.entry(connector).or_insert(account);
            }
        }
        Ok(references)
    }

    async fn evaluate(&self, records: Vec<Record>) -> Result<Vec<Evaluated>> {
        let rules = Arc::clone(&self.rules);
        self.accounts.targets.programs().map(records, move |record| rules.evaluate(record)).await
    }

    /// False when nobody reads any more.
    async fn send(&self, evaluated: Vec<Evaluated>, proof: &mut Proof) -> bool {
        let mut page = Vec::with_capacity(evaluated.len());
        let mut fresh = Vec::new();
        for one in evaluated {
            proof.count += 1;
            proof.unevaluable += i64::from(one.is_unevaluable);
            fresh.extend(one.fresh);
            page.push(one.account);
        }
        self.keep(fresh).await;
        self.items.send(Ok(Item::Page(page))).await.is_ok()
    }

    /// Keeps digests for the next run. A cache: without it the next run computes them again.
    async fn keep(&self, fresh: Vec<(LinkId, ExpectedDigest)>) {
        if fresh.is_empty() {
            return;
        }
        let kept = async {
            let mut tx = self.accounts.database.begin(self.tenant).await?;
            link::digest::save(&mut tx, self.tenant, &fresh).await?;
            db::commit(tx).await
        };
        if let Err(error) = kept.await {
            tracing::debug!(%error, "digests were not kept");
        }
    }
}

impl Rules {
    fn evaluate(&self, record: Record) -> Evaluated {
        let Record { row: Row { identity, link }, in_flight, references, rejected } = record;
        let standing = self.program.scope(&identity);
        let correlation_keys = self.program.correlation_keys_of_identity(&identity).ok();
        let mut is_unevaluable = matches!(standing, Evaluation::Unknown(_)) || correlation_keys.is_none();
        let mut fresh = None;
        let digest = link.as_ref().and_then(|link| {
            self.kept(link, identity.version).or_else(|| {
                let expected = self.program.expected(&identity, &references);
                is_unevaluable |= !expected.failures.is_empty();
                let digest = digest::expected(&self.program, &expected)?;
                let (identity_version, revision) = (identity.version, self.revision);
                fresh = Some((link.id, ExpectedDigest { digest, identity_version, revision }));
                Some(digest)
            })
        });
        let account = ExpectedAccount {
            identity_id: identity.id,
            state: link.as_ref().and_then(|link| self.state(&standing, link.deprovision_due_at)),
            standing,
            link,
            digest,
            correlation_keys,
            in_flight,
            rejected,
        };
        Evaluated { account, is_unevaluable, fresh }
    }

    /// The kept digest, while everything that it was made from is as it was. References change behind its back.
    fn kept(&self, link: &LinkedAccount, identity_version: i64) -> Option<Digest> {
        let kept = link.digest?;
        let holds = kept.identity_version == identity_version && kept.revision == self.revision;
        (holds && !self.program.uses_links()).then_some(kept.digest)
    }

    fn state(&self, standing: &Evaluation, due_at: Option<DateTime<Utc>>) -> Option<AccountState> {
        state(standing, self.deprovision, due_at, self.now)
    }
}

/// The state that a linked account should be in; None = no opinion.
pub(super) fn state(
    standing: &Evaluation,
    deprovision: Deprovision,
    due_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<AccountState> {
    let is_due = due_at.is_some_and(|due_at| due_at <= now);
    match standing {
        Evaluation::In => account_state::expected(true, deprovision, is_due),
        Evaluation::Out => account_state::expected(false, deprovision, is_due),
        Evaluation::Unknown(_) => None,
    }
}
