//! Both sides of a comparison as streams of pages. A stream that ends without its proof is incomplete, whatever its status.

use tonic::Streaming;
use xavyo_core::{Error, Reason, error::Result};
use xavyo_wire::pb::provisioning::{
    self as pb, ExpectedAccount, TargetAccount, read_expected_accounts_response as expected,
    read_target_accounts_response as target,
};

use super::{Session, account::Kind, failed, lacks};

/// What a read says of itself, last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub complete: bool,
    pub evidence: String,
    pub count: i64,
    pub watermark: Option<String>,
    pub connector_revision: i32,
    pub calls_made: i64,
    /// Records whose expressions failed.
    pub unevaluable: i64,
}

/// One message of a read.
#[derive(Debug)]
pub enum Item<T> {
    Page(T),
    Proof(Proof),
}

/// A page of the expected side.
#[derive(Debug)]
pub struct ExpectedPage {
    pub accounts: Vec<ExpectedAccount>,
    /// Accounts without owner that have live operations.
    pub busy: Vec<pb::BusyAccount>,
    /// Of a read since a mark: accounts that lost their links.
    pub former: Vec<pb::FormerAccount>,
}

/// A page of the target.
#[derive(Debug)]
pub struct TargetPage {
    pub accounts: Vec<TargetAccount>,
    /// Of a read since a watermark: the target's tombstones.
    pub gone: Vec<pb::GoneAccount>,
}

/// A read of the expected side, from one snapshot.
#[derive(Debug)]
pub struct ExpectedRead(Streaming<pb::ReadExpectedAccountsResponse>);

/// A read of the target.
#[derive(Debug)]
pub struct TargetRead(Streaming<pb::ReadTargetAccountsResponse>);

impl Session {
    /// `since` a mark it says, too, what changed. TOKEN_TOO_OLD: that cannot be said.
    pub async fn read_expected(&self, kind: &Kind, since: Option<&str>) -> Result<ExpectedRead> {
        let request = pb::ReadExpectedAccountsRequest {
            connector_id: kind.connector_id.to_string(),
            object_class: kind.object_class.clone(),
            intent: kind.intent.clone(),
            since: since.map(str::to_owned),
        };
        let answer = self.accounts().read_expected_accounts(self.streaming(request)).await.map_err(failed)?;
        Ok(ExpectedRead(answer.into_inner()))
    }

    /// Everything, or what changed `since` a watermark. TARGET_REFUSED by code where the target cannot say that.
    pub async fn read_target(&self, kind: &Kind, since: Option<&str>) -> Result<TargetRead> {
        let request = pb::ReadTargetAccountsRequest {
            connector_id: kind.connector_id.to_string(),
            object_class: kind.object_class.clone(),
            intent: kind.intent.clone(),
            include_attributes: false,
            since: since.map(str::to_owned),
        };
        let answer = self.accounts().read_target_accounts(self.streaming(request)).await.map_err(failed)?;
        Ok(TargetRead(answer.into_inner()))
    }
}

impl ExpectedPage {
    /// How many of its identities have a linked account.
    pub fn links(&self) -> i64 {
        i64::try_from(self.accounts.iter().filter(|account| account.link.is_some()).count())
            .unwrap_or(i64::MAX)
    }
}

impl TargetPage {
    /// How many records it holds.
    pub fn count(&self) -> i64 {
        i64::try_from(self.accounts.len() + self.gone.len()).unwrap_or(i64::MAX)
    }
}

impl ExpectedRead {
    /// INCOMPLETE_READ where the stream has ended without its proof.
    pub async fn next(&mut self) -> Result<Item<ExpectedPage>> {
        let message = self.0.message().await.map_err(failed)?.ok_or_else(|| cut_off("expected"))?;
        match message.item.ok_or_else(|| lacks("an item"))? {
            expected::Item::Page(page) => {
                let (busy, former) = (page.busy_accounts, page.former_accounts);
                Ok(Item::Page(ExpectedPage { accounts: page.accounts, busy, former }))
            }
            expected::Item::Proof(proof) => Ok(Item::Proof(proof.into())),
        }
    }
}

impl TargetRead {
    /// INCOMPLETE_READ where the stream has ended without its proof.
    pub async fn next(&mut self) -> Result<Item<TargetPage>> {
        let message = self.0.message().await.map_err(failed)?.ok_or_else(|| cut_off("target"))?;
        match message.item.ok_or_else(|| lacks("an item"))? {
            target::Item::Page(page) => {
                Ok(Item::Page(TargetPage { accounts: page.accounts, gone: page.gone_accounts }))
            }
            target::Item::Proof(proof) => Ok(Item::Proof(proof.into())),
        }
    }
}

impl From<pb::ReadProof> for Proof {
    fn from(proof: pb::ReadProof) -> Self {
        Self {
            complete: proof.complete,
            evidence: proof.evidence,
            count: proof.count,
            watermark: proof.watermark,
            connector_revision: proof.connector_revision,
            calls_made: proof.calls_made,
            unevaluable: proof.unevaluable,
        }
    }
}

fn cut_off(side: &'static str) -> Error {
    let message = format!("the read of the {side} side ended without its proof of completeness");
    Error::new(Reason::IncompleteRead, message)
}
