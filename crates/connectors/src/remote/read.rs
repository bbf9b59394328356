//! The two streams: pages, then what the read says of itself.
//!
//! A page is asked for when the one before was taken: HTTP/2 flow control slows the other side down to our reader. The
//! completeness is held back until the stream has ended: whatever contradicts it makes the read incomplete.

use std::collections::BTreeSet;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::time::timeout;
use tonic::Streaming;
use xavyo_core::{
    account::{Account, AccountKey},
    connector::TargetFailure,
};
use xavyo_wire::{Fields, limits, pb::connector as pb};

use super::{Remote, endpoint::Client, failure, failure::Call, parsed};
use crate::{
    AccountChange, ChangeItem, Completeness, MAX_PAGE, NOT_OFFERED, ReadItem, ReadRequest, WATERMARK_EXPIRED,
    redaction::Redaction,
};

/// A message of either stream.
enum Item<T> {
    Page(Vec<T>),
    Completeness(pb::Completeness),
    /// A message without content: from a newer contract than ours.
    Unknown,
}

/// A read under way.
struct Read<'a, M> {
    remote: &'a Remote,
    messages: Streaming<M>,
    said: Option<pb::Completeness>,
    count: i64,
    unseen: BTreeSet<String>,
    /// What keeps the read from being complete.
    missing: Vec<String>,
}

pub(super) fn accounts(
    remote: &Remote,
    request: ReadRequest,
) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
    let begin = async move {
        let attributes = remote.wanted(&request.object_class, &request.attributes).await?;
        let message = pb::ReadAccountsRequest { object_class: request.object_class, attributes };
        let send = |mut client: Client, request| async move { client.read_accounts(request).await };
        let messages = begun(remote, message, send).await?;
        let unseen = remote.sentinels.iter().cloned().collect();
        Ok(Read { remote, messages, said: None, count: 0, unseen, missing: Vec::new() })
    };
    stream::once(begin)
        .flat_map(|read: Result<Read<'_, pb::ReadAccountsResponse>, TargetFailure>| match read {
            Ok(read) => items(read, account_item, account_of, ReadItem::Page, ReadItem::Proof),
            Err(failure) => stream::iter([Err(failure)]).boxed(),
        })
        .boxed()
}

pub(super) fn changes(
    remote: &Remote,
    request: ReadRequest,
    since: String,
) -> BoxStream<'_, Result<ChangeItem, TargetFailure>> {
    let begin = async move {
        let attributes = remote.wanted(&request.object_class, &request.attributes).await?;
        if !remote.description().await?.capabilities.changes {
            return Err(failure::refused(
                NOT_OFFERED,
                "not offered by this target: it cannot say what changed",
            ));
        }
        let message =
            pb::ReadChangesRequest { object_class: request.object_class, attributes, watermark: since };
        let send = |mut client: Client, request| async move { client.read_changes(request).await };
        let messages = begun(remote, message, send).await.map_err(expired)?;
        Ok(Read { remote, messages, said: None, count: 0, unseen: BTreeSet::new(), missing: Vec::new() })
    };
    stream::once(begin)
        .flat_map(|read: Result<Read<'_, pb::ReadChangesResponse>, TargetFailure>| match read {
            Ok(read) => items(read, change_item, change_of, ChangeItem::Page, ChangeItem::Proof)
                .map(|item| item.map_err(expired))
                .boxed(),
            Err(failure) => stream::iter([Err(failure)]).boxed(),
        })
        .boxed()
}

/// Begins a stream; its first answer comes in time, or not at all.
async fn begun<Q, M, F>(
    remote: &Remote,
    message: Q,
    send: impl FnOnce(Client, tonic::Request<Q>) -> F,
) -> Result<Streaming<M>, TargetFailure>
where
    F: Future<Output = Result<tonic::Response<Streaming<M>>, tonic::Status>>,
{
    let request = remote.endpoint.request(message, None);
    match timeout(remote.call_timeout, send(remote.endpoint.client(), request)).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(failure::of_status(&status, Call::Read, &Redaction::default())),
        Err(_) => Err(failure::timed_out(Call::Read)),
    }
}

/// Pages as they are asked for, and the proof behind the last.
fn items<'a, M, P, T, I>(
    read: Read<'a, M>,
    item: fn(M) -> Item<P>,
    parse: fn(P) -> Result<T, TargetFailure>,
    page: fn(Vec<T>) -> I,
    proof: fn(Completeness) -> I,
) -> BoxStream<'a, Result<I, TargetFailure>>
where
    M: Send + 'a,
    P: Send + 'a,
    T: Seen + Send + 'a,
    I: Send + 'a,
{
    stream::try_unfold(Some(read), move |read| async move {
        let Some(mut read) = read else { return Ok(None) };
        while let Some(message) = read.next().await? {
            match item(message) {
                Item::Page(parts) => {
                    let parsed = parts.into_iter().map(parse).collect::<Result<Vec<T>, _>>()?;
                    read.see(&parsed);
                    return Ok(Some((page(parsed), Some(read))));
                }
                Item::Completeness(said) => read.hear(said),
                Item::Unknown => read.missing.push("a message of a kind unknown to us".to_owned()),
            }
        }
        Ok(Some((proof(read.proof()), None)))
    })
    .boxed()
}

