//! Linking and unlinking: nothing is written to the target.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;
use xavyo_core::{
    Error, Reason,
    account::{Account, AccountKey},
    cause::{Cause, CauseKind},
    error::Result,
    ids::{ConnectorId, IdentityId, LaneId, LinkId},
    link::Link,
};
use xavyo_runtime::{
    auth::Caller,
    db::{self, Transaction},
};

use super::{Accounts, Kind, uid::uid_key};
use crate::{
    connectors::check_etag,
    lanes::{self, LaneNames},
    store::{
        audit, connector, identity,
        link::{self, LinkEvent, rejection},
        request,
    },
};

const LINK: &str = "LinkAccount";

/// Which account belongs to which identity.
#[derive(Clone, Debug)]
pub struct LinkAccount {
    pub kind: Kind,
    pub identity_id: IdentityId,
    pub external_uid: String,
    /// The account must have it, else PREMISE_GONE.
    pub immutable_id: Option<String>,
    pub reason: Option<String>,
    pub cause: (CauseKind, Option<Uuid>),
    pub request_id: Option<Uuid>,
}

#[derive(Clone, Debug)]
pub struct UnlinkAccount {
    pub link_id: LinkId,
    /// The moment of the link's last change that the caller has seen, in microseconds; None = any.
    pub etag: Option<i64>,
    /// The account is not this identity's: never correlate the pair again.
    pub reject_pair: bool,
    pub reason: Option<String>,
    pub cause: (CauseKind, Option<Uuid>),
}

/// What makes two calls the same.
#[derive(Serialize)]
struct Body<'a> {
    connector_id: ConnectorId,
    object_class: &'a str,
    intent: &'a str,
    identity_id: IdentityId,
    external_uid: &'a str,
    immutable_id: Option<&'a str>,
}

impl Accounts {
    /// Reads the account live first, so that nobody links what is not there, or what is protected.
    pub async fn link(&self, caller: &Caller, command: LinkAccount) -> Result<Link> {
        let key = request::Key::of(LINK, command.request_id, &command.body())?;
        let ready = self.ready(caller, &command.kind).await?;
        let named = AccountKey {
            external_uid: command.external_uid.clone(),
            immutable_id: command.immutable_id.clone(),
        };
        let account = ready.read(&command.kind, &AccountKey { immutable_id: None, ..named.clone() }).await?;
        if named.immutable_id.is_some() && named.immutable_id != account.immutable_id {
            return Err(Error::new(Reason::PremiseGone, "the account has another immutable id"));
        }
        if ready.is_protected(&account)? {
            return Err(Error::new(Reason::ProtectedAccount, "the account is protected"));
        }
        let uid_key = uid_key(&ready.open.connector.settings, &account.external_uid);
        db::retry(|| self.store_link(caller, &command, key.as_ref(), &account, &uid_key)).await
    }

    async fn store_link(
        &self,
        caller: &Caller,
        command: &LinkAccount,
        key: Option<&request::Key>,
        account: &Account,
        uid_key: &str,
    ) -> Result<Link> {
        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        if let Some(ids) = request::recall(&mut tx, &self.clock, tenant, key).await? {
            return link::get(&mut tx, tenant, LinkId(ids.first().copied().unwrap_or_default())).await;
        }
        if identity::lock(&mut tx, tenant, &[command.identity_id]).await?.is_empty() {
            return Err(Error::not_found("identity"));
        }
        connector::lock_shared(&mut tx, tenant, &[command.kind.connector_id]).await?;
        let names = command.names(account, uid_key);
        let lane = lanes::claim_names(&mut tx, &self.clock, tenant, &names).await?;
        let linked = command.linked(LinkId(self.clock.new_id()), lane, account, self.clock.now());
        link::insert(&mut tx, tenant, &linked, uid_key).await?;
        rejection::delete(&mut tx, tenant, &rejected(&linked, uid_key)).await?;
        let (cause, reason) = (command.cause, command.reason.clone());
        let story = Story { method: LINK, event: "linked", link: &linked, cause, reason };
        self.tell(&mut tx, caller, story).await?;
        request::remember(&mut tx, tenant, key, &[linked.id.0]).await?;
        db::commit(tx).await?;
        Ok(linked)
    }

    /// The account stays as it is.
    pub async fn unlink(&self, caller: &Caller, command: UnlinkAccount) -> Result<()> {
        db::retry(|| self.remove_link(caller, &command)).await
    }

