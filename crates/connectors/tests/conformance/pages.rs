//! Reads and writes against a directory that answers badly, or like another server (faults 1, 2, 13).

use std::sync::Arc;

use futures::TryStreamExt;
use xavyo_connectors::{
    AccountChange, AccountUpdate, ChangeItem, Connector, ReadRequest, Secrets, WATERMARK_EXPIRED, open,
};
use xavyo_core::{
    account::AccountKey,
    change::Change,
    connector::{FailureKind, LdapDialect, LdapSettings, LdapTls, Settings},
    value::Value,
};
use xavyo_sandbox::tls::Authority;

use crate::{
    fake::{BIND, COMPARE, DELETE, EXTENDED, Fake, MODIFY, SEARCH, Say, done, entry, in_turn},
    target::{modify, options, read, set},
};

fn connector(settings: LdapSettings) -> Arc<dyn Connector> {
    let secrets = Secrets::from_iter([("bind_password", "Secret-7")]);
    open(&Settings::Ldap(settings), &secrets, &options()).unwrap()
}

/// Two people, and the end of the page.
fn people(page: usize, code: u8, cookie: &'static str) -> Vec<Say> {
    let person =
        |n: usize| entry(&format!("uid=p{n},dc=x"), vec![("entryUUID", format!("id-{n}").into_bytes())]);
    vec![person(2 * page), person(2 * page + 1), Say::Done { code, cookie: Some(cookie) }]
}

/// R1, fault 1: whatever the page.
#[tokio::test]
async fn a_limit_on_any_page_makes_a_read_incomplete() {
    for code in [4, 3, 11, 51] {
        for last in 0..3 {
            let page = |page| if page == last { people(page, code, "") } else { people(page, 0, "more") };
            let pages: Vec<_> = (0..3).map(page).collect();
            let fake = Fake::start(in_turn(pages)).await;
            let connector = connector(fake.settings(LdapDialect::Detect));

            let (accounts, proof) = read(connector.as_ref(), "person", &[]).await;

            assert_eq!(accounts.len(), 2 * (last + 1), "code {code} on page {last}");
            assert!(!proof.complete && proof.evidence.contains(&format!("LDAP_{code}")), "{proof:?}");
        }
    }
}

/// Fault 2: a cookie that is empty too early cannot be told from the end, but an answer without pages can.
#[tokio::test]
async fn an_answer_without_pages_is_not_complete() {
    let mut pages = people(0, 0, "");
    *pages.last_mut().unwrap() = Say::Done { code: 0, cookie: None };
    let fake = Fake::start(in_turn(vec![pages])).await;

    let (accounts, proof) = read(connector(fake.settings(LdapDialect::Detect)).as_ref(), "person", &[]).await;

    assert!(accounts.len() == 2 && !proof.complete && proof.evidence.contains("did not page"), "{proof:?}");
}

/// Fault 13: whoever sits between says that StartTLS is not to be had, or that it is and goes on in clear.
#[tokio::test]
async fn a_password_is_never_sent_where_starttls_was_stripped() {
    let garbage: &[u8] = b"\x16\x03\x01 no handshake";
    for answer in [done(2), done(52), vec![Say::Done { code: 0, cookie: None }, Say::Bytes(garbage)]] {
        let fake =
            Fake::start(move |asked| if asked.operation == EXTENDED { answer.clone() } else { done(0) })
                .await;
        let mut settings = fake.settings(LdapDialect::Detect);
        settings.tls = LdapTls::StartTls;
        settings.ca_certificates = Some(Authority::generate().unwrap().certificate_pem().to_owned());

        let key = AccountKey { external_uid: "ada".into(), immutable_id: None };
        let failure = connector(settings).get("person", &key, &[]).await.unwrap_err();

        assert_eq!(failure.kind, FailureKind::Down, "{failure}");
        assert_eq!(fake.count(BIND), 0);
        assert!(fake.ledger().iter().all(|asked| !asked.holds("Secret-7")));
    }
}

