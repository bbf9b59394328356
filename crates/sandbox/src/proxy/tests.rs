//! Every fault, on a server that answers each line with the same line in capitals.

use std::{
    io::ErrorKind,
    sync::{Arc, atomic::AtomicUsize},
    time::Instant,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, UnixStream},
    time::{Duration, timeout},
};

use super::*;

const SOON: Duration = Duration::from_millis(300);

/// How many requests have reached the server.
type Arrived = Arc<AtomicUsize>;

async fn server() -> (Server, Arrived) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let arrived = Arrived::default();
    let counted = arrived.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(shout(stream, counted.clone()));
        }
    });
    (Server::Tcp(address), arrived)
}

async fn shout(stream: TcpStream, arrived: Arrived) {
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        arrived.fetch_add(1, Ordering::SeqCst);
        if to.write_all(format!("{}\n", line.to_uppercase()).as_bytes()).await.is_err() {
            return;
        }
    }
}

struct Setting {
    proxy: Proxy,
    arrived: Arrived,
    client: TcpStream,
}

async fn setting() -> Setting {
    let (server, arrived) = server().await;
    let proxy = Proxy::start(server).await.unwrap();
    let client = connect(&proxy).await;
    Setting { proxy, arrived, client }
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap()
}

/// One line there and back. `Err` = the connection ended; it says how.
async fn ask(client: &mut (impl AsyncRead + AsyncWrite + Unpin), line: &str) -> Result<String, ErrorKind> {
    client.write_all(format!("{line}\n").as_bytes()).await.map_err(|error| error.kind())?;
    let mut answer = vec![0; line.len() + 1];
    client.read_exact(&mut answer).await.map_err(|error| error.kind())?;
    Ok(String::from_utf8(answer).unwrap().trim_end().to_owned())
}

#[tokio::test]
async fn without_rules_everything_passes() {
    let mut setting = setting().await;

    assert_eq!(ask(&mut setting.client, "hello").await, Ok("HELLO".to_owned()));
    assert_eq!(ask(&mut setting.client, &"x".repeat(200_000)).await, Ok("X".repeat(200_000)));
    assert_eq!(setting.proxy.bites(), 0);
}

#[tokio::test]
async fn a_reply_is_lost_after_its_request_was_delivered() {
    let mut setting = setting().await;
    setting.proxy.set(Rules::drop_reply(b"commit"));

    assert_eq!(ask(&mut setting.client, "begin").await, Ok("BEGIN".to_owned()));
    assert_eq!(ask(&mut setting.client, "commit").await, Err(ErrorKind::UnexpectedEof));

    assert_eq!(setting.arrived.load(Ordering::SeqCst), 2, "both requests arrived");
    assert_eq!(setting.proxy.bites(), 1);
}

