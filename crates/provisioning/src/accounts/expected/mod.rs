//! The expected side of a run: what every identity calls for, from one snapshot, ended by a proof.
//!
//! A page is fetched while the one before it is evaluated. What an identity calls for that has not changed is taken
//! from its link; what is computed anew is stored there, behind the reader's back, for the next run.
//!
//! The proof carries a mark. A read since a mark tells everything all the same, and says which identities were written since.
//! Of links it tells the accounts of those that were removed: an account that was linked since was without a link before,
//! or made since. (The rows of links say nothing: keeping what was computed writes them.)

mod rules;

use std::{collections::HashMap, sync::Arc};

use tokio::sync::mpsc;
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    account::{AccountKey, AccountState},
    connector::Connector,
    correlation::CorrelationKey,
    digest::Digest,
    error::Result,
    ids::{IdentityId, TenantId},
    mapping::{Evaluation, Program, References},
};
use xavyo_runtime::{
    auth::Caller,
    db::{self, Transaction},
};

pub(super) use self::rules::state;
use self::rules::{Evaluated, Record, Rules};
use super::{Accounts, Kind, check_kind, unknown_kind};
use crate::store::{
    account::{
        AccountKind,
        expected::{self as rows, LinkedAccount, Row, Wanted},
        in_flight::{self, InFlight},
        mark::{self, Horizon},
    },
    connector,
    link::{
        self,
        kept::{self, Fresh},
        rejection,
    },
};

/// Identities a page.
const PAGE: i64 = 500;

/// Pages that wait for a slow reader; then the snapshot waits too.
const WAITING: usize = 4;

/// Which accounts to expect.
#[derive(Clone, Debug)]
pub struct ReadExpected {
    pub kind: Kind,
    /// The mark of an earlier proof of this kind: says what was written since. TOKEN_TOO_OLD where it is none of this
    /// database's, too old, or more than rows decides what is expected.
    pub since: Option<String>,
}

/// What the stream yields: pages, then the proof.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Page(Vec<ExpectedAccount>),
    /// Accounts without a link that the queue holds something for.
    Busy(Vec<AccountKey>),
    /// Accounts whose links were removed since the mark.
    Former(Vec<AccountKey>),
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
    /// What is expected may be another than at the mark.
    pub changed: bool,
}

/// That everything was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub count: i64,
    pub revision: i32,
    /// Identities of which an expression failed.
    pub unevaluable: i64,
    /// For a later read. None where references to accounts on other connectors decide, too: they change without a trace.
    pub mark: Option<Uuid>,
}