/// Bytes that are no LDAP break the connection and nothing else.
#[tokio::test]
async fn an_answer_that_is_not_ldap_is_a_broken_connection() {
    let answers: [&[u8]; 4] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x30\x03\x02\x01\x01",
        // A bind response whose text is not UTF-8.
        b"\x30\x0d\x02\x01\x01\x61\x08\x0a\x01\x00\x04\x00\x04\x01\xff",
        b"\x30\x84\xff\xff\xff\xff",
    ];
    for answer in answers {
        let fake = Fake::start(move |_| vec![Say::Bytes(answer)]).await;
        let key = AccountKey { external_uid: "ada".into(), immutable_id: None };
        let hasty =
            xavyo_connectors::Options { call_timeout: std::time::Duration::from_secs(1), ..options() };
        let secrets = Secrets::from_iter([("bind_password", "Secret-7")]);
        let settings = Settings::Ldap(fake.settings(LdapDialect::Detect));
        let failure = open(&settings, &secrets, &hasty).unwrap().get("person", &key, &[]).await.unwrap_err();
        let honest = matches!(failure.kind, FailureKind::Down | FailureKind::Busy);
        assert!(honest, "{:?}: {failure}", failure.kind);
    }
}

/// The same state, in the words of different servers.
#[tokio::test]
async fn a_member_that_is_there_or_gone_already_is_no_failure_whatever_the_code() {
    for (code, add, remove, held) in
        [(20, true, false, 6), (68, true, false, 6), (16, false, true, 5), (53, false, true, 5)]
    {
        let fake = Fake::start(move |asked| match asked.operation {
            MODIFY => done(code),
            COMPARE => done(held),
            SEARCH if asked.holds("supportedControl") => done(0),
            SEARCH => vec![entry("uid=ada,dc=x", vec![("entryUUID", b"id-1".to_vec())]), done(0).remove(0)],
            _ => done(0),
        })
        .await;
        let value: &[&str] = &["cn=staff,dc=x"];
        let changes = modify("seeAlso", if add { value } else { &[] }, if remove { value } else { &[] });
        let update = AccountUpdate { changes, ..AccountUpdate::default() };
        let key = AccountKey { external_uid: "uid=ada,dc=x".into(), immutable_id: Some("id-1".into()) };

        let updated = connector(fake.settings(LdapDialect::Detect)).update("person", &key, &update).await;

        assert!(updated.is_ok(), "{code}: {updated:?}");
    }
}

/// A refusal that has nothing to do with what is there is told as it is, at once.
#[tokio::test]
async fn a_refused_value_is_not_taken_for_one_that_is_there() {
    let fake = Fake::start(|asked| match asked.operation {
        MODIFY => done(53),
        COMPARE => done(5),
        SEARCH if asked.holds("supportedControl") => done(0),
        SEARCH => vec![entry("uid=ada,dc=x", Vec::new()), done(0).remove(0)],
        _ => done(0),
    })
    .await;
    let update =
        AccountUpdate { changes: modify("seeAlso", &["cn=staff,dc=x"], &[]), ..AccountUpdate::default() };
    let key = AccountKey { external_uid: "uid=ada,dc=x".into(), immutable_id: None };

    let failure =
        connector(fake.settings(LdapDialect::Detect)).update("person", &key, &update).await.unwrap_err();

    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Refused, "LDAP_53"));
    assert_eq!(fake.count(MODIFY), 1);
}

const GUID: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

/// As its documentation says; no Active Directory is here to prove it.
async fn active_directory() -> Fake {
    Fake::start(|asked| match asked.operation {
        SEARCH if asked.holds("supportedControl") => {
            let capability = b"1.2.840.113556.1.4.800".to_vec();
            vec![entry("", vec![("supportedCapabilities", capability)]), done(0).remove(0)]
        }
        SEARCH => {
            let control = ("userAccountControl", b"66048".to_vec());
            vec![entry("CN=Ada,DC=x", vec![("objectGUID", GUID.to_vec()), control]), done(0).remove(0)]
        }
        _ => done(0),
    })
    .await
}

