//! Content synchronization (RFC 4533), refresh only: what was added and changed, and the deletes that the server's session
//! log still knows. Where it does not, the server lists what is present instead; nothing is concluded from that.

use std::sync::Arc;

use futures::{StreamExt, stream};
use ldap3::{
    LdapResult, ResultEntry, Scope,
    controls::{
        ControlType, EntryState, MakeCritical, RefreshMode, SyncDone, SyncInfo, SyncRequest, SyncState,
        parse_syncinfo,
    },
};
use uuid::Uuid;
use xavyo_core::{account::AccountKey, connector::TargetFailure};

use super::{
    super::{
        Ldap,
        connection::{Connection, Messages, Search, in_time},
        dialect::Server,
        entry::Entry,
        failure::{self, Call},
    },
    Changes, Watermark, expired,
};
use crate::{AccountChange, ChangeItem, Completeness, ReadRequest, redaction::Redaction};

/// The most changes of one page.
const PAGE: usize = 500;

struct Refresh<'a> {
    ldap: &'a Ldap,
    wanted: Vec<String>,
    server: Arc<Server>,
    stream: Messages,
    since: String,
    /// False once the server lists what is present: then it does not know what is gone.
    tells_deletes: bool,
    has_ended: bool,
    referrals: usize,
    count: usize,
    /// For as long as the stream.
    _connection: Connection,
}

/// One message of the server.
enum Told {
    Change(AccountChange),
    Gone(Vec<AccountChange>),
    Present,
    Referral,
    Nothing,
}

pub(super) async fn changes(
    ldap: &Ldap,
    request: ReadRequest,
    cookie: String,
) -> Result<Changes<'_>, TargetFailure> {
    let deadline = ldap.deadline();
    let connection = ldap.endpoint.connect(deadline).await?;
    let server = ldap.server(&connection, deadline).await?;
    if !server.syncs {
        return Err(expired("the server synchronizes no more"));
    }
    let search = Search {
        base: ldap.base.to_string(),
        scope: Scope::Subtree,
        filter: ldap.filter(&request.object_class, None)?,
        attributes: server.requested(&request.attributes),
    };
    let control = SyncRequest {
        mode: RefreshMode::RefreshOnly,
        cookie: Some(cookie.clone().into_bytes()),
        reload_hint: false,
    };
    let refresh = Refresh {
        ldap,
        wanted: request.attributes,
        stream: connection.begin(search, 0, vec![control.critical().into()], deadline).await?,
        server,
        since: cookie,
        tells_deletes: true,
        has_ended: false,
        referrals: 0,
        count: 0,
        _connection: connection,
    };
    Ok(stream::try_unfold(Some(refresh), async |refresh| {
        let Some(mut refresh) = refresh else { return Ok(None) };
        match refresh.page().await? {
            Some(page) => Ok(Some((ChangeItem::Page(page), Some(refresh)))),
            None => Ok(Some((ChangeItem::Proof(refresh.proof().await?), None))),
        }
    })
    .boxed())
}

impl Refresh<'_> {
    /// None at the end.
    async fn page(&mut self) -> Result<Option<Vec<AccountChange>>, TargetFailure> {
        let deadline = self.ldap.deadline();
        let mut page = Vec::new();
        while page.len() < PAGE && !self.has_ended {
            let (stream, server, wanted) = (&mut self.stream, &self.server, &self.wanted);
            let told = async {
                let item = stream.next().await?;
                Ok(item.map(|item| told(item, server, wanted)))
            };
            match in_time(deadline, Call::Read, told).await? {
                None => self.has_ended = true,
                Some(None) => return Err(failure::garbled(Call::Read)),
                Some(Some(Told::Change(change))) => page.push(change),
                Some(Some(Told::Gone(gone))) => page.extend(gone),
                Some(Some(Told::Present)) => self.tells_deletes = false,
                Some(Some(Told::Referral)) => self.referrals += 1,
                Some(Some(Told::Nothing)) => {}
            }
        }
        self.count += page.len();
        Ok((!page.is_empty()).then_some(page))
    }

    async fn proof(&mut self) -> Result<Completeness, TargetFailure> {
        let stream = &mut self.stream;
        let ended = in_time(self.ldap.deadline(), Call::Read, async {
            let result = stream.finish().await;
            let done = done(&result);
            Ok((result, done))
        });
        let (result, done) = ended.await?;
        match result.rc {
            failure::SUCCESS => {}
            failure::SYNC_REFRESH_REQUIRED | failure::UNWILLING => {
                return Err(expired("the server asks for a full read"));
            }
            _ => return Err(failure::of_result(&result, Call::Read, &Redaction::default())),
        }
        let (cookie, refresh_deletes) =
            done.map_or((None, false), |done| (done.cookie, done.refresh_deletes));
        let now = cookie.and_then(|cookie| String::from_utf8(cookie).ok());
        let now = now.unwrap_or_else(|| self.since.clone());
        let deletes = if self.tells_deletes && refresh_deletes {
            "with deletes"
        } else {
            "without deletes, which it has forgotten"
        };
        let evidence = match self.referrals {
            0 => {
                format!("the server's own account of {} changes since {}, {deletes}", self.count, self.since)
            }
            more => format!("{more} referrals were not followed"),
        };
        Ok(Completeness {
            complete: self.referrals == 0,
            evidence,
            count: i64::try_from(self.count).unwrap_or(i64::MAX),
            watermark: Some(Watermark::Sync(now).to_string()),
            calls: 1,
        })
    }
}

/// None: it is not what RFC 4533 says.
fn told(item: ResultEntry, server: &Server, wanted: &[String]) -> Option<Told> {
    if item.is_ref() {
        return Some(Told::Referral);
    }
    if item.is_intermediate() {
        return Some(match parse_syncinfo(item) {
            SyncInfo::SyncIdSet { refresh_deletes: true, sync_uuids, .. } => {
                Told::Gone(sync_uuids.iter().map(|id| gone(String::new(), id)).collect::<Option<_>>()?)
            }
            SyncInfo::SyncIdSet { refresh_deletes: false, .. } | SyncInfo::RefreshPresent { .. } => {
                Told::Present
            }
            SyncInfo::NewCookie(_) | SyncInfo::RefreshDelete { .. } => Told::Nothing,
        });
    }
    let control = item.1.iter().find(|control| matches!(control.0, Some(ControlType::SyncState)))?;
    let state: SyncState = control.1.parse();
    let entry = Entry::parse(item.0)?;
    Some(match state.state {
        EntryState::Add | EntryState::Modify => {
            Told::Change(AccountChange::Changed(entry.account(server, wanted)?))
        }
        EntryState::Delete => Told::Change(gone(entry.dn, &state.entry_uuid)?),
        EntryState::Present => Told::Present,
    })
}

fn gone(external_uid: String, id: &[u8]) -> Option<AccountChange> {
    let id = Uuid::from_slice(id).ok()?;
    Some(AccountChange::Gone(AccountKey { external_uid, immutable_id: Some(id.to_string()) }))
}

/// How the refresh ended. Without `refresh_deletes` what the server listed is all that there is, and what it did not list
/// may be gone: that is not proof enough.
fn done(result: &LdapResult) -> Option<SyncDone> {
    let control = result.ctrls.iter().find(|control| matches!(control.0, Some(ControlType::SyncDone)))?;
    Some(control.1.parse())
}