#[tokio::test]
async fn a_sought_piece_is_found_though_it_arrives_in_two() {
    let mut setting = setting().await;
    setting.proxy.set(Rules::drop_reply(b"commit"));

    setting.client.write_all(b"com").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;

    assert_eq!(ask(&mut setting.client, "mit").await, Err(ErrorKind::UnexpectedEof));
    assert_eq!(setting.arrived.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_cut_ends_open_connections_and_new_ones_until_healed() {
    let mut setting = setting().await;
    assert!(ask(&mut setting.client, "a").await.is_ok());

    setting.proxy.set(Rules::down(Ending::Cut));

    assert_eq!(setting.client.read(&mut [0]).await.unwrap(), 0, "an end in order");
    assert!(ask(&mut connect(&setting.proxy).await, "b").await.is_err());
    setting.proxy.heal();
    assert_eq!(ask(&mut connect(&setting.proxy).await, "c").await, Ok("C".to_owned()));
}

#[tokio::test]
async fn a_reset_is_no_end_in_order() {
    let mut setting = setting().await;
    assert!(ask(&mut setting.client, "a").await.is_ok());

    setting.proxy.set(Rules::down(Ending::Reset));

    assert_eq!(setting.client.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_black_hole_swallows_one_direction_and_stays_open() {
    let mut setting = setting().await;
    let swallow = Flow { fault: Some(Fault::BlackHole), ..Flow::default() };
    setting.proxy.set(Rules { to_server: swallow, ..Rules::default() });

    assert!(timeout(SOON, ask(&mut setting.client, "a")).await.is_err(), "no answer, no end");
    assert_eq!(setting.arrived.load(Ordering::SeqCst), 0);

    setting.proxy.heal();
    let end = timeout(SOON, setting.client.read(&mut [0])).await.expect("what lost bytes is cut by healing");
    assert_eq!(end.unwrap(), 0);
}

#[tokio::test]
async fn a_lost_answer_in_a_black_hole_was_asked_for() {
    let mut setting = setting().await;
    let swallow = Flow { fault: Some(Fault::BlackHole), ..Flow::default() };
    setting.proxy.set(Rules { to_client: swallow, ..Rules::default() });

    assert!(timeout(SOON, ask(&mut setting.client, "a")).await.is_err());
    assert_eq!(setting.arrived.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn latency_delays_each_piece() {
    let mut setting = setting().await;
    setting.proxy.set(Rules::slow(Duration::from_millis(60)));

    let began = Instant::now();
    assert!(ask(&mut setting.client, "a").await.is_ok());
    assert!(began.elapsed() >= Duration::from_millis(120), "there and back");
}

#[tokio::test]
async fn bandwidth_is_shared_out_over_time() {
    let mut setting = setting().await;
    let narrow = Flow { bytes_per_second: Some(10_000), ..Flow::default() };
    setting.proxy.set(Rules { to_server: narrow, ..Rules::default() });

    let began = Instant::now();
    assert!(ask(&mut setting.client, &"x".repeat(3_000)).await.is_ok());
    assert!(began.elapsed() >= Duration::from_millis(280), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_drip_passes_one_byte_at_a_time() {
    let mut setting = setting().await;
    let drip = Flow { drip: Some(Duration::from_millis(20)), ..Flow::default() };
    setting.proxy.set(Rules { to_client: drip, ..Rules::default() });

    let began = Instant::now();
    assert_eq!(ask(&mut setting.client, "ninebytes").await, Ok("NINEBYTES".to_owned()));
    assert!(began.elapsed() >= Duration::from_millis(180));
}

#[tokio::test]
async fn a_truncated_answer_ends_after_so_many_bytes() {
    let setting = setting().await;
    for ending in [Ending::Cut, Ending::Reset] {
        let truncate = Flow { fault: Some(Fault::Truncate { after: 4, ending }), ..Flow::default() };
        setting.proxy.set(Rules { to_client: truncate, ..Rules::default() });
        let mut client = connect(&setting.proxy).await;

        client.write_all(b"a long answer\n").await.unwrap();
        let mut answer = Vec::new();
        let end = timeout(SOON, client.read_to_end(&mut answer)).await.expect("it ends");

        match ending {
            Ending::Cut => assert_eq!((end.unwrap(), answer.as_slice()), (4, b"A LO".as_slice())),
            Ending::Reset => assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_end_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(Server::Unix(folder.path().join("nobody"))).await.unwrap();

    assert!(ask(&mut connect(&proxy).await, "a").await.is_err());
}

#[tokio::test]
async fn it_stands_before_a_postgres_on_a_unix_socket() {
    use sqlx::{Connection, PgConnection};

    let postgres = crate::postgres::Postgres::shared().await.unwrap();
    let target = postgres.target().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::Unix(postgres.sockets().join(".s.PGSQL.5432"));
    let proxy = Proxy::start_on_socket(&folder.path().join(".s.PGSQL.5432"), server).unwrap();
    let url = format!("postgres:///{}?host={}&user=target", target.name(), folder.path().display());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::query("create table kept (n int)").execute(&mut connection).await.unwrap();

    proxy.set(Rules::drop_reply(b"COMMIT"));
    let mut tx = connection.begin().await.unwrap();
    sqlx::query("insert into kept values (1)").execute(&mut *tx).await.unwrap();
    tx.commit().await.expect_err("the answer to the commit is lost");
    proxy.heal();

    let pool = target.pool().await.unwrap();
    let kept: i64 = sqlx::query_scalar("select count(*) from kept").fetch_one(&pool).await.unwrap();
    assert_eq!(kept, 1, "and yet it was committed");
    assert!(UnixStream::connect(folder.path().join(".s.PGSQL.5432")).await.is_ok());
    drop(proxy);
    assert!(!folder.path().join(".s.PGSQL.5432").exists());
}
