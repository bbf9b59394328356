//! The servers, started for real: what they promise to tests, and that nothing of them outlives its parent.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    postgres::{Durability, Postgres},
    service::Kind,
    slapd::{BASE, CONNECTOR_DN, Options, PEOPLE, Slapd, values_by_name},
};
use ldap3::{Scope, SearchEntry};

/// Set in the environment of the parent that is to be killed.
const VICTIM: &str = "XAVYO_SANDBOX_VICTIM";

#[tokio::test]
async fn a_programs_role_owns_nothing_and_cannot_bypass_row_level_security() {
    let postgres = Postgres::shared().await.unwrap();
    for kind in Kind::ALL {
        let database = postgres.database(kind).await.unwrap();
        let pool = database.pool().await.unwrap();

        let (user, is_super, bypasses): (String, bool, bool) = sqlx::query_as(
            "select rolname::text, rolsuper, rolbypassrls from pg_roles where rolname = current_user",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        let owned: i64 =
            sqlx::query_scalar("select count(*) from pg_class where relowner = current_user::regrole")
                .fetch_one(&pool)
                .await
                .unwrap();

        assert_eq!((user, is_super, bypasses, owned), (kind.program(), false, false, 0));
    }
}

#[tokio::test]
async fn two_databases_of_a_service_know_nothing_of_each_other() {
    let postgres = Postgres::shared().await.unwrap();
    let one = postgres.database(Kind::Provisioning).await.unwrap();
    let other = postgres.database(Kind::Provisioning).await.unwrap();

    sqlx::query("create table only_here (id int)").execute(&mut one.owner().await.unwrap()).await.unwrap();

    let missing = sqlx::query("select from only_here").execute(&mut other.owner().await.unwrap()).await;
    assert!(missing.is_err());
}

#[tokio::test]
async fn a_durable_cluster_keeps_what_was_committed_before_a_crash() {
    let mut postgres = Postgres::start(Durability::Durable).await.unwrap();
    let target = postgres.target().await.unwrap();
    let pool = target.pool().await.unwrap();
    sqlx::query("create table kept as select 7 as number").execute(&pool).await.unwrap();
    pool.close().await;

    postgres.crash_and_restart().await.unwrap();

    let pool = target.pool().await.unwrap();
    let number: i32 = sqlx::query_scalar("select number from kept").fetch_one(&pool).await.unwrap();
    assert_eq!(number, 7);
}

#[tokio::test]
async fn slapd_serves_the_connector_in_clear_text_and_hides_what_it_is_told_to() {
    let mut slapd = Slapd::start(&Options { ledger: true, ..Options::default() }).await.unwrap();
    add_people(&slapd, 5).await;
    assert_eq!(people_seen(&slapd).await, Ok(5));

    slapd
        .restart(&Options { ledger: true, hidden: vec![PEOPLE.to_owned()], ..Options::default() })
        .await
        .unwrap();
    assert_eq!(people_seen(&slapd).await, Ok(0), "a hidden subtree is no error");

    slapd.restart(&Options { ledger: true, size_limit: Some(3), ..Options::default() }).await.unwrap();
    assert_eq!(people_seen(&slapd).await, Err(4), "sizeLimitExceeded");
}

#[tokio::test]
async fn slapds_ledger_names_every_write() {
    let slapd = Slapd::start(&Options { ledger: true, ..Options::default() }).await.unwrap();
    add_people(&slapd, 2).await;

    let mut ldap = slapd.administrator().await.unwrap();
    let found = ldap.search("cn=ledger", Scope::Subtree, "(reqType=add)", vec!["reqDN"]).await.unwrap();
    let (entries, _) = found.success().unwrap();
    let names: Vec<String> = entries
        .into_iter()
        .filter_map(|entry| SearchEntry::construct(entry).attrs.remove("reqDN"))
        .flatten()
        .collect();

    assert!(names.contains(&format!("uid=p1,{PEOPLE}")), "{names:?}");
}

/// The parent's part of the next test: starts one server of each kind, says so, and waits to be killed.
#[tokio::test]
async fn victim() {
    let Some(report) = env::var_os(VICTIM) else { return };
    let postgres = Postgres::start(Durability::Fast).await.unwrap();
    let slapd = Slapd::start(&Options::default()).await.unwrap();
    fs::write(report, postgres.sockets().parent().unwrap().display().to_string()).unwrap();
    thread::sleep(Duration::from_mins(1));
    drop((postgres, slapd));
}

#[test]
fn nothing_outlives_a_parent_that_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report");
    let mut parent = Command::new(env::current_exe().unwrap())
        .args(["--exact", "tests::victim", "--nocapture"])
        .env(VICTIM, &report)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the servers run", || report.exists());
    let directory = PathBuf::from(fs::read_to_string(&report).unwrap());
    let base = directory.parent().unwrap().to_owned();
    let mine: Vec<PathBuf> = workplaces(&base).into_iter().map(|(_, place)| place).collect();
    assert!(mine.iter().any(|place| place.starts_with(&directory)), "{mine:?}");

    parent.kill().unwrap();
    parent.wait().unwrap();

    let survivors =
        |parent: u32| workplaces(&base).into_iter().filter(move |(ppid, _)| *ppid == parent).count();
    wait_until("its servers are gone", || {
        !workplaces(&base).iter().any(|(_, place)| place.starts_with(&directory))
    });
    assert_eq!(survivors(parent.id()), 0);
}

async fn add_people(slapd: &Slapd, count: usize) {
    let mut ldap = slapd.administrator().await.unwrap();
    for n in 1..=count {
        let attributes = values_by_name(&[("objectClass", "inetOrgPerson"), ("cn", "P"), ("sn", "P")]);
        ldap.add(&format!("uid=p{n},{PEOPLE}"), attributes).await.unwrap().success().unwrap();
    }
}

/// How many people the connector sees, or the result code of its failing search.
async fn people_seen(slapd: &Slapd) -> Result<usize, u32> {
    let (connection, mut ldap) =
        ldap3::LdapConnAsync::new(&format!("ldap://127.0.0.1:{}", slapd.port())).await.unwrap();
    ldap3::drive!(connection);
    ldap.simple_bind(CONNECTOR_DN, slapd.password()).await.unwrap().success().unwrap();
    let found = ldap.search(BASE, Scope::Subtree, "(objectClass=inetOrgPerson)", vec!["uid"]).await.unwrap();
    if found.1.rc == 0 { Ok(found.0.len()) } else { Err(found.1.rc) }
}

/// The parents and working folders of all processes that work below `base`.
fn workplaces(base: &Path) -> Vec<(u32, PathBuf)> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let place = fs::read_link(entry.path().join("cwd")).ok()?;
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
            place.starts_with(base).then_some((parent, place))
        })
        .collect()
}

fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !happened() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
