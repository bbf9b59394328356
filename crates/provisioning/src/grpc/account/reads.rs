//! The streams of both sides of a run: packed pages, then the proof. An error ends a stream; so does its end without
//! a proof, and both mean that nothing may be concluded from what was not in it.

use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use xavyo_core::{
    account::{AccountKey, AccountState},
    error::Result,
};
use xavyo_wire::{
    Numbered,
    packing::Packing,
    pb::provisioning as pb,
    reads::{digest_to_pb, keys_to_pb},
    status::status,
    time,
    value::attributes_to_list,
};

use super::answer::expectation;
use crate::{
    accounts::{
        expected::{self, ExpectedAccount},
        target::{self, TargetAccount},
    },
    store::account::expected::LinkedAccount,
};

pub(super) fn target(
    items: mpsc::Receiver<Result<target::Item>>,
) -> impl Stream<Item = Result<pb::ReadTargetAccountsResponse, Status>> {
    use pb::read_target_accounts_response::Item;
    let page = |accounts, gone_accounts| Item::Page(pb::TargetAccountPage { accounts, gone_accounts });
    let messages = move |item| match item {
        target::Item::Page(accounts) => packed(accounts.into_iter().map(target_account))
            .into_iter()
            .map(|accounts| page(accounts, Vec::new()))
            .collect(),
        target::Item::Gone(keys) => {
            packed(keys.into_iter().map(gone)).into_iter().map(|gone| page(Vec::new(), gone)).collect()
        }
        target::Item::Proof(proof) => vec![Item::Proof(target_proof(proof))],
    };
    let answer = |item| pb::ReadTargetAccountsResponse { item: Some(item) };
    ReceiverStream::new(items).flat_map(move |item| stream::iter(answers(item, messages, answer)))
}

pub(super) fn expected(
    items: mpsc::Receiver<Result<expected::Item>>,
) -> impl Stream<Item = Result<pb::ReadExpectedAccountsResponse, Status>> {
    use pb::read_expected_accounts_response::Item;
    let messages = move |item| match item {
        expected::Item::Page(accounts) => packed(accounts.into_iter().map(expected_account))
            .into_iter()
            .map(|accounts| Item::Page(pb::ExpectedAccountPage { accounts, ..Default::default() }))
            .collect(),
        expected::Item::Busy(accounts) => packed(accounts.into_iter().map(busy_account))
            .into_iter()
            .map(|busy_accounts| Item::Page(pb::ExpectedAccountPage { busy_accounts, ..Default::default() }))
            .collect(),
        expected::Item::Former(accounts) => packed(accounts.into_iter().map(former_account))
            .into_iter()
            .map(|former_accounts| {
                Item::Page(pb::ExpectedAccountPage { former_accounts, ..Default::default() })
            })
            .collect(),
        expected::Item::Proof(proof) => vec![Item::Proof(expected_proof(&proof))],
    };
    let answer = |item| pb::ReadExpectedAccountsResponse { item: Some(item) };
    ReceiverStream::new(items).flat_map(move |item| stream::iter(answers(item, messages, answer)))
}

/// The messages that one item becomes.
fn answers<I, M, A>(
    item: Result<I>,
    messages: impl Fn(I) -> Vec<M>,
    answer: impl Fn(M) -> A,
) -> Vec<Result<A, Status>> {
    match item {
        Ok(item) => messages(item).into_iter().map(|message| Ok(answer(message))).collect(),
        Err(error) => vec![Err(status(error))],
    }
}

fn packed<T: prost::Message>(items: impl Iterator<Item = T>) -> Vec<Vec<T>> {
    let mut packing = Packing::default();
    let mut pages: Vec<Vec<T>> = items.filter_map(|item| packing.push(item)).collect();
    pages.extend(packing.take());
    pages
}

pub(super) fn target_account(seen: TargetAccount) -> pb::TargetAccount {
    let TargetAccount { account, digest, correlation_keys, is_protected } = seen;
    pb::TargetAccount {
        attributes: attributes_to_list(&account.attributes),
        external_uid: account.external_uid,
        immutable_id: account.immutable_id,
        version: account.version,
        enabled: account.enabled,
        digest: digest_to_pb(digest),
        correlation_keys: keys_to_pb(&correlation_keys),
        is_protected,
    }
}

fn target_proof(proof: target::Proof) -> pb::ReadProof {
    let completeness = proof.completeness;
    pb::ReadProof {
        complete: completeness.complete,
        evidence: completeness.evidence,
        count: completeness.count,
        watermark: completeness.watermark,
        connector_revision: proof.revision,
        calls_made: completeness.calls,
        unevaluable: proof.unevaluable,
    }
}

fn expected_account(account: ExpectedAccount) -> pb::ExpectedAccount {
    pb::ExpectedAccount {
        identity_id: account.identity_id.to_string(),
        expectation: expectation(&account.standing).into(),
        expected_state: account.state.map(AccountState::number),
        link: account.link.map(link),
        digest: account.digest.map(digest_to_pb),
        correlation_keys_unknown: account.correlation_keys.is_none(),
        correlation_keys: keys_to_pb(account.correlation_keys.as_deref().unwrap_or_default()),
        in_flight: account.in_flight,
        rejected_accounts: account.rejected.into_iter().map(rejected).collect(),
        changed: account.changed,
    }
}

fn link(link: LinkedAccount) -> pb::ExpectedLink {
    pb::ExpectedLink {
        link_id: link.id.to_string(),
        external_uid: link.account.external_uid,
        immutable_id: link.account.immutable_id,
        disabled_by_us: link.disabled_by_us,
        created_at: Some(time::to_pb(link.created_at)),
    }
}

fn rejected(account: AccountKey) -> pb::RejectedAccount {
    pb::RejectedAccount { external_uid: account.external_uid, immutable_id: account.immutable_id }
}

fn gone(account: AccountKey) -> pb::GoneAccount {
    pb::GoneAccount { external_uid: account.external_uid, immutable_id: account.immutable_id }
}

fn busy_account(account: AccountKey) -> pb::BusyAccount {
    pb::BusyAccount { external_uid: Some(account.external_uid), immutable_id: account.immutable_id }
}

fn former_account(account: AccountKey) -> pb::FormerAccount {
    pb::FormerAccount { external_uid: account.external_uid, immutable_id: account.immutable_id }
}

fn expected_proof(proof: &expected::Proof) -> pb::ReadProof {
    pb::ReadProof {
        complete: true,
        evidence: format!("all {} identities, read from one snapshot of the database", proof.count),
        count: proof.count,
        watermark: proof.mark.map(|mark| mark.to_string()),
        connector_revision: proof.revision,
        calls_made: 0,
        unevaluable: proof.unevaluable,
    }
}
