//! The journal of a memory store: JSON lines that the connector's processes append to, each whole line one call.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;
use uuid::Uuid;

use super::{ACCOUNT_STATE, Account, Attributes, Call, Ledger, Write, state, texts};

/// What the judge needs of a line; see the connector's own description of its format.
#[derive(Debug, Deserialize)]
struct Line {
    sequence: u64,
    #[serde(default)]
    tag: String,
    call: String,
    #[serde(default)]
    external_uid: String,
    immutable_id: Option<String>,
    outcome: String,
    after: Option<Record>,
}

#[derive(Debug, Deserialize)]
struct Record {
    external_uid: String,
    immutable_id: String,
    enabled: bool,
    attributes: BTreeMap<String, serde_json::Value>,
}

/// Reads `<directory>/<store>.jsonl`, the journal of a connector's store. A store that nobody has opened is empty.
pub fn read(connector: Uuid, directory: &Path, store: &str) -> Result<Ledger> {
    let path = directory.join(format!("{store}.jsonl"));
    let text = if path.exists() { fs::read_to_string(&path)? } else { String::new() };
    let ledger = parse(connector, &text).with_context(|| path.display().to_string())?;
    Ok(ledger)
}

fn parse(connector: Uuid, text: &str) -> Result<Ledger> {
    let mut ledger = Ledger { connector, tagged: true, writes: Vec::new(), accounts: Vec::new() };
    let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
    // A last line without its end was cut off by the writer's death: it did not happen.
    for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let line: Line = serde_json::from_str(line)?;
        let Some(call) = call(&line.call) else { continue };
        let write = line.into_write(call);
        if write.applied {
            if let Some(id) = &write.immutable_id {
                accounts.retain(|_, account| account.immutable_id.as_ref() != Some(id));
            }
            if let Some(attributes) = &write.attributes {
                let account = Account {
                    external_uid: write.external_uid.clone(),
                    immutable_id: write.immutable_id.clone(),
                    attributes: attributes.clone(),
                };
                accounts.insert(account.external_uid.clone(), account);
            }
        }
        ledger.writes.push(write);
    }
    ledger.accounts = accounts.into_values().collect();
    Ok(ledger)
}

/// None for what writes nothing.
fn call(name: &str) -> Option<Call> {
    match name {
        "create" => Some(Call::Create),
        "update" => Some(Call::Update),
        "delete" => Some(Call::Delete),
        _ => None,
    }
}

impl Line {
    fn into_write(self, call: Call) -> Write {
        let after = self.after.as_ref();
        Write {
            position: self.sequence,
            tag: self.tag.parse().ok(),
            call,
            external_uid: after.map_or(self.external_uid, |record| record.external_uid.clone()),
            immutable_id: after.map(|record| record.immutable_id.clone()).or(self.immutable_id),
            attributes: self.after.map(Record::into_attributes),
            applied: matches!(self.outcome.as_str(), "applied" | "unknown_after"),
            at: None,
        }
    }
}

impl Record {
    fn into_attributes(self) -> Attributes {
        let mut attributes: Attributes =
            self.attributes.iter().map(|(name, values)| (name.clone(), texts(values))).collect();
        attributes.insert(ACCOUNT_STATE.to_owned(), state(self.enabled));
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_its_writes_and_the_accounts_that_they_left() {
        let after = |mail: &str| {
            format!(
                r#"{{"object_class":"account","external_uid":"ada","immutable_id":"i1","version":1,"enabled":true,"attributes":{{"mail":["{mail}"]}}}}"#
            )
        };
        let tag = "00000000-0000-0000-0000-000000000001/1/1";
        let text = [
            r#"{"sequence":0,"call":"open","generate":0,"seed":0,"outcome":"applied"}"#.to_owned(),
            format!(
                r#"{{"sequence":1,"tag":"{tag}","call":"create","external_uid":"ada","outcome":"applied","after":{}}}"#,
                after("a@x")
            ),
            r#"{"sequence":2,"call":"get","outcome":"busy","fault":"get:busy:1;#0"}"#.to_owned(),
            format!(
                r#"{{"sequence":3,"tag":"{tag}","call":"update","external_uid":"ada","immutable_id":"i1","outcome":"unknown_after","after":{}}}"#,
                after("b@x")
            ),
            format!(
                r#"{{"sequence":4,"tag":"{tag}","call":"delete","external_uid":"ada","immutable_id":"i1","outcome":"down"}}"#
            ),
            r#"{"sequence":5,"call":"dele"#.to_owned(),
        ]
        .join("\n");

        let ledger = parse(Uuid::nil(), &text).unwrap();

        let seen: Vec<_> = ledger.writes.iter().map(|write| (write.position, write.applied)).collect();
        assert_eq!(seen, [(1, true), (3, true), (4, false)]);
        assert_eq!(ledger.accounts.len(), 1);
        assert_eq!(ledger.accounts[0].attributes["mail"], ["b@x"]);
        assert_eq!(ledger.accounts[0].attributes[ACCOUNT_STATE], ["enabled"]);
    }
}