    async fn remove_link(&self, caller: &Caller, command: &UnlinkAccount) -> Result<()> {
        let tenant = caller.tenant;
        let mut tx = self.database.begin(tenant).await?;
        let linked = link::get(&mut tx, tenant, command.link_id).await?;
        let stored = connector::get(&mut tx, tenant, linked.connector_id).await?;
        let uid_key = uid_key(&stored.settings, &linked.account.external_uid);
        connector::lock_shared(&mut tx, tenant, &[linked.connector_id]).await?;
        lanes::claim_names(&mut tx, &self.clock, tenant, &names_of(&linked, &uid_key)).await?;
        // Under the lane's lock the link stands still.
        let linked = link::get(&mut tx, tenant, command.link_id).await?;
        check_etag(command.etag, xavyo_wire::link::etag(&linked))?;
        link::delete_all(&mut tx, tenant, &[linked.id]).await?;
        if command.reject_pair {
            let rejection = rejected(&linked, &uid_key);
            let now = self.clock.now();
            let reason = command.reason.as_deref();
            rejection::insert(&mut tx, tenant, &rejection, caller.subject, now, reason).await?;
        }
        let (cause, reason) = (command.cause, command.reason.clone());
        let story = Story { method: "UnlinkAccount", event: "unlinked", link: &linked, cause, reason };
        self.tell(&mut tx, caller, story).await?;
        db::commit(tx).await
    }

    /// One event and one audit row, in the transaction that changed the link.
    async fn tell(&self, tx: &mut Transaction, caller: &Caller, story: Story<'_>) -> Result<()> {
        let Story { method, event, link, cause: (kind, id), reason } = story;
        let trace_id = Some(caller.trace_id.clone());
        let cause = Cause { kind, id, requested_by: caller.subject, reason: reason.clone(), trace_id };
        let event = LinkEvent::by_call(event, link, &cause);
        link::insert_events(tx, &self.clock, caller.tenant, &[event]).await?;
        let entry = audit::Entry {
            method,
            resource_type: "link",
            resource_id: Some(link.id.0),
            connector_id: Some(link.connector_id),
            details: json!({
                "identity_id": link.identity_id,
                "external_uid": link.account.external_uid,
                "immutable_id": link.account.immutable_id,
            }),
            reason,
        };
        audit::insert(tx, &self.clock, caller, entry).await
    }
}

/// What happened to a link, and why.
struct Story<'a> {
    method: &'static str,
    event: &'static str,
    link: &'a Link,
    cause: (CauseKind, Option<Uuid>),
    reason: Option<String>,
}

impl LinkAccount {
    fn body(&self) -> Body<'_> {
        Body {
            connector_id: self.kind.connector_id,
            object_class: &self.kind.object_class,
            intent: &self.kind.intent,
            identity_id: self.identity_id,
            external_uid: &self.external_uid,
            immutable_id: self.immutable_id.as_deref(),
        }
    }

    fn names(&self, account: &Account, uid_key: &str) -> LaneNames {
        LaneNames {
            connector_id: self.kind.connector_id,
            object_class: self.kind.object_class.clone(),
            intent: self.kind.intent.clone(),
            identity_id: Some(self.identity_id),
            uid_key: Some(uid_key.to_owned()),
            immutable_id: account.immutable_id.clone(),
        }
    }

    fn linked(&self, id: LinkId, lane_id: LaneId, account: &Account, now: DateTime<Utc>) -> Link {
        Link {
            id,
            connector_id: self.kind.connector_id,
            object_class: self.kind.object_class.clone(),
            intent: self.kind.intent.clone(),
            identity_id: self.identity_id,
            lane_id,
            account: account.key(),
            disabled_by_us: false,
            deprovision_due_at: None,
            created_at: now,
            updated_at: now,
        }
    }
}

fn names_of(link: &Link, uid_key: &str) -> LaneNames {
    LaneNames {
        connector_id: link.connector_id,
        object_class: link.object_class.clone(),
        intent: link.intent.clone(),
        identity_id: Some(link.identity_id),
        uid_key: Some(uid_key.to_owned()),
        immutable_id: link.account.immutable_id.clone(),
    }
}

fn rejected(link: &Link, uid_key: &str) -> rejection::Rejection {
    rejection::Rejection {
        connector_id: link.connector_id,
        object_class: link.object_class.clone(),
        identity_id: link.identity_id,
        account: link.account.clone(),
        uid_key: uid_key.to_owned(),
    }
}