impl Accounts {
    /// The receiver ends after the proof or after an error. Dropping it ends the read.
    pub async fn read_expected(
        &self,
        caller: &Caller,
        command: ReadExpected,
    ) -> Result<mpsc::Receiver<Result<Item>>> {
        let ReadExpected { kind, since } = command;
        let tenant = caller.tenant;
        let mut tx = self.database.begin_snapshot(tenant).await?;
        let connector = connector::get(&mut tx, tenant, kind.connector_id).await?;
        check_kind(&connector, &kind)?;
        let compiled = self.targets.programs().of(tenant, &connector).await?;
        let program = compiled.program(&kind.object_class, &kind.intent).ok_or_else(unknown_kind)?;
        let span = Span {
            at: mark::horizon(&mut tx).await?,
            since: match since {
                Some(mark) => Some(since_of(&mut tx, tenant, program, &kind, &mark).await?),
                None => None,
            },
        };
        let rules = Arc::new(Rules {
            program: Program::clone(program),
            deprovision: connector.policies.deprovision,
            revision: connector.revision,
            now: self.clock.now(),
        });
        let (items, receiver) = mpsc::channel(WAITING);
        let kind = account_kind(kind);
        let reading = Reading { accounts: self.clone(), tenant, rules, kind, span, items };
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

/// What rows were written since the mark, or that nobody can say.
async fn since_of(
    tx: &mut Transaction,
    tenant: TenantId,
    program: &Program,
    kind: &Kind,
    mark: &str,
) -> Result<Horizon> {
    let refused = |why: &str| {
        let message = format!("what is expected otherwise since the mark cannot be told: {why}");
        Err(Error::new(Reason::TokenTooOld, message))
    };
    if program.uses_links() {
        return refused("the mapping refers to accounts on other connectors");
    }
    let Ok(id) = Uuid::try_parse(mark) else { return refused("it is no mark of the expected side") };
    match mark::find(tx, tenant, kind.connector_id, id).await? {
        Some(horizon) => Ok(horizon),
        None => refused("it is older than what is kept, or of another history of the database"),
    }
}

/// From where to where a read looks for changes.
#[derive(Clone, Copy)]
struct Span {
    at: Horizon,
    since: Option<Horizon>,
}

/// One read under way.
struct Reading {
    accounts: Accounts,
    tenant: TenantId,
    rules: Arc<Rules>,
    kind: AccountKind,
    span: Span,
    items: mpsc::Sender<Result<Item>>,
}

/// What few identities have, read once.
struct Extras {
    rejected: HashMap<IdentityId, Vec<AccountKey>>,
    in_flight: InFlight,
}

impl Reading {
    async fn run(&self, mut tx: Transaction, connector: &Connector) -> Result<()> {
        let class = &self.kind.object_class;
        let mut extras = Extras {
            rejected: rejection::of_connector(&mut tx, self.tenant, connector.id, class).await?,
            in_flight: in_flight::of_kind(&mut tx, self.tenant, &self.kind).await?,
        };
        let busy = in_flight::without_link(&mut tx, self.tenant, &self.kind).await?;
        if !busy.is_empty() && self.items.send(Ok(Item::Busy(busy))).await.is_err() {
            return Ok(());
        }
        if let Some(since) = self.span.since {
            let former = mark::unlinked_since(&mut tx, self.tenant, &self.kind, since).await?;
            if !former.is_empty() && self.items.send(Ok(Item::Former(former))).await.is_err() {
                return Ok(());
            }
        }
        rows::keep_order(&mut tx).await?;
        let mut proof = Proof { count: 0, revision: self.rules.revision, unevaluable: 0, mark: None };
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
        proof.mark = self.mark(connector).await?;
        // Fails only if the reader has gone.
        self.items.send(Ok(Item::Proof(proof))).await.ok();
        Ok(())
    }

    async fn mark(&self, connector: &Connector) -> Result<Option<Uuid>> {
        if self.rules.program.uses_links() {
            return Ok(None);
        }
        let clock = &self.accounts.clock;
        let id = clock.new_id();
        let mut tx = self.accounts.database.begin(self.tenant).await?;
        mark::insert(&mut tx, self.tenant, (id, connector.id), self.span.at, clock.now()).await?;
        db::commit(tx).await?;
        Ok(Some(id))
    }

    async fn fetch(
        &self,
        tx: &mut Transaction,
        after: &mut Option<IdentityId>,
        extras: &mut Extras,
    ) -> Result<Vec<Record>> {
        let wanted =
            Wanted { after: *after, limit: PAGE, since: self.span.since, revision: self.rules.kept_by() };
        let rows = rows::page(tx, self.tenant, &self.kind, wanted).await?;
        *after = rows.last().map_or(*after, |row| Some(row.identity_id));
        let mut references = self.references(tx, &rows).await?;
        let record = |row: Row| {
            let id = row.identity_id;
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
            let ids: Vec<IdentityId> = rows.iter().map(|row| row.identity_id).collect();
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

    /// A cache: without it the next run computes everything again.
    async fn keep(&self, fresh: Vec<Fresh>) {
        if fresh.is_empty() {
            return;
        }
        let kept = async {
            let mut tx = self.accounts.database.begin(self.tenant).await?;
            kept::save(&mut tx, self.tenant, self.rules.revision, &fresh).await?;
            db::commit(tx).await
        };
        if let Err(error) = kept.await {
            tracing::debug!(%error, "what is expected was not kept");
        }
    }
}
