//! What the database itself refuses: other tenants' rows, changes of the audit log.

use uuid::Uuid;
use xavyo_core::{Reason, ids::TenantId};
use xavyo_runtime::db;

use super::{Ground, TENANT};
use crate::store::{
    action::{self, Action, ActionResult},
    discrepancy, run,
};

const STRANGER: TenantId = TenantId(Uuid::from_u128(99));

/// S1: even a statement that names the right tenant finds nothing in another's transaction.
#[tokio::test]
async fn another_tenants_rows_do_not_exist() {
    let ground = Ground::lay().await;
    let (run, found) = ground.completed_run(&[1]).await;
    for tenant in [TENANT, STRANGER] {
        let mut tx = ground.database.begin(STRANGER).await.unwrap();
        let no_run = run::get(&mut tx, tenant, run.run.id).await.unwrap_err();
        let no_finding = discrepancy::get(&mut tx, tenant, found[0]).await.unwrap_err();
        assert_eq!((no_run.reason, no_finding.reason), (Reason::NotFound, Reason::NotFound));
    }
}

/// S5: every tenant table has row-level security enabled and forced; only the payload-free tables have not.
#[tokio::test]
async fn only_payload_free_tables_do_without_row_level_security() {
    let ground = Ground::lay().await;
    let open: Vec<String> = sqlx::query_scalar(
        "select relname::text
           from pg_class
          where relnamespace = 'public'::regnamespace and relkind = 'r'
            and not (relrowsecurity and relforcerowsecurity)
            and relname not like '\\_sqlx%'
          order by relname",
    )
    .fetch_all(ground.database.pool())
    .await
    .unwrap();
    assert_eq!(open, ["action_unsealed", "run_work", "schedule_due", "worker"]);
}

/// S4: the audit log is only ever appended to.
#[tokio::test]
async fn the_audit_log_can_be_neither_changed_nor_deleted() {
    let ground = Ground::lay().await;
    let mut tx = ground.begin().await;
    let row = Action {
        id: ground.clock.new_id(),
        connector_id: super::CONNECTOR,
        run_id: None,
        discrepancy_id: None,
        action_type: "run_started",
        result: ActionResult::Success,
        dry_run: false,
        performed_by: super::PERSON,
        performed_at: ground.now(),
        details: None,
        trace_id: None,
    };
    action::insert(&mut tx, TENANT, &row).await.unwrap();
    assert_eq!(action::find_all(&mut tx, TENANT, &[row.id]).await.unwrap().len(), 1);
    db::commit(tx).await.unwrap();

    for statement in ["update action set result = 'failure'", "delete from action", "truncate action"] {
        let mut tx = ground.begin().await;
        let refused = sqlx::query(statement).execute(&mut *tx).await.unwrap_err();
        let code = refused.as_database_error().and_then(sqlx::error::DatabaseError::code);
        assert_eq!(code.as_deref(), Some("42501"), "{statement}");
    }
}
