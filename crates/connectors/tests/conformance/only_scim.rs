//! What a SCIM server can be made to show by one that answers as told: pages that move, redirects, tokens that end.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use xavyo_connectors::{Connector, NewAccount, Secrets, open};
use xavyo_core::{
    account::AccountKey,
    connector::{FailureKind, ScimSettings, Settings},
    value::Attributes,
};

use crate::target::{options, read};

/// What a server answers to a request line and its head: a status, headers, a body.
type Told = (u16, String, Json);

/// A server that answers by a function of the request's first line and head; what it does not know is not found.
async fn server(mut answer: impl FnMut(&str, &str) -> Option<Told> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = head(&mut stream).await;
            let line = head.lines().next().unwrap_or_default().to_owned();
            let (status, headers, body) =
                answer(&line, &head).unwrap_or((404, String::new(), json!({"status": "404"})));
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let text = format!(
                "HTTP/1.1 {status} Told\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    address
}

/// A request without its body, which comes with it or is small enough to be left.
async fn head(stream: &mut TcpStream) -> String {
    let (mut read, mut buffer) = (Vec::new(), [0; 4_096]);
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(size) => read.extend_from_slice(&buffer[..size]),
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

fn scim(address: SocketAddr, change: impl FnOnce(&mut ScimSettings)) -> Arc<dyn Connector> {
    let mut settings = ScimSettings {
        base_url: format!("http://{address}/v2"),
        username: None,
        client_id: None,
        token_url: None,
        ca_certificates: None,
        page_size: 2,
        sentinels: Vec::new(),
    };
    change(&mut settings);
    let secrets = Secrets::from_iter([("bearer_token", "secret"), ("client_secret", "secret")]);
    open(&Settings::Scim(settings), &secrets, &options()).unwrap()
}

fn page(ids: &[&str], total: usize) -> Told {
    let users: Vec<Json> = ids.iter().map(|id| json!({"id": id, "userName": format!("u{id}")})).collect();
    (200, String::new(), json!({"totalResults": total, "Resources": users}))
}

/// Lists of users in the order of the requests, the last one for ever.
async fn listing(pages: Vec<(&'static [&'static str], usize)>) -> Arc<dyn Connector> {
    let mut asked = 0;
    let address = server(move |line, _| {
        line.contains("/v2/Users?").then_some(())?;
        let (ids, total) = pages[asked.min(pages.len() - 1)];
        asked += 1;
        Some(page(ids, total))
    });
    scim(address.await, |_| {})
}

/// R1: somebody was inserted before the second page, so that one user came twice and one not at all.
#[tokio::test]
async fn pages_that_moved_once_are_walked_again_and_show_everybody() {
    let connector = listing(vec![(&["1", "2"], 3), (&["2"], 3), (&["0", "1"], 3), (&["2"], 3)]).await;
    let (accounts, proof) = read(connector.as_ref(), "User", &[]).await;
    assert!(proof.complete && proof.evidence.contains("second pass"), "{}", proof.evidence);
    assert_eq!((accounts.len(), proof.count), (3, 3), "each once");
}

#[tokio::test]
async fn pages_that_keep_moving_are_no_complete_read() {
    let connector = listing(vec![(&["1", "2"], 4), (&["2", "1"], 4)]).await;
    let (accounts, proof) = read(connector.as_ref(), "User", &[]).await;
    assert!(!proof.complete && proof.evidence.contains("not stable"), "{}", proof.evidence);
    assert_eq!(accounts.len(), 2);
}

/// Fault 2: a count that shrinks, or pages that end before it is reached.
#[tokio::test]
async fn a_list_that_ends_before_its_count_is_no_complete_read() {
    for pages in [
        vec![(&["1", "2"][..], 5), (&[][..], 5), (&["1", "2"], 5), (&[], 5)],
        vec![(&["1", "2"], 5), (&["3"], 3), (&["1", "2"], 5), (&["3"], 3)],
    ] {
        let (_, proof) = read(listing(pages).await.as_ref(), "User", &[]).await;
        assert!(!proof.complete, "{}", proof.evidence);
    }
}

/// S6: a redirect is checked before it is followed, and leads to no other server.
#[tokio::test]
async fn a_redirect_leads_to_no_denied_address_and_to_no_other_server() {
    for (location, code) in [
        ("http://169.254.169.254/latest/meta-data", "EGRESS_DENIED"),
        ("http://[::ffff:a9fe:a9fe]/", "EGRESS_DENIED"),
        ("http://2852039166/", "EGRESS_DENIED"),
        ("http://127.0.0.1:1/v2/Users", "SCIM_REDIRECT"),
    ] {
        let address = server(move |_, _| Some((302, format!("Location: {location}\r\n"), Json::Null))).await;
        let failure = scim(address, |_| {}).get("User", &key(), &[]).await.unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Refused, code), "{location}");
    }
    let denied = scim("169.254.169.254:80".parse().unwrap(), |_| {}).get("User", &key(), &[]).await;
    assert_eq!(denied.unwrap_err().code, "EGRESS_DENIED");
}

