//! One account, read live.

use xavyo_core::{
    Error, Reason,
    account::{Account, AccountKey},
    connector::ObjectType,
    error::Result,
    link::Link,
    value::Value,
};
use xavyo_runtime::auth::Caller;

use super::{Accounts, Key, Kind, Ready, uid::uid_key};
use crate::{
    store::link::{self, AccountName},
    targets,
};

/// What sensitive values are shown as.
pub(super) const HIDDEN: &str = "***";

/// Which account to read.
#[derive(Clone, Debug)]
pub struct GetAccount {
    pub kind: Kind,
    pub key: Key,
}

/// An account as people see it: sensitive values hidden.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub account: Account,
    pub link: Option<Link>,
    pub is_protected: bool,
}

impl Accounts {
    /// Its mapped attributes only: what nobody maps is nobody's business here.
    pub async fn get(&self, caller: &Caller, command: GetAccount) -> Result<Shown> {
        let GetAccount { kind, key } = command;
        let ready = self.ready(caller, &kind).await?;
        let key = self.account_key(caller, &kind, key).await?;
        let mut account = ready.read(&kind, &key).await?;
        let is_protected = ready.is_protected(&account)?;
        let link = self.link_of(caller, &kind, &ready, &account).await?;
        hide(ready.program.object_type(), &mut account);
        Ok(Shown { account, link, is_protected })
    }

    async fn account_key(&self, caller: &Caller, kind: &Kind, key: Key) -> Result<AccountKey> {
        let identity = match key {
            Key::ExternalUid(external_uid) => return Ok(AccountKey { external_uid, immutable_id: None }),
            Key::ImmutableId(id) => {
                return Ok(AccountKey { external_uid: String::new(), immutable_id: Some(id) });
            }
            Key::Identity(identity) => identity,
        };
        let mut tx = self.database.begin(caller.tenant).await?;
        let links = link::of_identities(&mut tx, caller.tenant, &[kind.connector_id], &[identity]).await?;
        let link = links.into_iter().find(|link| kind.is_of(link));
        link.map(|link| link.account).ok_or_else(|| Error::not_found("link"))
    }

    async fn link_of(
        &self,
        caller: &Caller,
        kind: &Kind,
        ready: &Ready,
        account: &Account,
    ) -> Result<Option<Link>> {
        let name = ready.name_of(&account.key());
        let mut tx = self.database.begin(caller.tenant).await?;
        let connector = kind.connector_id;
        let links = link::of_accounts(&mut tx, caller.tenant, connector, &kind.object_class, &[name]).await?;
        Ok(links.into_iter().find(|link| kind.is_of(link)))
    }
}

impl Kind {
    pub(super) fn is_of(&self, link: &Link) -> bool {
        (link.connector_id, &link.object_class, &link.intent)
            == (self.connector_id, &self.object_class, &self.intent)
    }
}

impl Ready {
    /// The account as the target shows it now, or NOT_FOUND.
    pub(super) async fn read(&self, kind: &Kind, key: &AccountKey) -> Result<Account> {
        let attributes = self.program.target_attributes();
        let found =
            self.open.target.get(&kind.object_class, key, attributes).await.map_err(targets::failed)?;
        found.ok_or_else(|| Error::not_found("account"))
    }

    /// Whether the account is never written. Where that cannot be told, nothing is done with it.
    pub(super) fn is_protected(&self, account: &Account) -> Result<bool> {
        let protected = self.open.is_protected(&self.program, account);
        protected.map_err(|failure| Error::new(Reason::ExpressionFailed, failure))
    }

    /// How the database finds the account.
    pub(super) fn name_of(&self, key: &AccountKey) -> AccountName {
        AccountName {
            uid_key: uid_key(&self.open.connector.settings, &key.external_uid),
            immutable_id: key.immutable_id.clone(),
        }
    }
}

/// Hides the values of sensitive attributes.
pub(super) fn hide(object_type: &ObjectType, account: &mut Account) {
    for rule in object_type.mapping.iter().filter(|rule| rule.sensitive || rule.write_only) {
        if let Some(values) = account.attributes.get_mut(&rule.name) {
            *values = vec![Value::from(HIDDEN)];
        }
    }
}
