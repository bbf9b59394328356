//! Bound connections, and the few requests that everything else is made of.
//!
//! Every request ends within its deadline and never panics: ldap3 panics on answers that are not LDAP, which here is
//! one more way for a connection to break. Aliases are never dereferenced, referrals never followed.

use std::{collections::HashSet, panic::AssertUnwindSafe};

use futures::FutureExt;
use ldap3::{
    LdapError, LdapResult, Mod, Scope, SearchOptions, SearchStream,
    asn1::parse_tag,
    controls::{Assertion, MakeCritical, PagedResults, PostRead, RawControl},
    exop::PasswordModify,
};
use tokio::time::{self, Instant};
use xavyo_core::connector::{LdapSettings, TargetFailure};

use super::{
    dialect::{self, Server},
    entry::Entry,
    failure::{self, Call},
    filter,
};

pub(super) type Values = HashSet<Vec<u8>>;

/// A bound connection.
#[derive(Debug)]
pub(super) struct Connection(pub(super) ldap3::Ldap);

/// A page that was asked for; its entries arrive while the one before it is worked on.
pub(super) struct PageUnderWay(Messages);

/// The messages of one search, as they come.
pub(super) type Messages = SearchStream<'static, String, Vec<String>>;

/// What came of one search, or of one page of it.
#[derive(Debug)]
pub(super) struct Found<T = Entry> {
    pub entries: Vec<T>,
    /// Parts of the answer that lie on other servers.
    pub referrals: usize,
    pub result: LdapResult,
}

/// What a search asks for.
#[derive(Clone, Debug)]
pub(super) struct Search {
    pub base: String,
    pub scope: Scope,
    pub filter: String,
    pub attributes: Vec<String>,
}

/// A write's condition, and what its answer is to show.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    /// A filter that the entry must match, checked by the server in the same step.
    pub assertion: Option<String>,
    pub post_read: Option<Vec<String>>,
    /// Values that are there already, or gone already, are no errors.
    pub permissive: bool,
}

impl Connection {
    /// The server, or something on the way, has closed it.
    pub fn is_closed(&mut self) -> bool {
        self.0.is_closed()
    }

    /// Asks the server what it is.
    pub async fn server(&self, settings: &LdapSettings, deadline: Instant) -> Result<Server, TargetFailure> {
        let search = Search {
            base: String::new(),
            scope: Scope::Base,
            filter: filter::ANY.to_owned(),
            attributes: dialect::ROOT_DSE.map(str::to_owned).to_vec(),
        };
        let root = self.search(search, 1, deadline).await?.entries.into_iter().next().unwrap_or_default();
        Ok(Server::recognised(&root, settings))
    }

    /// A search without paging, for few entries. The result may be other than success.
    pub async fn search(
        &self,
        search: Search,
        limit: i32,
        deadline: Instant,
    ) -> Result<Found, TargetFailure> {
        PageUnderWay(self.begin(search, limit, Vec::new(), deadline).await?).found(deadline).await
    }

    /// Asks for a page of a search; the cookie is the one before's.
    pub async fn begin_page(
        &self,
        search: Search,
        page: PagedResults,
        deadline: Instant,
    ) -> Result<PageUnderWay, TargetFailure> {
        self.begin_page_with(search, vec![page.critical().into()], deadline).await
    }

    /// The same with more controls than that of the page.
    pub async fn begin_page_with(
        &self,
        search: Search,
        controls: Vec<RawControl>,
        deadline: Instant,
    ) -> Result<PageUnderWay, TargetFailure> {
        Ok(PageUnderWay(self.begin(search, 0, controls, deadline).await?))
    }

    /// A search whose messages are told one by one.
    pub async fn begin(
        &self,
        search: Search,
        limit: i32,
        controls: Vec<RawControl>,
        deadline: Instant,
    ) -> Result<Messages, TargetFailure> {
        let mut ldap = self.0.clone();
        ldap.with_search_options(SearchOptions::new().sizelimit(limit));
        if !controls.is_empty() {
            ldap.with_controls(controls);
        }
        let Search { base, scope, filter, attributes } = search;
        let begun = ldap.streaming_search(&base, scope, &filter, attributes);
        in_time(deadline, Call::Read, begun).await
    }

    pub async fn add(
        &self,
        dn: &str,
        attributes: Vec<(Vec<u8>, Values)>,
        terms: Terms,
        deadline: Instant,
    ) -> Result<LdapResult, TargetFailure> {
        let mut ldap = self.on(terms);
        in_time(deadline, Call::Create, ldap.add(dn, attributes)).await
    }

    pub async fn modify(
        &self,
        dn: &str,
        modifications: Vec<Mod<Vec<u8>>>,
        terms: Terms,
        deadline: Instant,
    ) -> Result<LdapResult, TargetFailure> {
        let mut ldap = self.on(terms);
        in_time(deadline, Call::Modify, ldap.modify(dn, modifications)).await
    }

