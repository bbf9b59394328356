//! One call's connection, and the point reads that it is used for.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use ldap3::Scope;
use tokio::time::Instant;
use xavyo_core::{
    account::{Account, AccountKey},
    connector::TargetFailure,
    value::Value,
};

use super::{
    Ldap,
    connection::{Connection, Search},
    dialect::Server,
    dn::Dn,
    entry::{Entry, written},
    failure::{self, Call},
    filter, is_attribute,
};
use crate::{ALL_ATTRIBUTES, MAX_PAGE, pool::Place, redaction::Redaction};

/// Immutable ids in one search.
const IDS_PER_SEARCH: usize = 100;
/// Searches at once on one connection.
const SEARCHES_AT_ONCE: usize = 16;

/// A connection for one call.
pub(super) struct Session<'a> {
    pub place: Place<'a, Connection>,
    pub connection: Connection,
    pub server: std::sync::Arc<Server>,
    pub deadline: Instant,
}

impl Session<'_> {
    /// The entry of that name; None where there is none.
    pub async fn entry_at(&self, dn: &Dn, attributes: &[String]) -> Result<Option<Entry>, TargetFailure> {
        self.one(dn.to_string(), Scope::Base, filter::ANY.to_owned(), attributes).await
    }

    async fn one(
        &self,
        base: String,
        scope: Scope,
        filter: String,
        attributes: &[String],
    ) -> Result<Option<Entry>, TargetFailure> {
        let search = Search { base, scope, filter, attributes: self.server.requested(attributes) };
        let found = self.connection.search(search, 2, self.deadline).await?;
        match (found.result.rc, found.entries.len()) {
            (failure::NO_SUCH_OBJECT, _) => Ok(None),
            (failure::SUCCESS, 0 | 1) => Ok(found.entries.into_iter().next()),
            (failure::SUCCESS, _) => {
                Err(failure::refused("LDAP_AMBIGUOUS", "more than one entry has the id"))
            }
            _ => Err(failure::of_result(&found.result, Call::Read, &Redaction::default())),
        }
    }

    pub async fn get(
        &self,
        ldap: &Ldap,
        key: &AccountKey,
        attributes: &[String],
    ) -> Result<Option<Account>, TargetFailure> {
        let entry = match &key.immutable_id {
            None => self.entry_at(&ldap.dn_of_key(&key.external_uid), attributes).await?,
            Some(id) => match self.server.id_value(id) {
                None => None,
                Some(id) => {
                    let filter = filter::equals(self.server.id_attribute(), &id);
                    self.one(ldap.base.to_string(), Scope::Subtree, filter, attributes).await?
                }
            },
        };
        entry.map(|entry| self.account(entry, attributes)).transpose()
    }

    fn account(&self, entry: Entry, attributes: &[String]) -> Result<Account, TargetFailure> {
        entry.account(&self.server, attributes).ok_or_else(|| failure::garbled(Call::Read))
    }

    pub async fn get_many(
        &self,
        ldap: &Ldap,
        keys: &[AccountKey],
        attributes: &[String],
    ) -> Result<Vec<Option<Account>>, TargetFailure> {
        let ids: Vec<&str> = keys.iter().filter_map(|key| key.immutable_id.as_deref()).collect();
        let mut by_id = HashMap::new();
        for ids in ids.chunks(IDS_PER_SEARCH) {
            for account in self.with_ids(ldap, ids, attributes).await? {
                by_id.insert(account.immutable_id.clone(), account);
            }
        }
        let mut found: Vec<Option<Account>> =
            keys.iter().map(|key| by_id.get(&key.immutable_id).cloned()).collect();
        let mut named = Vec::new();
        for (position, key) in keys.iter().enumerate().filter(|(_, key)| key.immutable_id.is_none()) {
            named.push(
                async move { Ok::<_, TargetFailure>((position, self.get(ldap, key, attributes).await?)) },
            );
        }
        let mut named = stream::iter(named).buffer_unordered(SEARCHES_AT_ONCE);
        while let Some((position, account)) = named.try_next().await? {
            found[position] = account;
        }
        Ok(found)
    }

    /// The accounts of these ids, in any order; fewer at once where the server limits its answers.
    async fn with_ids(
        &self,
        ldap: &Ldap,
        ids: &[&str],
        attributes: &[String],
    ) -> Result<Vec<Account>, TargetFailure> {
        let mut waiting = vec![ids];
        let mut accounts = Vec::new();
        while let Some(ids) = waiting.pop() {
            let values = ids.iter().filter_map(|id| self.server.id_value(id));
            let filters: Vec<String> =
                values.map(|id| filter::equals(self.server.id_attribute(), &id)).collect();
            let search = Search {
                base: ldap.base.to_string(),
                scope: Scope::Subtree,
                filter: filter::any(&filters),
                attributes: self.server.requested(attributes),
            };
            let found = self.connection.search(search, 0, self.deadline).await?;
            match found.result.rc {
                failure::SUCCESS => {
                    for entry in found.entries {
                        accounts.push(self.account(entry, attributes)?);
                    }
                }
                failure::SIZE_LIMIT if ids.len() > 1 => {
                    let (left, right) = ids.split_at(ids.len() / 2);
                    waiting.extend([left, right]);
                }
                _ => return Err(failure::of_result(&found.result, Call::Read, &Redaction::default())),
            }
        }
        Ok(accounts)
    }

    pub async fn find(
        &self,
        ldap: &Ldap,
        object_class: &str,
        attribute: &str,
        value: &Value,
    ) -> Result<Vec<Account>, TargetFailure> {
        let all = [ALL_ATTRIBUTES.to_owned()];
        if attribute == "external_uid" {
            let key = AccountKey { external_uid: value.to_text(), immutable_id: None };
            return Ok(self.get(ldap, &key, &all).await?.into_iter().collect());
        }
        if !is_attribute(attribute) {
            return Err(failure::refused(
                "LDAP_ATTRIBUTE",
                "the attribute's name is no attribute description",
            ));
        }
        let search = Search {
            base: ldap.base.to_string(),
            scope: Scope::Subtree,
            filter: ldap.filter(object_class, Some(filter::equals(attribute, &written(value))))?,
            attributes: self.server.requested(&all),
        };
        let most = i32::try_from(MAX_PAGE).unwrap_or(i32::MAX);
        let found = self.connection.search(search, most, self.deadline).await?;
        let enough = found.result.rc == failure::SIZE_LIMIT && found.entries.len() == MAX_PAGE;
        if found.result.rc != failure::SUCCESS && !enough {
            return Err(failure::of_result(&found.result, Call::Read, &Redaction::of([value])));
        }
        found.entries.into_iter().map(|entry| self.account(entry, &all)).collect()
    }
}
