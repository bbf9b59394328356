//! Reads of the whole base, page by page (RFC 2696).
//!
//! A read is complete when every page's result was success, the last page's cookie was empty, and no part of the answer
//! lay on another server. The next page is asked for before the one at hand is given out, and received when its turn
//! comes: the server is at it meanwhile, and one page is held.

use std::{collections::BTreeSet, sync::Arc};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use ldap3::{Scope, controls::PagedResults};
use tokio::time::Instant;
use xavyo_core::{account::Account, connector::TargetFailure};

use super::{
    Ldap,
    changes::Watermark,
    connection::{self, Connection, PageUnderWay, Search},
    dialect::Server,
    dn::Dn,
    driver::Driver,
    entry::{Entry, MODIFIED},
    failure::{self, Call},
};
use crate::{Completeness, ReadItem, ReadRequest, redaction::Redaction};

/// A read under way.
struct Read<'a> {
    ldap: &'a Ldap,
    wanted: Vec<String>,
    server: Arc<Server>,
    search: Search,
    /// Of its own: a read may take as long as its reader does.
    connection: Connection,
    driver: Driver,
    /// None = only the proof is left.
    under_way: Option<PageUnderWay>,
    /// What keeps the read from being complete.
    missing: Vec<String>,
    unseen: BTreeSet<String>,
    watermark: Option<Watermark>,
    referrals: usize,
    accounts: usize,
    pages: i64,
}

enum Step<'a> {
    Begin(ReadRequest, Option<String>),
    Reading(Box<Read<'a>>),
    Ended,
}

/// Every account of the request that meets the condition, and the proof.
pub(super) fn pages(
    ldap: &Ldap,
    request: ReadRequest,
    condition: Option<String>,
) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
    stream::try_unfold(Step::Begin(request, condition), async |step| {
        let mut read = match step {
            Step::Begin(request, condition) => Box::new(Read::begin(ldap, request, condition).await?),
            Step::Reading(read) => read,
            Step::Ended => return Ok(None),
        };
        match read.under_way.take() {
            Some(page) => {
                let accounts = read.page(page).await?;
                Ok(Some((ReadItem::Page(accounts), Step::Reading(read))))
            }
            None => Ok(Some((ReadItem::Proof(read.proof()), Step::Ended))),
        }
    })
    .boxed()
}

impl<'a> Read<'a> {
    async fn begin(
        ldap: &'a Ldap,
        request: ReadRequest,
        condition: Option<String>,
    ) -> Result<Self, TargetFailure> {
        let deadline = ldap.deadline();
        let (mut driver, connection) = ldap.endpoint.connect_alone(deadline).await?;
        let server = driver.beside(ldap.server(&connection, deadline)).await?;
        let watermark = driver.beside(Watermark::now(ldap, &connection, &server, deadline)).await?;
        let mut attributes = server.requested(&request.attributes);
        if watermark.is_none() {
            attributes.push(MODIFIED.to_owned());
        }
        // A part of the entries shows no sentinels.
        let is_whole = condition.is_none();
        let search = Search {
            base: ldap.base.to_string(),
            scope: Scope::Subtree,
            filter: ldap.filter(&request.object_class, condition)?,
            attributes,
        };
        let mut read = Self {
            ldap,
            wanted: request.attributes,
            server,
            search,
            connection,
            driver,
            under_way: None,
            missing: Vec::new(),
            unseen: ldap.sentinels().filter(|_| is_whole).map(|sentinel| sentinel.folded()).collect(),
            watermark,
            referrals: 0,
            accounts: 0,
            pages: 0,
        };
        read.under_way = Some(read.ask(Vec::new(), deadline).await?);
        Ok(read)
    }

    async fn ask(&mut self, cookie: Vec<u8>, deadline: Instant) -> Result<PageUnderWay, TargetFailure> {
        let page = PagedResults { size: self.ldap.settings.page_size, cookie };
        self.driver.beside(self.connection.begin_page(self.search.clone(), page, deadline)).await
    }

    async fn page(&mut self, page: PageUnderWay) -> Result<Vec<Account>, TargetFailure> {
        let deadline = self.ldap.deadline();
        let needs_time = self.pages == 0 && self.watermark.is_none();
        let mut latest = None;
        let account = |entry: Entry| {
            if needs_time {
                latest = latest.take().max(entry.texts(MODIFIED).next().map(str::to_owned));
            }
            entry.account(&self.server, &self.wanted)
        };
        let found = self.driver.beside(page.found_as(deadline, account)).await?;
        self.pages += 1;
        self.watermark = self.watermark.take().or_else(|| Watermark::before(&latest?));
        self.referrals += found.referrals;
        match found.result.rc {
            failure::SUCCESS => match connection::cookie(&found.result) {
                Some(cookie) if cookie.is_empty() => {}
                Some(cookie) => self.under_way = Some(self.ask(cookie, deadline).await?),
                None => self.missing.push("the server did not page its answer".to_owned()),
            },
            failure::SIZE_LIMIT | failure::TIME_LIMIT | failure::ADMIN_LIMIT | failure::BUSY => {
                let failure = failure::of_result(&found.result, Call::Read, &Redaction::default());
                self.missing.push(format!("page {} ended with {failure}", self.pages));
            }
            _ => return Err(failure::of_result(&found.result, Call::Read, &Redaction::default())),
        }
        let accounts = found.entries;
        if !self.unseen.is_empty() {
            for account in &accounts {
                self.unseen.remove(&account.external_uid.to_lowercase());
            }
        }
        self.accounts += accounts.len();
        Ok(accounts)
    }

    fn proof(&self) -> Completeness {
        let mut missing = self.missing.clone();
        if self.referrals > 0 {
            missing.push(format!("{} referrals were not followed", self.referrals));
        }
        if !self.unseen.is_empty() {
            missing
                .push(format!("sentinels were not seen: {}", Vec::from_iter(self.unseen.clone()).join("; ")));
        }
        let base = &self.ldap.base;
        let evidence =
            format!("{} pages below {base}, each a success, the last cookie empty, no referrals", self.pages);
        Completeness {
            complete: missing.is_empty(),
            evidence: if missing.is_empty() { evidence } else { missing.join("; ") },
            count: i64::try_from(self.accounts).unwrap_or(i64::MAX),
            watermark: self.watermark.as_ref().map(Watermark::to_string),
            calls: self.pages,
        }
    }
}

impl Ldap {
    /// Sentinels as names: a DN, or the naming attribute's value.
    pub(super) fn sentinels(&self) -> impl Iterator<Item = Dn> {
        self.settings.sentinels.iter().map(|sentinel| self.dn_of_key(sentinel))
    }
}