    pub async fn rename(
        &self,
        dn: &str,
        rdn: &str,
        terms: Terms,
        deadline: Instant,
    ) -> Result<LdapResult, TargetFailure> {
        let mut ldap = self.on(terms);
        in_time(deadline, Call::Rename, ldap.modifydn(dn, rdn, true, None)).await
    }

    pub async fn delete(
        &self,
        dn: &str,
        terms: Terms,
        deadline: Instant,
    ) -> Result<LdapResult, TargetFailure> {
        let mut ldap = self.on(terms);
        in_time(deadline, Call::Delete, ldap.delete(dn)).await
    }

    /// Gives the entry a password (RFC 3062): the server checks it by its policy and stores it by its own scheme.
    pub async fn set_password(
        &self,
        dn: &str,
        password: &str,
        deadline: Instant,
    ) -> Result<LdapResult, TargetFailure> {
        let mut ldap = self.0.clone();
        let request = PasswordModify { user_id: Some(dn), old_pass: None, new_pass: Some(password) };
        Ok(in_time(deadline, Call::Modify, ldap.extended(request)).await?.1)
    }

    /// Whether the entry holds the value, by the server's own matching rule; None where it cannot say.
    pub async fn holds(
        &self,
        dn: &str,
        attribute: &str,
        value: &[u8],
        deadline: Instant,
    ) -> Result<Option<bool>, TargetFailure> {
        let mut ldap = self.0.clone();
        match in_time(deadline, Call::Read, ldap.compare(dn, attribute, value)).await?.0.rc {
            failure::COMPARE_TRUE => Ok(Some(true)),
            failure::COMPARE_FALSE | failure::NO_SUCH_ATTRIBUTE => Ok(Some(false)),
            _ => Ok(None),
        }
    }

    fn on(&self, terms: Terms) -> ldap3::Ldap {
        let mut ldap = self.0.clone();
        let mut controls: Vec<RawControl> = Vec::new();
        if let Some(filter) = terms.assertion {
            controls.push(Assertion { filter }.critical().into());
        }
        controls.extend(terms.post_read.map(PostRead::new));
        if terms.permissive {
            let ctype = dialect::PERMISSIVE_MODIFY.to_owned();
            controls.push(RawControl { ctype, crit: false, val: None });
        }
        if !controls.is_empty() {
            ldap.with_controls(controls);
        }
        ldap
    }
}

impl PageUnderWay {
    /// Waits for the rest of the page. Success is for the caller to judge: `result` is the server's own.
    pub async fn found(self, deadline: Instant) -> Result<Found, TargetFailure> {
        self.found_as(deadline, Some).await
    }

    /// The same, and of each entry what is made of it as it comes; of none, the whole answer is garbled.
    pub async fn found_as<T>(
        mut self,
        deadline: Instant,
        mut make: impl FnMut(Entry) -> Option<T>,
    ) -> Result<Found<T>, TargetFailure> {
        let (mut entries, mut referrals) = (Vec::new(), 0);
        let collect = async {
            while let Some(item) = self.0.next().await? {
                if item.is_ref() {
                    referrals += 1;
                } else if !item.is_intermediate() {
                    let made = Entry::parse(item.0).and_then(&mut make);
                    entries.push(made.ok_or(LdapError::DecodingUTF8)?);
                }
            }
            Ok(self.0.finish().await)
        };
        let result = match in_time(deadline, Call::Read, collect).await {
            Err(failure) if failure.code == "LDAP_REQUEST" => return Err(failure::garbled(Call::Read)),
            result => result?,
        };
        Ok(Found { entries, referrals, result })
    }
}

/// The cookie of the next page; empty after the last one. None: the server does not page.
pub(super) fn cookie(result: &LdapResult) -> Option<Vec<u8>> {
    let value = control_value(result, ldap3::controls::ControlType::PagedResults)?;
    let (_, tag) = parse_tag(value).ok()?;
    let mut parts = tag.expect_constructed()?.into_iter();
    parts.next()?;
    parts.next()?.expect_primitive()
}

/// The entry as a write left it.
pub(super) fn post_read(result: &LdapResult) -> Option<Entry> {
    let value = control_value(result, ldap3::controls::ControlType::PostReadResp)?;
    let (_, tag) = parse_tag(value).ok()?;
    Entry::parse(tag)
}

fn control_value(result: &LdapResult, kind: ldap3::controls::ControlType) -> Option<&[u8]> {
    let is_it =
        |known: &ldap3::controls::ControlType| std::mem::discriminant(known) == std::mem::discriminant(&kind);
    let control = result.ctrls.iter().find(|control| control.0.as_ref().is_some_and(is_it))?;
    control.1.val.as_deref()
}

pub(super) async fn in_time<T>(
    deadline: Instant,
    call: Call,
    work: impl Future<Output = Result<T, LdapError>>,
) -> Result<T, TargetFailure> {
    match time::timeout_at(deadline, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(done)) => done.map_err(|error| failure::of_error(&error, call)),
        Ok(Err(_)) => Err(failure::garbled(call)),
        Err(_) => Err(failure::timed_out(call)),
    }
}