/// R2: the write goes to the id, not to a name that may be another's by then.
#[tokio::test]
async fn active_directory_is_written_by_the_guid() {
    let fake = active_directory().await;
    let connector = connector(fake.settings(LdapDialect::Detect));
    let key = AccountKey { external_uid: "cn=ada,dc=x".into(), immutable_id: None };
    let found = connector.get("person", &key, &[]).await.unwrap().unwrap();
    assert_eq!(found.immutable_id.as_deref(), Some("04030201-0605-0807-090a-0b0c0d0e0f10"));
    assert_eq!(found.enabled, Some(true));

    let update = AccountUpdate { enabled: Some(false), ..AccountUpdate::default() };
    connector.update("person", &found.key(), &update).await.unwrap();
    connector.delete("person", &found.key(), None, "").await.unwrap();

    let name = "<GUID=04030201-0605-0807-090a-0b0c0d0e0f10>";
    let writes: Vec<_> =
        fake.ledger().into_iter().filter(|it| [MODIFY, DELETE].contains(&it.operation)).collect();
    assert!(writes.len() == 2 && writes.iter().all(|asked| asked.holds(name)), "{writes:?}");
    assert!(writes[0].holds("66050"), "the other bits stay");
}

#[tokio::test]
async fn active_directory_gets_no_password_in_clear_text() {
    let fake = active_directory().await;
    let connector = connector(fake.settings(LdapDialect::ActiveDirectory));
    let key = AccountKey { external_uid: "cn=ada,dc=x".into(), immutable_id: None };
    for changes in [
        set("unicodePwd", &["Pa55word-9"]),
        [("unicodePwd".to_owned(), Change::Set(vec![Value::from(""), Value::from("x")]))].into(),
    ] {
        let update = AccountUpdate { changes, ..AccountUpdate::default() };
        let failure = connector.update("person", &key, &update).await.unwrap_err();
        assert_eq!(failure.code, "LDAP_PASSWORD");
    }
    assert_eq!(fake.count(MODIFY), 0);
}

/// Deletes come from tombstones below our base, changes by their number; another controller's numbers count for nothing.
#[tokio::test]
async fn active_directory_tells_changes_and_tombstones_since_a_number() {
    let fake = Fake::start(|asked| match asked.operation {
        SEARCH if asked.holds("supportedControl") => {
            let capability = b"1.2.840.113556.1.4.800".to_vec();
            vec![entry("", vec![("supportedCapabilities", capability)]), done(0).remove(0)]
        }
        SEARCH if asked.holds("highestCommittedUSN") => {
            let root = vec![("highestCommittedUSN", b"500".to_vec()), ("dsServiceName", b"CN=DC1".to_vec())];
            vec![entry("", root), done(0).remove(0)]
        }
        SEARCH if asked.holds("defaultNamingContext") => {
            vec![entry("", vec![("defaultNamingContext", b"DC=x".to_vec())]), done(0).remove(0)]
        }
        SEARCH if asked.holds("<WKGUID=") => {
            let gone = |parent: &str| {
                let parent = ("lastKnownParent", parent.as_bytes().to_vec());
                entry("CN=gone,CN=Deleted Objects,DC=x", vec![("objectGUID", GUID.to_vec()), parent])
            };
            vec![gone("DC=x"), gone("OU=elsewhere,DC=y"), Say::Done { code: 0, cookie: Some("") }]
        }
        SEARCH => vec![
            entry("CN=Ada,DC=x", vec![("objectGUID", GUID.to_vec())]),
            Say::Done { code: 0, cookie: Some("") },
        ],
        _ => done(0),
    })
    .await;
    let connector = connector(fake.settings(LdapDialect::Detect));
    let request = || ReadRequest { object_class: "user".into(), attributes: Vec::new() };
    let (_, proof) = read(connector.as_ref(), "user", &[]).await;
    assert_eq!(proof.watermark.as_deref(), Some("usn 500 CN=DC1"));

    let items: Vec<_> = connector.changes(request(), "usn 400 CN=DC1").try_collect().await.unwrap();
    let [ChangeItem::Page(gone), ChangeItem::Page(changed), ChangeItem::Proof(proof)] = items.as_slice()
    else {
        panic!("{items:?}")
    };
    assert!(matches!(gone.as_slice(), [AccountChange::Gone(_)]), "{gone:?}");
    assert!(matches!(changed.as_slice(), [AccountChange::Changed(_)]) && proof.complete);
    assert!(fake.ledger().iter().any(|asked| asked.holds("uSNChanged") && asked.holds("401")));

    for expired in ["usn 400 CN=DC2", "usn 501 CN=DC1"] {
        let failed = connector.changes(request(), expired).try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(failed.code, WATERMARK_EXPIRED, "{expired}");
    }
}
