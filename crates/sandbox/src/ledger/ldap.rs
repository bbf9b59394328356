//! The ledger of a directory: slapd's accesslog (slapo-accesslog(5)). It names the one who wrote, but knows no tag:
//! writes are attributed to attempts by entry and time.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::{DateTime, NaiveDateTime, Utc};
use ldap3::{Scope, SearchEntry};
use uuid::Uuid;

use super::{Account, Attributes, Call, Ledger, Write};
use crate::slapd::{CONNECTOR_DN, LEDGER, PEOPLE, Slapd};

/// Reads what the connector wrote below `ou=people`, and the entries there.
pub async fn read(connector: Uuid, slapd: &Slapd) -> Result<Ledger> {
    let mut ldap = slapd.administrator().await?;
    let filter = format!("(&(objectClass=auditWriteObject)(reqAuthzID={CONNECTOR_DN}))");
    let (noted, _) = ldap.search(LEDGER, Scope::OneLevel, &filter, vec!["*"]).await?.success()?;
    let (held, _) =
        ldap.search(PEOPLE, Scope::OneLevel, "(objectClass=*)", vec!["*", "entryUUID"]).await?.success()?;
    ldap.unbind().await?;

    let mut records: Vec<Record> =
        noted.into_iter().filter_map(|entry| Record::of(&SearchEntry::construct(entry))).collect();
    records.sort_by(|one, other| one.start.cmp(&other.start));
    let accounts = held.into_iter().map(|entry| account(SearchEntry::construct(entry))).collect();
    Ok(Ledger { connector, tagged: false, writes: replay(records), accounts })
}

/// One entry of the accesslog.
struct Record {
    /// Generalised time with a fraction that counts the entries of a second: it sorts as text.
    start: String,
    call: Call,
    dn: String,
    entry_uuid: Option<String>,
    /// `mail:+ a@x`, `mail:- a@x`, `mail:= a@x`, `mail:-`.
    changes: Vec<String>,
}

impl Record {
    fn of(entry: &SearchEntry) -> Option<Self> {
        let one = |name: &str| Some(entry.attrs.get(name)?.first()?.clone());
        let call = match one("reqType")?.as_str() {
            "add" => Call::Create,
            "modify" | "modrdn" => Call::Update,
            "delete" => Call::Delete,
            _ => return None,
        };
        let texts = entry.attrs.get("reqMod").cloned().unwrap_or_default();
        let bytes = entry.bin_attrs.get("reqMod").cloned().unwrap_or_default();
        let changes = texts.into_iter().chain(bytes.iter().map(|b| String::from_utf8_lossy(b).into_owned()));
        Some(Self {
            start: one("reqStart")?,
            call,
            dn: one("reqDN")?,
            entry_uuid: one("reqEntryUUID"),
            changes: changes.collect(),
        })
    }

    /// To the second: what stands behind it only tells the entries of one second apart.
    fn at(&self) -> Option<DateTime<Utc>> {
        let seconds = self.start.split('.').next()?;
        NaiveDateTime::parse_from_str(seconds, "%Y%m%d%H%M%S").ok().map(|at| at.and_utc())
    }
}

/// The accesslog says what changed; the judge wants to know what it came to.
fn replay(records: Vec<Record>) -> Vec<Write> {
    let mut entries: BTreeMap<String, Attributes> = BTreeMap::new();
    let write = |(position, record): (u64, Record)| {
        let key = record.dn.to_lowercase();
        let attributes = match record.call {
            Call::Create => Some(changed(Attributes::new(), &record.changes)),
            Call::Update => Some(changed(entries.remove(&key).unwrap_or_default(), &record.changes)),
            Call::Delete => None,
        };
        match &attributes {
            Some(now) => drop(entries.insert(key, now.clone())),
            None => drop(entries.remove(&key)),
        }
        Write {
            position,
            tag: None,
            call: record.call,
            immutable_id: record
                .entry_uuid
                .clone()
                .or_else(|| Some(attributes.as_ref()?.get("entryUUID")?.first()?.clone())),
            at: record.at(),
            external_uid: record.dn,
            attributes,
            applied: true,
        }
    };
    (1..).zip(records).map(write).collect()
}

