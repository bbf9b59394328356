//! What the memory kind alone can do: fail on demand, be generated, keep a ledger.

use xavyo_connectors::{
    AccountUpdate, Secrets,
    memory::{self, ledger::Outcome},
    open,
};
use xavyo_core::{
    account::AccountKey,
    connector::{FailureKind, MemoryFault, MemorySettings, Settings},
    value::Value,
};

use crate::target::{memory, options, read, set, unique};

fn faulty(store: &str, call: &str, kind: &str) -> Settings {
    let faults = vec![MemoryFault { call: call.into(), kind: kind.into(), times: 1 }];
    Settings::Memory(MemorySettings {
        store: store.into(),
        generate: 2_500,
        faults,
        ..MemorySettings::default()
    })
}

#[tokio::test]
async fn a_truncated_read_says_so_and_a_hiding_one_does_not() {
    let truncating = open(&faulty(&unique("cut"), "read", "truncate"), &Secrets::default(), &options());
    let (accounts, proof) = read(truncating.unwrap().as_ref(), "account", &[]).await;
    assert_eq!((accounts.len(), proof.complete), (500, false));

    let hiding = open(&faulty(&unique("cut"), "read", "hidden"), &Secrets::default(), &options());
    let hiding = hiding.unwrap();
    let (accounts, proof) = read(hiding.as_ref(), "account", &[]).await;
    assert_eq!((accounts.len(), proof.complete), (1_250, true));
    let (accounts, _) = read(hiding.as_ref(), "account", &[]).await;
    assert_eq!(accounts.len(), 2_500, "the fault was there once");
}

#[tokio::test]
async fn an_unknown_outcome_is_one_that_happened_or_did_not() {
    for (kind, written) in [("unknown_before", false), ("unknown_after", true)] {
        let store = unique("unknown");
        let connector = open(&faulty(&store, "delete", kind), &Secrets::default(), &options()).unwrap();
        let key = AccountKey { external_uid: "user000007".into(), immutable_id: None };

        let deleted = connector.delete("account", &key, None, "attempt 1").await;

        assert_eq!(deleted.unwrap_err().kind, FailureKind::Unknown);
        assert_eq!(connector.get("account", &key, &[]).await.unwrap().is_none(), written);
        let entries = memory::ledger(&store, None).unwrap();
        let entry = entries.iter().find(|entry| entry.tag == "attempt 1").unwrap();
        assert_eq!((entry.took_effect(), entry.outcome.name()), (written, kind));
    }
}

#[tokio::test]
async fn a_generated_account_is_as_the_generator_says_until_it_is_written() {
    let settings =
        MemorySettings { store: unique("made"), generate: 1_000, seed: 9, ..MemorySettings::default() };
    let connector = open(&Settings::Memory(settings), &Secrets::default(), &options()).unwrap();
    let expected = memory::generated(9, 321);
    let got = connector.get("account", &expected.key(), &["*".into()]).await.unwrap();
    assert_eq!(got.as_ref(), Some(&expected));
    let found = connector.find("account", "mail", &expected.attributes["mail"][0]).await.unwrap();
    assert_eq!(found, std::slice::from_ref(&expected));

    let update = AccountUpdate {
        changes: set("department", &["Moon"]),
        rename_to: Some("moonling".into()),
        ..Default::default()
    };
    connector.update("account", &expected.key(), &update).await.unwrap();
    let now = connector.get("account", &expected.key(), &["*".into()]).await.unwrap().unwrap();
    assert_eq!(now.external_uid, "moonling");
    assert_eq!(now.attributes["department"], [Value::from("Moon")]);
    let (accounts, _) = read(connector.as_ref(), "account", &[]).await;
    assert_eq!(accounts.len(), 1_000);
}

#[tokio::test]
async fn a_store_that_forgets_answers_updates_and_keeps_nothing() {
    let store = unique("forgets");
    let settings =
        MemorySettings { store: store.clone(), generate: 10, forgets: true, ..MemorySettings::default() };
    let connector = open(&Settings::Memory(settings), &Secrets::default(), &options()).unwrap();
    let made = memory::generated(0, 3);
    let update = |version: Option<&str>| AccountUpdate {
        changes: set("department", &["Moon"]),
        if_version: version.map(str::to_owned),
        ..Default::default()
    };

    let updated = connector.update("account", &made.key(), &update(Some("1"))).await.unwrap();
    assert_eq!(updated.key(), made.key());
    let stale = connector.update("account", &made.key(), &update(Some("2"))).await.unwrap_err();
    assert_eq!(stale.kind, FailureKind::PreconditionFailed);
    let stranger = AccountKey { external_uid: "user000010".into(), immutable_id: None };
    let gone = connector.update("account", &stranger, &update(None)).await.unwrap_err();
    assert_eq!(gone.kind, FailureKind::NotFound);

    let shown = connector.get("account", &made.key(), &["*".into()]).await.unwrap();
    assert_eq!(shown, Some(made));
    assert!(memory::ledger(&store, None).unwrap().iter().all(|entry| !entry.took_effect()));
}

/// Q6: every write is in the ledger under the tag that it came with.
#[tokio::test]
async fn the_ledger_holds_every_write_in_order() {
    let target = memory().await;
    let made = target.create("ada").await;
    target.connector.create(&target.new_account("ada")).await.unwrap_err();
    target.update(&made.key(), set("x", &["1"])).await.unwrap();
    target.connector.delete("account", &made.key(), None, "farewell").await.unwrap();

    let Settings::Memory(settings) = &target.settings else { unreachable!("a memory target") };
    let entries = memory::ledger(&settings.store, None).unwrap();
    let told: Vec<(&str, Outcome)> = entries
        .iter()
        .map(|entry| (entry.tag.as_str(), entry.outcome))
        .filter(|(tag, _)| !tag.is_empty())
        .collect();
    assert_eq!(
        told,
        [
            ("create ada", Outcome::Applied),
            ("create ada", Outcome::AlreadyExists),
            ("farewell", Outcome::Applied)
        ]
    );
    let sequences: Vec<u64> = entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, [0, 1, 2, 3, 4]);
}
