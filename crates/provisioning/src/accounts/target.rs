//! The target's side of a run: every account, or what changed since a watermark, as digests and keys, ended by the
//! connector's own proof.
//!
//! A page is digested while the next one is read, and a slow reader slows the target down: nothing is ever held but a
//! few pages.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tokio::sync::mpsc;
use xavyo_connectors::{AccountChange, ChangeItem, Completeness, ReadItem, ReadRequest};
use xavyo_core::{
    account::{Account, AccountKey},
    connector::TargetFailure,
    correlation::CorrelationKey,
    digest::{self, Digest},
    error::Result,
    mapping::Program,
};
use xavyo_runtime::auth::Caller;

use super::{Accounts, Kind, Ready};
use crate::{
    programs::Programs,
    targets::{self, OpenTarget},
};

/// Pages under evaluation at once, beside the one that is read.
const AHEAD: usize = 2;

/// Pages that wait for a slow reader; then the target waits too.
const WAITING: usize = 2;

/// Which accounts to read.
#[derive(Clone, Debug)]
pub struct ReadTarget {
    pub kind: Kind,
    pub include_attributes: bool,
    /// Only what changed since this watermark of an earlier proof. TARGET_REFUSED, by the code of the connector's failure,
    /// where the target cannot say it or no longer knows the watermark.
    pub since: Option<String>,
}

/// What the stream yields: pages, then the proof.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Page(Vec<TargetAccount>),
    /// Tombstones, in no order with the pages.
    Gone(Vec<AccountKey>),
    Proof(Proof),
}

/// An account as the target shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetAccount {
    /// Its attributes are empty unless they were asked for.
    pub account: Account,
    pub digest: Digest,
    pub correlation_keys: Vec<CorrelationKey>,
    pub is_protected: bool,
}

/// What the read proves about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub completeness: Completeness,
    pub revision: i32,
    /// Accounts of which the protection could not be told: they count as protected.
    pub unevaluable: i64,
}

impl Accounts {
    /// The receiver ends after the proof or after an error: a stream without either is incomplete. Dropping it ends
    /// the read.
    pub async fn read_target(
        &self,
        caller: &Caller,
        command: ReadTarget,
    ) -> Result<mpsc::Receiver<Result<Item>>> {
        let Ready { open, program } = self.ready(caller, &command.kind).await?;
        let (items, receiver) = mpsc::channel(WAITING);
        let view = Arc::new(View { open, program, include_attributes: command.include_attributes });
        let programs = self.targets.programs().clone();
        tokio::spawn(async move {
            tokio::select! {
                outcome = view.clone().read(command.kind.object_class, command.since, programs, &items) => {
                    if let Err(error) = outcome {
                        // Fails only if the reader has gone.
                        items.send(Err(error)).await.ok();
                    }
                }
                () = items.closed() => {}
            }
        });
        Ok(receiver)
    }
}

/// How accounts are looked at.
pub(super) struct View {
    pub open: Arc<OpenTarget>,
    pub program: Program,
    pub include_attributes: bool,
}

/// What a connector tells, of everything or of what changed.
enum Told {
    Page(Vec<Account>, Vec<AccountKey>),
    Proof(Completeness),
}

/// A page whose evaluation is done, or the end.
enum Step {
    Page(Vec<(TargetAccount, bool)>, Vec<AccountKey>),
    End(Completeness),
}