fn changed(mut attributes: Attributes, changes: &[String]) -> Attributes {
    let mut replacing = None;
    for change in changes {
        let Some((name, change)) = change.split_once(':') else { continue };
        let values = attributes.entry(name.to_owned()).or_default();
        let value = change.get(2..).map(str::to_owned);
        // Several new values are several lines: only the first one replaces what was there.
        let goes_on = replacing.take() == Some(name);
        match (change.chars().next(), value) {
            (Some('+'), Some(value)) => values.push(value),
            (Some('='), value) => {
                if !goes_on {
                    values.clear();
                }
                values.extend(value);
                replacing = Some(name);
            }
            (Some('-'), Some(value)) => values.retain(|held| *held != value),
            (Some('-'), None) => values.clear(),
            _ => {}
        }
        values.sort();
    }
    attributes.retain(|_, values| !values.is_empty());
    attributes
}

fn account(entry: SearchEntry) -> Account {
    let mut attributes: Attributes = entry.attrs.into_iter().collect();
    let immutable_id = attributes.remove("entryUUID").and_then(|values| values.into_iter().next());
    for values in attributes.values_mut() {
        values.sort();
    }
    Account { external_uid: entry.dn, immutable_id, attributes }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ldap3::{LdapConnAsync, Mod};

    use super::*;
    use crate::slapd::{self, Options, values_by_name};

    #[tokio::test]
    async fn the_accesslog_tells_what_the_connector_wrote_and_what_it_came_to() {
        let slapd = Slapd::start(&Options { ledger: true, ..Options::default() }).await.unwrap();
        let (connection, mut ldap) =
            LdapConnAsync::new(&format!("ldap://{}:{}", slapd::HOST, slapd.port())).await.unwrap();
        ldap3::drive!(connection);
        ldap.simple_bind(CONNECTOR_DN, slapd.password()).await.unwrap().success().unwrap();
        let [ada, bob] = ["ada", "bob"].map(|name| format!("uid={name},{PEOPLE}"));
        let person = [("objectClass", "inetOrgPerson"), ("cn", "A"), ("sn", "A"), ("mail", "a@x")];
        for dn in [&ada, &bob] {
            ldap.add(dn, values_by_name(&person)).await.unwrap().success().unwrap();
        }
        let set = |values: &[&'static str]| values.iter().copied().collect::<HashSet<&str>>();
        let changes = vec![Mod::Replace("title", set(&["x", "y"])), Mod::Add("mail", set(&["b@x"]))];
        ldap.modify(&ada, changes).await.unwrap().success().unwrap();
        let changes = vec![Mod::Delete("mail", set(&["a@x"])), Mod::Replace("title", set(&[]))];
        ldap.modify(&ada, changes).await.unwrap().success().unwrap();
        ldap.delete(&bob).await.unwrap().success().unwrap();

        let ledger = read(Uuid::nil(), &slapd).await.unwrap();

        let calls: Vec<_> =
            ledger.writes.iter().map(|write| (write.call.name(), write.external_uid.as_str())).collect();
        let (ada, bob) = (ada.as_str(), bob.as_str());
        assert_eq!(
            calls,
            [("create", ada), ("create", bob), ("update", ada), ("update", ada), ("delete", bob)],
            "the administrator's own writes do not count"
        );
        let title = |write: usize| ledger.writes[write].attributes.as_ref().unwrap().get("title").cloned();
        assert_eq!((title(2), title(3)), (Some(vec!["x".to_owned(), "y".to_owned()]), None));
        assert!(ledger.writes.iter().all(|write| write.at.is_some() && write.immutable_id.is_some()));
        assert_eq!(ledger.accounts.len(), 1);
        assert_eq!(ledger.accounts[0].attributes["mail"], ["b@x"]);
    }
}
