//! What changed since a watermark, by each server's own means.
//!
//! - OpenLDAP with `syncprov`: RFC 4533, with the deletes that its session log still knows ([`sync`]).
//! - Active Directory: `uSNChanged`, and the tombstones among its deleted objects ([`usn`]).
//! - Every other server: `modifyTimestamp`; deletes are found by full reads only.
//!
//! A watermark is taken before a read begins, and says by whose means it was taken ([`watermark`]). One that its server
//! does not know any more fails with `WATERMARK_EXPIRED`.

mod sync;
mod usn;
mod watermark;

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use xavyo_core::connector::{FailureKind, TargetFailure};

pub(super) use self::watermark::{Watermark, entry};
use super::{Ldap, filter, read};
use crate::{AccountChange, ChangeItem, ReadItem, ReadRequest, WATERMARK_EXPIRED};

pub(super) type Changes<'a> = BoxStream<'a, Result<ChangeItem, TargetFailure>>;

pub(super) fn since<'a>(ldap: &'a Ldap, request: ReadRequest, since: &str) -> Changes<'a> {
    let since = Watermark::parse(since);
    let begin = async move {
        match since.ok_or_else(|| expired("it is no watermark of a directory"))? {
            Watermark::Sync(cookie) => sync::changes(ldap, request, cookie).await,
            Watermark::Usn { usn, server } => usn::changes(ldap, request, usn, &server).await,
            Watermark::Modified(at) => {
                let condition = filter::at_least("modifyTimestamp", &at);
                Ok(changed(read::pages(ldap, request, Some(condition))))
            }
        }
    };
    stream::once(begin).try_flatten().boxed()
}

/// The accounts of a read, each as one that changed.
fn changed(items: BoxStream<'_, Result<ReadItem, TargetFailure>>) -> Changes<'_> {
    let as_change = |item| match item {
        ReadItem::Page(accounts) => {
            ChangeItem::Page(accounts.into_iter().map(AccountChange::Changed).collect())
        }
        ReadItem::Proof(proof) => ChangeItem::Proof(proof),
    };
    items.map_ok(as_change).boxed()
}

fn expired(why: &str) -> TargetFailure {
    let message = format!("what changed since the watermark cannot be told: {why}");
    TargetFailure::new(FailureKind::Refused, WATERMARK_EXPIRED, message)
}
