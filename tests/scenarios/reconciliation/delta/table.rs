//! Over a table whose rows say when they were written, and that they were deleted; a row that is removed leaves no trace.

use sqlx::PgPool;
use xavyo_sandbox::postgres::{Postgres, TargetDatabase};

use super::*;
use crate::provisioning::target::table;

/// Everybody's row is a day old, but for that of `zed`, whose time is the watermark.
async fn aged(world: &World, database: &TargetDatabase) -> (PgPool, String) {
    let (pool, mut settings) = table(database).await;
    let Some(pp::connector_settings::Kind::Sql(sql)) = settings.kind.as_mut() else { panic!() };
    sql.updated_at_column = Some("updated_at".to_owned());
    sql.deleted_column = Some("gone".to_owned());
    let columns = "alter table account add updated_at timestamptz not null default now(),
                                       add gone boolean not null default false";
    sqlx::raw_sql(columns).execute(&pool).await.unwrap();
    let connector = world.connector(|request| request.settings = Some(settings)).await;
    for login in ["ann", "bob", "cid", "dan", "zed"] {
        let person = world.person(login, &format!("{login}@x"), "clerk").await;
        world.account_of(&connector, &person).await;
    }
    let aged = "update account set updated_at = now() - interval '1 day' where login <> 'zed'";
    sqlx::raw_sql(aged).execute(&pool).await.unwrap();
    (pool, connector)
}

#[tokio::test]
async fn rows_written_and_deleted_softly_are_found_and_one_removed_is_left_to_the_next_full_run() {
    let world = World::new().await;
    let database = Postgres::shared().await.unwrap().target().await.unwrap();
    let (pool, connector) = aged(&world, &database).await;
    assert_eq!(world.full_run(&connector, false).await.discrepancies_found, 0);
    let drift = "update account set title = 'chief', updated_at = now() where login = 'ann';
                 update account set gone = true, updated_at = now() where login = 'bob';
                 update account set title = 'nobody says so' where login = 'cid';
                 delete from account where login = 'dan'";
    sqlx::raw_sql(drift).execute(&pool).await.unwrap();

    let delta = world.delta_run(&connector, false).await;

    // Ann, Bob's tombstone, Zed who is within the watermark's margin, and Bob's row, asked for alone, is not there.
    was_delta(&delta, 3);
    assert_eq!(findings(&world, &delta).await, ["Deleted bob", "Mismatch ann title"]);
    let full = world.full_run(&connector, false).await;
    assert_eq!(
        findings(&world, &full).await,
        ["Deleted bob", "Deleted dan", "Mismatch ann title", "Mismatch cid title"]
    );
}

/// It came back before it was asked for.
#[tokio::test]
async fn a_row_restored_after_it_was_deleted_softly_is_judged_as_it_is() {
    let world = World::new().await;
    let database = Postgres::shared().await.unwrap().target().await.unwrap();
    let (pool, connector) = aged(&world, &database).await;
    world.full_run(&connector, false).await;
    let gone = "update account set gone = true, updated_at = now() where login = 'bob'";
    sqlx::raw_sql(gone).execute(&pool).await.unwrap();
    let delta = world.delta_run(&connector, false).await;
    assert_eq!(findings(&world, &delta).await, ["Deleted bob"]);
    let back = "update account set gone = false, title = 'boss', updated_at = now() where login = 'bob'";
    sqlx::raw_sql(back).execute(&pool).await.unwrap();

    let again = world.delta_run(&connector, false).await;

    assert_eq!(findings(&world, &again).await, ["Mismatch bob title"]);
    assert_eq!(settled(&world, &delta).await, pairs(&[("bob", "no longer present")]));
}