#[tokio::test]
async fn a_server_that_asks_for_patience_says_how_much() {
    let address = server(|line, _| match line {
        line if line.starts_with("POST") => Some((429, "Retry-After: 17\r\n".into(), Json::Null)),
        _ => None,
    });
    let account = NewAccount {
        object_class: "User".into(),
        external_uid: "ada".into(),
        attributes: Attributes::new(),
        enabled: None,
        tag: String::new(),
    };
    let failure = scim(address.await, |_| {}).create(&account).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Busy);
    assert_eq!(failure.retry_after, Some(std::time::Duration::from_secs(17)));
}

/// A token that the server forgot is asked for once more; one that it never takes is our fault.
#[tokio::test]
async fn a_forgotten_token_is_asked_for_again() {
    let given = Arc::new(Mutex::new(0));
    let counted = given.clone();
    let address = server(move |line, head| {
        let mut given = counted.lock().unwrap();
        if line.starts_with("POST /token") {
            *given += 1;
            let body =
                json!({"access_token": format!("t{given}"), "token_type": "bearer", "expires_in": 3600});
            return Some((200, String::new(), body));
        }
        // Only the second token is good.
        if !head.to_lowercase().contains("authorization: bearer t2") {
            return Some((401, String::new(), Json::Null));
        }
        if line.contains("/Users/7") {
            return Some((200, String::new(), json!({"id": "7", "userName": "ada"})));
        }
        None
    })
    .await;
    let connector = scim(address, |settings| {
        settings.client_id = Some("xavyo".into());
        settings.token_url = Some(format!("http://{address}/token"));
    });
    // The first token is fresh and refused: that is no matter of its age.
    let refused = connector.get("User", &key(), &[]).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::BadCredentials);
    let found = connector.get("User", &key(), &[]).await.unwrap();
    assert_eq!(found.unwrap().external_uid, "ada");
    assert_eq!(*given.lock().unwrap(), 2);
}

/// What it can hold and do is asked for each time: an application grows while it is in use.
#[tokio::test]
async fn a_server_that_has_changed_is_described_as_it_is_now() {
    let mut updates = 0;
    let address = server(move |line, _| {
        let body = if line.contains("/ServiceProviderConfig") {
            updates += 1;
            json!({"etag": {"supported": updates > 1}})
        } else if line.contains("/Schemas") {
            let attributes: Vec<Json> = (0..updates).map(|it| json!({"name": format!("a{it}")})).collect();
            json!({"Resources": [{"id": "urn:ietf:params:scim:schemas:core:2.0:User", "attributes": attributes}]})
        } else {
            return None;
        };
        Some((200, String::new(), body))
    });
    let connector = scim(address.await, |_| {});
    for count in [1, 2] {
        let class = connector.describe().await.unwrap().remove(0);
        assert_eq!((class.object_class.as_str(), class.attributes.len()), ("User", count));
        assert_eq!(connector.capabilities().versions, count > 1);
    }
}

fn key() -> AccountKey {
    AccountKey { external_uid: "ada".into(), immutable_id: Some("7".into()) }
}