impl<M> Read<'_, M> {
    async fn next(&mut self) -> Result<Option<M>, TargetFailure> {
        match timeout(self.remote.call_timeout, self.messages.message()).await {
            Ok(Ok(message)) => Ok(message),
            Ok(Err(status)) => Err(failure::of_status(&status, Call::Read, &Redaction::default())),
            Err(_) => Err(failure::timed_out(Call::Read)),
        }
    }

    fn see<T: Seen>(&mut self, page: &[T]) {
        self.count += i64::try_from(page.len()).unwrap_or(i64::MAX);
        if page.len() > MAX_PAGE {
            self.missing.push(format!("a page of {} is larger than is allowed", page.len()));
        }
        if self.said.is_some() {
            self.missing.push("more came behind the completeness".to_owned());
        }
        for uid in page.iter().filter_map(Seen::uid) {
            self.unseen.remove(uid);
        }
    }

    fn hear(&mut self, said: pb::Completeness) {
        if self.said.replace(said).is_some() {
            self.missing.push("there was more than one completeness".to_owned());
        }
    }

    fn proof(self) -> Completeness {
        let mut missing = self.missing;
        let said = self.said.unwrap_or_else(|| {
            missing.push("the stream ended without its completeness".to_owned());
            pb::Completeness::default()
        });
        if said.count != self.count && missing.is_empty() {
            missing.push(format!("{} were announced, {} came", said.count, self.count));
        }
        let unseen = self.unseen.iter().map(|uid| format!("the sentinel {uid} was not seen"));
        missing.extend(unseen);
        let theirs = Redaction::default().apply(&said.evidence);
        let complete = said.complete && missing.is_empty();
        missing.insert(0, if theirs.is_empty() { "no evidence was given".to_owned() } else { theirs });
        Completeness {
            complete,
            evidence: missing.join("; "),
            count: self.count,
            watermark: said.watermark.filter(|mark| !mark.is_empty() && mark.len() <= limits::SETTING),
            calls: said.calls_made.max(1),
        }
    }
}

/// What a page is made of.
trait Seen {
    /// The uid of an account that is there.
    fn uid(&self) -> Option<&str>;
}

impl Seen for Account {
    fn uid(&self) -> Option<&str> {
        Some(&self.external_uid)
    }
}

impl Seen for AccountChange {
    fn uid(&self) -> Option<&str> {
        match self {
            Self::Changed(account) => account.uid(),
            Self::Gone(_) => None,
        }
    }
}

fn account_item(message: pb::ReadAccountsResponse) -> Item<pb::Account> {
    use pb::read_accounts_response::Item as Pb;
    match message.item {
        Some(Pb::Page(page)) => Item::Page(page.accounts),
        Some(Pb::Completeness(said)) => Item::Completeness(said),
        None => Item::Unknown,
    }
}

fn change_item(message: pb::ReadChangesResponse) -> Item<pb::AccountChange> {
    use pb::read_changes_response::Item as Pb;
    match message.item {
        Some(Pb::Page(page)) => Item::Page(page.changes),
        Some(Pb::Completeness(said)) => Item::Completeness(said),
        None => Item::Unknown,
    }
}

fn account_of(account: pb::Account) -> Result<Account, TargetFailure> {
    parsed(account, Call::Read)
}

fn change_of(change: pb::AccountChange) -> Result<AccountChange, TargetFailure> {
    use pb::account_change::Change;
    let mut fields = Fields::default();
    let change = match change.change {
        Some(Change::Changed(account)) => return Ok(AccountChange::Changed(account_of(account)?)),
        // The uid may be gone with the account.
        Some(Change::Deleted(key)) => Some(AccountChange::Gone(AccountKey {
            external_uid: fields.any_text("external_uid", key.external_uid, limits::UID),
            immutable_id: fields.optional_text("immutable_id", key.immutable_id, limits::UID),
        })),
        None => fields.required("change", None),
    };
    let change = fields.finish(change).map_err(|error| failure::garbled(Call::Read, &error))?;
    change.ok_or_else(|| failure::lacks("the change"))
}

/// The contract's word for a watermark that is too old.
fn expired(failure: TargetFailure) -> TargetFailure {
    if failure.code == "GRPC_OUT_OF_RANGE" {
        return TargetFailure { code: WATERMARK_EXPIRED.to_owned(), ..failure };
    }
    failure
}
