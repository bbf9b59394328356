//! What a target says of what changed since it was read: accounts, and tombstones where it keeps some.

use tonic::{Code, Status};
use xavyo_sandbox::{
    postgres::Postgres,
    slapd::{self, Options, Overlay, PEOPLE, Slapd},
};
use xavyo_tests::{World, memory_connector, refused};
use xavyo_wire::pb::provisioning as pp;

use super::{directory, table};

/// What a read tells: the accounts that it shows, those that it says are gone, and what it proves.
struct Told {
    accounts: Vec<String>,
    gone: Vec<String>,
    proof: pp::ReadProof,
}

async fn read(
    world: &World,
    connector: &str,
    object_class: &str,
    since: Option<&str>,
) -> Result<Told, Status> {
    use pp::read_target_accounts_response::Item;
    let request = pp::ReadTargetAccountsRequest {
        connector_id: connector.to_owned(),
        object_class: object_class.to_owned(),
        since: since.map(str::to_owned),
        ..pp::ReadTargetAccountsRequest::default()
    };
    let mut messages = world.admin.accounts.clone().read_target_accounts(request).await?.into_inner();
    let (mut accounts, mut gone) = (Vec::new(), Vec::new());
    while let Some(message) = messages.message().await? {
        match message.item.unwrap() {
            Item::Page(page) => {
                accounts.extend(page.accounts.into_iter().map(|account| account.external_uid));
                // Whatever else a tombstone keeps, here it keeps the immutable id.
                gone.extend(page.gone_accounts.into_iter().map(|account| account.immutable_id.unwrap()));
            }
            Item::Proof(proof) => return Ok(Told { accounts, gone, proof }),
        }
    }
    panic!("no proof")
}

async fn refusal(world: &World, connector: &str, object_class: &str, since: &str) -> Option<String> {
    let mut refusal = refused(read(world, connector, object_class, Some(since)).await.map(|told| told.proof));
    assert_eq!(refusal.named(), (Code::FailedPrecondition, "TARGET_REFUSED"));
    refusal.facts.remove("code")
}

fn dn(uid: &str) -> String {
    format!("uid={uid},{PEOPLE}")
}

async fn join(slapd: &Slapd, uid: &str) {
    let values = [("objectClass", "inetOrgPerson"), ("uid", uid), ("cn", uid), ("sn", uid)];
    let mut administrator = slapd.administrator().await.unwrap();
    administrator.add(&dn(uid), slapd::values_by_name(&values)).await.unwrap().success().unwrap();
}

#[tokio::test]
async fn a_directory_tells_who_came_and_who_went_since_it_was_read() {
    let world = World::new().await;
    let options = Options { overlays: vec![Overlay::Changes], ..Options::default() };
    let slapd = Slapd::start(&options).await.unwrap();
    let connector = world.connector(|request| *request = directory(&slapd, slapd.password())).await;
    join(&slapd, "ada").await;
    join(&slapd, "bob").await;
    let all = read(&world, &connector, "inetOrgPerson", None).await.unwrap();
    assert_eq!((all.accounts.len(), all.gone.len(), all.proof.complete), (2, 0, true));
    let mark = all.proof.watermark.unwrap();

    join(&slapd, "cid").await;
    slapd.administrator().await.unwrap().delete(&dn("bob")).await.unwrap().success().unwrap();
    let told = read(&world, &connector, "inetOrgPerson", Some(&mark)).await.unwrap();

    assert_eq!((told.accounts, told.gone.len()), (vec![dn("cid")], 1));
    assert_eq!((told.proof.complete, told.proof.count), (true, 2), "{}", told.proof.evidence);
    let nothing = read(&world, &connector, "inetOrgPerson", told.proof.watermark.as_deref()).await.unwrap();
    assert_eq!((nothing.accounts.len(), nothing.gone.len()), (0, 0));
    let expired = refusal(&world, &connector, "inetOrgPerson", "usn 5 cn=dc1").await;
    assert_eq!(expired.as_deref(), Some("WATERMARK_EXPIRED"));
}

#[tokio::test]
async fn a_table_tells_the_rows_that_were_written_since_and_those_deleted_softly() {
    let world = World::new().await;
    let database = Postgres::shared().await.unwrap().target().await.unwrap();
    let (pool, mut settings) = table(&database).await;
    let Some(pp::connector_settings::Kind::Sql(sql)) = settings.kind.as_mut() else { panic!() };
    sql.updated_at_column = Some("updated_at".to_owned());
    sql.deleted_column = Some("gone".to_owned());
    let written = "alter table account add updated_at timestamptz not null default now() - interval '1 day',
                                       add gone boolean not null default false;
                   insert into account (login) values ('ada'), ('bob'), ('cid'), ('dan');
                   update account set updated_at = now() where login = 'ada'";
    sqlx::raw_sql(written).execute(&pool).await.unwrap();
    let connector = world.connector(|request| request.settings = Some(settings)).await;
    let all = read(&world, &connector, "account", None).await.unwrap();
    assert_eq!((all.accounts.len(), all.gone.len()), (4, 0));

    let changed = "update account set title = 'x', updated_at = now() where login = 'bob';
                   update account set gone = true, updated_at = now() where login = 'cid';
                   delete from account where login = 'dan'";
    sqlx::raw_sql(changed).execute(&pool).await.unwrap();
    let told = read(&world, &connector, "account", all.proof.watermark.as_deref()).await.unwrap();

    // Ada was written within the watermark's margin: she comes twice. Nothing tells of Dan.
    assert_eq!((told.accounts.as_slice(), told.gone.len()), (&["ada".to_owned(), "bob".to_owned()][..], 1));
    let foreign = refusal(&world, &connector, "account", "yesterday").await;
    assert_eq!(foreign.as_deref(), Some("WATERMARK_EXPIRED"));
}

#[tokio::test]
async fn a_target_that_cannot_say_what_changed_gives_no_mark_and_says_so() {
    let world = World::new().await;
    let silent = world.connector(|request| *request = memory_connector()).await;
    assert_eq!(read(&world, &silent, "account", None).await.unwrap().proof.watermark, None);
    assert_eq!(refusal(&world, &silent, "account", "x").await.as_deref(), Some("NOT_OFFERED"));
}