impl View {
    async fn read(
        self: Arc<Self>,
        object_class: String,
        since: Option<String>,
        programs: Programs,
        items: &mpsc::Sender<Result<Item>>,
    ) -> Result<()> {
        let told = self.told(object_class, since.as_deref());
        let mut steps = told.map(|item| self.step(item, &programs)).buffered(AHEAD);
        let (mut sent, mut unevaluable) = (0, 0);
        while let Some(step) = steps.next().await {
            match step? {
                Step::Page(evaluated, gone) => {
                    let (page, failed): (Vec<TargetAccount>, Vec<bool>) = evaluated.into_iter().unzip();
                    sent += i64::try_from(page.len() + gone.len()).unwrap_or(i64::MAX);
                    unevaluable +=
                        i64::try_from(failed.iter().filter(|failed| **failed).count()).unwrap_or(0);
                    if !gone.is_empty() && items.send(Ok(Item::Gone(gone))).await.is_err() {
                        return Ok(());
                    }
                    if items.send(Ok(Item::Page(page))).await.is_err() {
                        return Ok(());
                    }
                }
                Step::End(completeness) => {
                    let completeness = counted(completeness, sent);
                    let revision = self.open.connector.revision;
                    let proof = Proof { completeness, revision, unevaluable };
                    // Fails only if the reader has gone.
                    items.send(Ok(Item::Proof(proof))).await.ok();
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn told(&self, object_class: String, since: Option<&str>) -> BoxStream<'_, Result<Told, TargetFailure>> {
        let request = ReadRequest { object_class, attributes: self.program.target_attributes().to_vec() };
        match since {
            None => self.open.target.read(request).map_ok(Told::from).boxed(),
            Some(since) => self.open.target.changes(request, since).map_ok(Told::from).boxed(),
        }
    }

    /// Evaluates a page away from the threads that answer calls.
    fn step(
        self: &Arc<Self>,
        item: Result<Told, TargetFailure>,
        programs: &Programs,
    ) -> impl Future<Output = Result<Step>> + use<> {
        let (view, programs) = (Arc::clone(self), programs.clone());
        async move {
            match item.map_err(targets::failed)? {
                Told::Proof(completeness) => Ok(Step::End(completeness)),
                Told::Page(accounts, gone) => {
                    let evaluate =
                        move || accounts.into_iter().map(|account| view.look_at(account)).collect();
                    Ok(Step::Page(programs.run(evaluate).await?, gone))
                }
            }
        }
    }

    /// The account as a run sees it, and whether its protection could not be told.
    pub(super) fn look_at(&self, mut account: Account) -> (TargetAccount, bool) {
        let protected = self.open.is_protected(&self.program, &account);
        let digest = digest::actual(&self.program, &account.attributes);
        let correlation_keys = self.program.correlation_keys_of_account(&account);
        if !self.include_attributes {
            account.attributes.clear();
        }
        let failed = protected.is_err();
        let is_protected = protected.unwrap_or(true);
        (TargetAccount { account, digest, correlation_keys, is_protected }, failed)
    }
}

impl From<ReadItem> for Told {
    fn from(item: ReadItem) -> Self {
        match item {
            ReadItem::Page(accounts) => Self::Page(accounts, Vec::new()),
            ReadItem::Proof(proof) => Self::Proof(proof),
        }
    }
}

impl From<ChangeItem> for Told {
    fn from(item: ChangeItem) -> Self {
        match item {
            ChangeItem::Page(changes) => {
                let (mut accounts, mut gone) = (Vec::new(), Vec::new());
                for change in changes {
                    match change {
                        AccountChange::Changed(account) => accounts.push(account),
                        AccountChange::Gone(key) => gone.push(key),
                    }
                }
                Self::Page(accounts, gone)
            }
            ChangeItem::Proof(proof) => Self::Proof(proof),
        }
    }
}

/// A proof of another count than was sent proves nothing.
fn counted(completeness: Completeness, sent: i64) -> Completeness {
    if completeness.count == sent {
        return completeness;
    }
    let evidence =
        format!("{}; but {sent} accounts were sent, not {}", completeness.evidence, completeness.count);
    Completeness { complete: false, evidence, count: sent, ..completeness }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(count: i64) -> Completeness {
        Completeness { complete: true, evidence: "all pages".to_owned(), count, watermark: None, calls: 1 }
    }

    #[test]
    fn a_proof_of_another_count_proves_nothing() {
        assert_eq!(counted(proof(2), 2), proof(2));
        let refuted = counted(proof(2), 1);
        assert!(!refuted.complete, "R1");
        assert_eq!(refuted.count, 1);
    }
}
