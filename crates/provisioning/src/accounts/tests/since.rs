//! Reads of the expected side since a mark: no change is ever lost, and no mark is taken that proves nothing.

use std::{collections::BTreeMap, time::Duration};

use xavyo_runtime::db::{self, Transaction};

use super::*;
use crate::{retention::Retention, testing};

impl Ground {
    async fn mark(&self, connector: ConnectorId) -> String {
        let (_, _, proof) = self.expected_since(connector, None).await.unwrap();
        proof.mark.expect("a mapping without references gives a mark").to_string()
    }

    /// Those who changed since, and the accounts that lost their links.
    async fn since(&self, connector: ConnectorId, mark: &str) -> (Vec<IdentityId>, Vec<String>) {
        let (accounts, unlinked, proof) =
            self.expected_since(connector, Some(mark.to_owned())).await.unwrap();
        assert_eq!(proof.count, i64::try_from(accounts.len()).unwrap(), "everything is told all the same");
        let changed = accounts.into_iter().filter(|account| account.changed);
        (changed.map(|account| account.identity_id).collect(), unlinked)
    }

    async fn refusal(&self, connector: ConnectorId, mark: &str) -> Reason {
        self.expected_since(connector, Some(mark.to_owned())).await.unwrap_err().reason
    }

    async fn retitled(&self, identity: IdentityId) {
        let edits = vec![Edit::Set("mail".to_owned(), vec![Value::from("new@example.com")])];
        let command = UpdateIdentity { identity_id: identity, etag: None, edits, validate_only: false };
        self.identities.update(&self.caller, command).await.unwrap();
    }

    /// When all transactions of the cluster that are under way now, those of other tests too, have ended: a mark made then
    /// calls nothing changed that was written before.
    async fn settled(&self) {
        let mut tx = self.begin().await;
        let ours: i64 = sqlx::query_scalar("select pg_current_xact_id()::text::bigint")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        db::commit(tx).await.unwrap();
        loop {
            let oldest: i64 =
                sqlx::query_scalar("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
                    .fetch_one(&mut *self.begin().await)
                    .await
                    .unwrap();
            if oldest > ours {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn begin(&self) -> Transaction {
        self.database.begin(self.caller.tenant).await.unwrap()
    }
}

async fn execute(tx: &mut Transaction, statement: &'static str) {
    sqlx::query(statement).execute(&mut **tx).await.unwrap();
}

#[tokio::test]
async fn whoever_was_written_since_a_mark_is_told_whatever_was_committed_first() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 3).await;
    let people = [ground.identity("a").await, ground.identity("b").await, ground.identity("c").await];
    for (number, person) in people.iter().enumerate() {
        ground.link(id, person.id, &format!("user{number:06}")).await.unwrap();
    }
    ground.settled().await;
    // Under way when the mark is made, and committed after it.
    let mut late = ground.begin().await;
    execute(&mut late, "update identity set attributes = attributes where source_key = 'b'").await;
    let mark = ground.mark(id).await;
    db::commit(late).await.unwrap();
    ground.retitled(people[0].id).await;

    assert_eq!(ground.since(id, &mark).await, (vec![people[0].id, people[1].id], vec![]));

    ground.settled().await;
    let again = ground.mark(id).await;
    assert_eq!(ground.since(id, &again).await, (vec![], vec![]), "keeping what was computed changes nobody");
}

#[tokio::test]
async fn accounts_that_lost_their_links_are_told() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 2).await;
    let (jane, joan) = (ground.identity("jane").await, ground.identity("joan").await);
    let earlier = ground.link(id, joan.id, "user000001").await.unwrap();
    ground.accounts.unlink(&ground.caller, unlink_of(&earlier, false)).await.unwrap();
    let link = ground.link(id, jane.id, "user000000").await.unwrap();
    ground.settled().await;
    let mark = ground.mark(id).await;
    ground.accounts.unlink(&ground.caller, unlink_of(&link, true)).await.unwrap();

