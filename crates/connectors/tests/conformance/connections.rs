//! Connections that break in the middle: what is certain is said, what is not is unknown.

use std::{net::TcpListener, sync::Arc, time::Duration};

use futures::StreamExt;
use xavyo_connectors::{AccountUpdate, Connector, Options, ReadRequest, open};
use xavyo_core::connector::{FailureKind, LdapTls, Settings};
use xavyo_sandbox::postgres::Postgres;

use crate::{
    proxy::{self, Cut, Server},
    target::{Target, ldap, options, set, sql},
};

/// The same target through a proxy.
async fn behind(target: &Target, marker: &'static [u8], cut: Cut) -> Arc<dyn Connector> {
    let server = match &target.settings {
        Settings::Ldap(settings) => Server::Port(settings.port),
        _ => Server::Socket(Postgres::shared().await.unwrap().sockets().join(".s.PGSQL.5432")),
    };
    at_port(target, proxy::start(server, marker, cut).await, &options())
}

fn at_port(target: &Target, port: u16, options: &Options) -> Arc<dyn Connector> {
    let mut settings = target.settings.clone();
    match &mut settings {
        Settings::Ldap(settings) => (settings.port, settings.tls) = (port, LdapTls::None),
        Settings::Sql(settings) => (settings.host, settings.port) = ("127.0.0.1".into(), port),
        Settings::Memory(_) | Settings::Scim(_) | Settings::Remote(_) => {
            unreachable!("a target behind a port")
        }
    }
    open(&settings, &target.secrets, options).unwrap()
}

/// The write happened, its answer was lost (fault 17).
#[tokio::test]
async fn a_write_whose_answer_is_lost_is_unknown() {
    for (target, marker) in [(sql().await, &b"commit"[..]), (ldap().await, b"canary-7f")] {
        let made = target.create("ada").await;
        let connector = behind(&target, marker, Cut::Answer).await;
        let update = AccountUpdate { changes: set(target.text, &["canary-7f"]), ..Default::default() };

        let updated = connector.update(target.object_class, &made.key(), &update).await;

        assert_eq!(updated.unwrap_err().kind, FailureKind::Unknown, "{:?}", target.settings.kind());
        let now = target.get(&made.key()).await.unwrap();
        assert_eq!(now.attributes[target.text], ["canary-7f".into()], "it was written all the same");
    }
}

#[tokio::test]
async fn a_transaction_cut_before_its_commit_did_not_happen() {
    let target = sql().await;
    let made = target.create("ada").await;
    let connector = behind(&target, b"canary-7f", Cut::Request).await;
    let update = AccountUpdate { changes: set(target.text, &["canary-7f"]), ..Default::default() };

    let updated = connector.update(target.object_class, &made.key(), &update).await;

    assert_eq!(updated.unwrap_err().kind, FailureKind::Down);
    assert_eq!(target.get(&made.key()).await.unwrap().version, made.version);
}

/// R1: a read that is cut off has no proof.
#[tokio::test]
async fn a_read_whose_connection_is_cut_ends_with_an_error() {
    for (target, marker) in [(sql().await, &b"fetch forward"[..]), (ldap().await, b"inetOrgPerson")] {
        for n in 0..20 {
            target.create(&format!("p{n}")).await;
        }
        let connector = behind(&target, marker, Cut::Answer).await;
        let request = ReadRequest { object_class: target.object_class.to_owned(), attributes: Vec::new() };

        let items: Vec<_> = connector.read(request).collect().await;

        let failure = items.last().unwrap().as_ref().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Down, "{failure}");
    }
}

/// A server that accepts and says nothing (fault 33).
#[tokio::test]
async fn a_server_that_never_answers_is_down_in_time() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let hasty = Options { call_timeout: Duration::from_millis(300), ..options() };
    for target in [sql().await, ldap().await] {
        let connector = at_port(&target, port, &hasty);
        let began = std::time::Instant::now();
        let failure = connector.create(&target.new_account("ada")).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Down, "{failure}");
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}

/// Bytes that are no LDAP break the connection and nothing else.
#[tokio::test]
async fn an_answer_that_is_not_ldap_is_a_broken_connection() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let answers: [&[u8]; 4] = [
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"\x30\x03\x02\x01\x01",
            // A bind response whose text is not UTF-8.
            b"\x30\x0d\x02\x01\x01\x61\x08\x0a\x01\x00\x04\x00\x04\x01\xff",
            b"\x30\x84\xff\xff\xff\xff",
        ];
        for answer in answers.iter().cycle() {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.readable().await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let target = ldap().await;
    let connector = at_port(&target, port, &Options { call_timeout: Duration::from_secs(1), ..options() });
    for _ in 0..4 {
        let failure = connector.create(&target.new_account("ada")).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Down, "{failure}");
    }
}
