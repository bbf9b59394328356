//! Membership in groups, written where it is kept: in each group's `member`.
//!
//! A group is named by its DN, and lies below the base that the settings name, or is refused. Each group is one request
//! that may be repeated: a member that is there already, or gone already, is left as it is.

use std::collections::BTreeMap;

use ldap3::Mod;
use xavyo_core::{change::Change, connector::TargetFailure, value::Value};

use super::{
    super::{
        Ldap,
        connection::{Terms, Values},
        dn::Dn,
        failure::{self, Call},
        session::Session,
    },
    apart::MEMBERSHIP,
};
use crate::redaction::Redaction;

const MEMBER: &str = "member";

/// Groups by the form of their name in which case does not count.
type Groups = BTreeMap<String, Dn>;

impl Session<'_> {
    /// Makes the entry a member of the groups, and no more of others, as the change says.
    pub(super) async fn write_membership(
        &self,
        ldap: &Ldap,
        member: &Dn,
        change: &Change,
    ) -> Result<(), TargetFailure> {
        let (join, leave) = match change {
            Change::Modify { add, remove } => (groups(ldap, add)?, groups(ldap, remove)?),
            Change::Clear => (Groups::new(), self.groups_of(ldap, member).await?),
            Change::Set(values) => {
                let (wanted, mut now) = (groups(ldap, values)?, self.groups_of(ldap, member).await?);
                now.retain(|name, _| !wanted.contains_key(name));
                (wanted, now)
            }
        };
        for (group, joins) in
            join.values().map(|group| (group, true)).chain(leave.values().map(|group| (group, false)))
        {
            self.write_member(group, member, joins).await?;
        }
        Ok(())
    }

    async fn write_member(&self, group: &Dn, member: &Dn, joins: bool) -> Result<(), TargetFailure> {
        let member = member.to_string().into_bytes();
        let values = Values::from([member.clone()]);
        let attribute = MEMBER.as_bytes().to_vec();
        let modification = if joins { Mod::Add(attribute, values) } else { Mod::Delete(attribute, values) };
        let terms = Terms { permissive: self.server.permissive, ..Terms::default() };
        let (name, deadline) = (group.to_string(), self.deadline);
        let result = self.connection.modify(&name, vec![modification], terms, deadline).await?;
        let is_so = match (result.rc, joins) {
            (failure::SUCCESS, _)
            | (failure::VALUE_EXISTS | failure::ENTRY_EXISTS, true)
            | (failure::NO_SUCH_ATTRIBUTE | failure::NO_SUCH_OBJECT, false) => true,
            // Active Directory says so of a member that is gone already.
            (failure::UNWILLING, false) => {
                self.connection.holds(&name, MEMBER, &member, deadline).await? == Some(false)
            }
            _ => false,
        };
        match (is_so, result.rc) {
            (true, _) => Ok(()),
            (false, failure::NO_SUCH_OBJECT) => {
                Err(failure::refused("LDAP_GROUP", format!("there is no group {name}")))
            }
            (false, _) => Err(failure::of_result(&result, Call::Modify, &Redaction::default())),
        }
    }

    /// The groups below the base that the entry is a member of, as the server shows them.
    async fn groups_of(&self, ldap: &Ldap, member: &Dn) -> Result<Groups, TargetFailure> {
        let entry = self.entry_at(member, &[MEMBERSHIP.to_owned()]).await?.unwrap_or_default();
        let names = entry.texts(MEMBERSHIP).filter_map(|name| Dn::parse(name).ok());
        let ours = names.filter(|name| ldap.group_base.as_ref().is_some_and(|base| name.is_within(base)));
        Ok(ours.map(|name| (name.folded(), name)).collect())
    }
}

fn groups(ldap: &Ldap, values: &[Value]) -> Result<Groups, TargetFailure> {
    let group = |value: &Value| {
        let name = Dn::parse(&value.to_text()).ok()?;
        let inside = ldap.group_base.as_ref().is_some_and(|base| name.is_within(base) && !name.is_same(base));
        inside.then(|| (name.folded(), name))
    };
    let groups: Option<Groups> = values.iter().map(group).collect();
    groups
        .ok_or_else(|| failure::refused("LDAP_GROUP", "a group is named by its DN, below the base of groups"))
}
