//! Reads of all users, page by page, and what proves that they were all (RFC 7644 section 3.4.2.4, RFC 9865).
//!
//! A page is as long as the server makes it, whatever was asked for. The proof is the server's own count: as many
//! different ids as `totalResults`, which did not change meanwhile. Pages by index have no snapshot: where the first pass
//! does not add up, somebody wrote meanwhile or the order is none, and a second one shows whom the first left out. If
//! that does not add up either, the read is not complete, and says so.

use std::collections::{BTreeSet, HashSet};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use serde_json::Value as Json;
use tokio::time::Instant;
use xavyo_core::{account::Account, connector::TargetFailure};

use super::{
    Scim,
    failure::refused,
    profile::Profile,
    resource::{self, Wanted},
};
use crate::{Completeness, MAX_PAGE, ReadItem, ReadRequest};

/// A server that never comes to an end is given up at so many pages of one resource each.
const MAX_PAGES: i64 = 10_000_000;

/// A read under way.
struct Read<'a> {
    scim: &'a Scim,
    wanted: Wanted,
    profile: std::sync::Arc<Profile>,
    /// Every id that was handed out.
    seen: HashSet<String>,
    unseen: BTreeSet<String>,
    pass: Pass,
    is_second: bool,
    calls: i64,
    /// What of the pages was no user.
    nameless: i64,
}

/// One walk over all pages.
#[derive(Debug, Default)]
struct Pass {
    ids: HashSet<String>,
    resources: i64,
    /// What the server said of its count: each different answer.
    totals: BTreeSet<i64>,
    cursor: Option<String>,
    pages: i64,
    at_end: bool,
}

enum Step<'a> {
    Begin(ReadRequest),
    Reading(Box<Read<'a>>),
    Ended,
}

pub(super) fn pages(scim: &Scim, request: ReadRequest) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
    stream::try_unfold(Step::Begin(request), async |step| {
        let mut read = match step {
            Step::Begin(request) => Box::new(Read::begin(scim, request).await?),
            Step::Reading(read) => read,
            Step::Ended => return Ok(None),
        };
        if read.pass.at_end && !read.is_second && read.pass.disagrees().is_some() {
            read.is_second = true;
            read.pass = Pass::default();
        }
        if read.pass.at_end {
            return Ok(Some((ReadItem::Proof(read.proof()), Step::Ended)));
        }
        let page = read.page().await?;
        Ok(Some((ReadItem::Page(page), Step::Reading(read))))
    })
    .boxed()
}

impl<'a> Read<'a> {
    async fn begin(scim: &'a Scim, request: ReadRequest) -> Result<Self, TargetFailure> {
        scim.check_class(&request.object_class)?;
        let deadline = Instant::now() + scim.http.timeout;
        Ok(Self {
            wanted: Wanted::of(&request.attributes)?,
            profile: scim.profile(deadline).await?,
            scim,
            seen: HashSet::new(),
            unseen: scim.sentinels.iter().cloned().collect(),
            pass: Pass::default(),
            is_second: false,
            calls: 1,
            nameless: 0,
        })
    }

    /// The next page's accounts that were not handed out before.
    async fn page(&mut self) -> Result<Vec<Account>, TargetFailure> {
        let mut query = vec![("count", self.count().to_string())];
        match (&self.pass.cursor, self.profile.cursors) {
            (Some(cursor), _) => query.push(("cursor", cursor.clone())),
            (None, true) => query.push(("cursor", String::new())),
            (None, false) => query.push(("startIndex", (self.pass.resources + 1).to_string())),
        }
        query.extend(self.wanted.query().map(|attributes| ("attributes", attributes)));
        let body = self.scim.list(query).await?;
        self.calls += 1;
        let resources = self.pass.take(&body, self.profile.cursors)?;
        let mut page = Vec::new();
        for resource in resources {
            match resource::account(resource, &self.wanted, &self.profile) {
                Some(account) => page.extend(self.first_seen(account)),
                None => self.nameless += 1,
            }
        }
        Ok(page)
    }

    fn first_seen(&mut self, account: Account) -> Option<Account> {
        let id = account.immutable_id.clone().unwrap_or_default();
        self.pass.ids.insert(id.clone());
        self.unseen.remove(&account.external_uid);
        self.seen.insert(id).then_some(account)
    }

    fn count(&self) -> i64 {
        self.profile.most.map_or(self.scim.page_size, |most| most.min(self.scim.page_size))
    }

    fn proof(&self) -> Completeness {
        let mut missing: Vec<String> = self.pass.disagrees().into_iter().collect();
        if !missing.is_empty() {
            missing.push("and neither did a first pass add up: the server's pages are not stable".to_owned());
        }
        if self.nameless > 0 {
            missing.push(format!("{} resources without an id or a userName", self.nameless));
        }
        if !self.unseen.is_empty() {
            missing
                .push(format!("sentinels were not seen: {}", Vec::from_iter(self.unseen.clone()).join(", ")));
        }
        let found = self.pass.ids.len();
        let mut evidence = match self.pass.totals.first() {
            Some(total) => format!("{found} different ids, totalResults is {total}"),
            None => format!("{found} different ids up to the last cursor, in two passes"),
        };
        if self.is_second {
            evidence.push_str("; a second pass, since the first did not add up");
        }
        Completeness {
            complete: missing.is_empty(),
            evidence: if missing.is_empty() { evidence } else { missing.join("; ") },
            count: i64::try_from(self.seen.len()).unwrap_or(i64::MAX),
            watermark: None,
            calls: self.calls,
        }
    }
}

impl Pass {
    /// The resources of one more page, and whether it is the last.
    fn take<'b>(&mut self, body: &'b Json, by_cursor: bool) -> Result<&'b [Json], TargetFailure> {
        let total = resource::field_of(body, "totalResults").and_then(Json::as_i64);
        self.totals.extend(total);
        let resources = resource::field_of(body, "Resources").and_then(Json::as_array);
        let resources = resources.map(Vec::as_slice).unwrap_or_default();
        let number = i64::try_from(resources.len()).unwrap_or(i64::MAX);
        self.resources += number;
        self.pages += 1;
        if by_cursor {
            let next = resource::field_of(body, "nextCursor").and_then(Json::as_str).map(str::to_owned);
            if next.is_some() && next == self.cursor {
                return Err(refused("SCIM_CURSOR", "the server's next cursor is the same again"));
            }
            self.at_end = next.is_none();
            self.cursor = next;
        } else {
            let total = total.ok_or_else(|| refused("SCIM_LIST", "the list has no totalResults"))?;
            self.at_end = number == 0 || self.resources >= total;
        }
        if resources.len() > MAX_PAGE || self.pages > MAX_PAGES {
            return Err(refused("SCIM_LIST", "the server sends more than was asked for, or without an end"));
        }
        Ok(resources)
    }

    /// How ids and counts contradict each other. A server without a count must be walked twice.
    fn disagrees(&self) -> Option<String> {
        let found = self.ids.len();
        match (self.totals.first(), self.totals.last()) {
            (Some(least), Some(most)) if least != most => {
                Some(format!("totalResults changed from {least} to {most} between pages"))
            }
            (Some(total), _) if i64::try_from(found) != Ok(*total) => {
                Some(format!("{found} different ids were read, totalResults is {total}"))
            }
            (Some(_), _) => None,
            (None, _) => Some("the server told no totalResults".to_owned()),
        }
    }
}