    assert_eq!(ground.since(id, &mark).await, (vec![], vec!["user000000".to_owned()]));
}

/// The day comes without a write.
#[tokio::test]
async fn whose_account_is_to_be_deleted_on_a_day_counts_as_changed() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 1).await;
    let jane = ground.identity("jane").await;
    ground.link(id, jane.id, "user000000").await.unwrap();
    let mut tx = ground.begin().await;
    execute(&mut tx, "update link set deprovision_due_at = '2026-04-01T00:00:00Z'").await;
    db::commit(tx).await.unwrap();
    let mark = ground.mark(id).await;
    assert_eq!(ground.since(id, &mark).await.0, [jane.id]);
}

#[tokio::test]
async fn a_mark_is_refused_that_this_database_did_not_make_in_its_present_history() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Observe, 0).await;
    let other = ground.connector("crm", Mode::Observe, 0).await;
    let foreign = ground.mark(other).await;
    for mark in ["yesterday", &Uuid::from_u128(7).to_string(), &foreign] {
        assert_eq!(ground.refusal(id, mark).await, Reason::TokenTooOld, "{mark}");
    }

    // As a dump that is read into another database: every row is there, written by another transaction.
    let dumped = ground.mark(id).await;
    let mut tx = ground.begin().await;
    execute(&mut tx, "create temporary table dump on commit drop as select * from expected_mark").await;
    execute(&mut tx, "delete from expected_mark").await;
    execute(&mut tx, "insert into expected_mark select * from dump").await;
    db::commit(tx).await.unwrap();
    assert_eq!(ground.refusal(id, &dumped).await, Reason::TokenTooOld);

    // As a database that was set back to before the mark's snapshot.
    let ahead = ground.mark(id).await;
    let mut tx = ground.begin().await;
    execute(&mut tx, "create temporary table ahead on commit drop as select * from expected_mark").await;
    execute(&mut tx, "delete from expected_mark").await;
    let statement = "insert into expected_mark
                     select tenant_id, id, connector_id, '9000000000000'::xid8, pg_current_xact_id(), made_at from ahead";
    execute(&mut tx, statement).await;
    db::commit(tx).await.unwrap();
    assert_eq!(ground.refusal(id, &ahead).await, Reason::TokenTooOld);
}

#[tokio::test]
async fn a_mark_is_forgotten_before_the_events_that_it_needs() {
    let ground = Ground::lay().await;
    let id = ground.connector("hr", Mode::Enforce, 0).await;
    let mark = ground.mark(id).await;
    let days = chrono::TimeDelta::days;
    let kept = crate::retention::Kept { history: None, link_events: Some(days(30)) };
    let retention = Retention::new(ground.database.clone(), ground.clock.clone(), kept);
    ground.identity("jane").await;
    ground.clock.advance(days(28));
    retention.step().await.unwrap();
    assert_eq!(ground.since(id, &mark).await.1, Vec::<String>::new(), "young enough");
    ground.clock.advance(days(1) + chrono::TimeDelta::seconds(1));
    retention.step().await.unwrap();
    assert_eq!(ground.refusal(id, &mark).await, Reason::TokenTooOld);
}

#[tokio::test]
async fn a_mapping_that_refers_to_other_connectors_gives_no_mark_and_takes_none() {
    let ground = Ground::lay().await;
    let mut command = testing::connector("hr", Mode::Observe, 0);
    command.object_types[0].mapping[0].expression = "links['crm'].external_uid".to_owned();
    command.secrets = BTreeMap::new();
    let id = ground.connectors.create(&ground.caller, command).await.unwrap().connector.id;
    let (_, proof) = ground.expected(id).await;
    assert_eq!(proof.mark, None);
    assert_eq!(ground.refusal(id, &Uuid::nil().to_string()).await, Reason::TokenTooOld);
}
