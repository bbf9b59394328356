//! Update sequence numbers and tombstones of Active Directory ([MS-ADTS] §3.1.1.1.9, §3.1.1.5.5). Written from the
//! documentation; no Active Directory is here to prove it.

use futures::{StreamExt, stream};
use ldap3::{
    Scope,
    controls::{PagedResults, RawControl},
};
use xavyo_core::{account::AccountKey, connector::TargetFailure};

use super::{
    super::{
        Ldap,
        connection::{self, Connection, Search},
        dialect::Server,
        dn::Dn,
        entry::Entry,
        failure::{self, Call},
        filter, read,
    },
    Changes, Watermark, changed, entry, expired,
};
use crate::{AccountChange, ChangeItem, ReadRequest, redaction::Redaction};

/// Searches show deleted objects too.
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
/// Where deleted objects are, whatever the container is called ([MS-ADTS] §6.1.1.4.6).
const DELETED_OBJECTS: &str = "18e2ea80684f11d2b9aa00c04f79f805";
const PAGE: i32 = 500;

pub(super) async fn changes<'a>(
    ldap: &'a Ldap,
    request: ReadRequest,
    usn: i64,
    of: &str,
) -> Result<Changes<'a>, TargetFailure> {
    let deadline = ldap.deadline();
    let connection = ldap.endpoint.connect(deadline).await?;
    let server = ldap.server(&connection, deadline).await?;
    match Watermark::now(ldap, &connection, &server, deadline).await? {
        Some(Watermark::Usn { server, usn: now }) if server == of && now >= usn => {}
        _ => return Err(expired("another domain controller answers, or this one was restored")),
    }
    let next = usn.saturating_add(1).to_string();
    let tombstones = tombstones(ldap, &connection, &server, &next).await?;
    let condition = filter::at_least("uSNChanged", &next);
    let changed = changed(read::pages(ldap, request, Some(condition)));
    Ok(stream::iter([Ok(ChangeItem::Page(tombstones))]).chain(changed).boxed())
}

/// Objects that were deleted from below our base since then. None are shown to a login without the right to see them:
/// then deletes are found by full reads only.
async fn tombstones(
    ldap: &Ldap,
    connection: &Connection,
    server: &Server,
    next: &str,
) -> Result<Vec<AccountChange>, TargetFailure> {
    let root = entry(connection, "", &["defaultNamingContext"], ldap.deadline()).await?;
    let Some(domain) = root.texts("defaultNamingContext").next() else { return Ok(Vec::new()) };
    let search = Search {
        base: format!("<WKGUID={DELETED_OBJECTS},{domain}>"),
        scope: Scope::OneLevel,
        filter: filter::all(["(isDeleted=TRUE)".to_owned(), filter::at_least("uSNChanged", next)]),
        attributes: vec![server.id_attribute().to_owned(), "lastKnownParent".to_owned()],
    };
    let mut found = Vec::new();
    let mut cookie = Vec::new();
    loop {
        let deadline = ldap.deadline();
        let paged: RawControl = PagedResults { size: PAGE, cookie }.into();
        let shown = RawControl { ctype: SHOW_DELETED.to_owned(), crit: true, val: None };
        let page = connection.begin_page_with(search.clone(), vec![paged, shown], deadline).await?;
        let page = page.found(deadline).await?;
        match page.result.rc {
            failure::SUCCESS => {}
            failure::NO_SUCH_OBJECT | failure::INSUFFICIENT_RIGHTS => return Ok(Vec::new()),
            _ => return Err(failure::of_result(&page.result, Call::Read, &Redaction::default())),
        }
        found.extend(page.entries.iter().filter_map(|entry| tombstone(ldap, server, entry)));
        match connection::cookie(&page.result) {
            Some(more) if !more.is_empty() => cookie = more,
            Some(_) | None => return Ok(found),
        }
    }
}

fn tombstone(ldap: &Ldap, server: &Server, entry: &Entry) -> Option<AccountChange> {
    let parent = Dn::parse(entry.texts("lastKnownParent").next()?).ok()?;
    let immutable_id = server.immutable_id(entry);
    let ours = parent.is_within(&ldap.base) && immutable_id.is_some();
    ours.then(|| AccountChange::Gone(AccountKey { external_uid: String::new(), immutable_id }))
}
