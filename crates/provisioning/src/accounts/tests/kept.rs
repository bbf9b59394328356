//! What is kept of an identity, beside its link.

use xavyo_runtime::db;

use super::*;

/// A linked identity of which what is kept says that it calls for no account, which is not so.
struct Misled {
    ground: Ground,
    connector: ConnectorId,
    jane: IdentityId,
}

impl Misled {
    async fn lay() -> Self {
        let ground = Ground::lay().await;
        let connector = ground.connector("hr", Mode::Observe, 1).await;
        let jane = ground.identity("jane").await.id;
        ground.link(connector, jane, "user000000").await.unwrap();
        let (computed, _) = ground.expected(connector).await;
        let (kept, _) = ground.expected(connector).await;
        assert_eq!(computed, kept, "what is kept tells all that was computed");
        let misled = Self { ground, connector, jane };
        misled.write("update link set kept_in_scope = false").await;
        assert_eq!(misled.standing().await, Evaluation::Out, "what is kept is told");
        misled
    }

    async fn write(&self, statement: &'static str) {
        let mut tx = self.ground.database.begin(self.ground.caller.tenant).await.unwrap();
        sqlx::query(statement).execute(&mut *tx).await.unwrap();
        db::commit(tx).await.unwrap();
    }

    async fn standing(&self) -> Evaluation {
        self.ground.expected(self.connector).await.0.remove(0).standing
    }
}

#[tokio::test]
async fn what_is_kept_ends_with_the_version_of_its_identity() {
    let misled = Misled::lay().await;
    let edits = vec![Edit::Set("mail".to_owned(), vec![Value::from("new@example.com")])];
    let command = UpdateIdentity { identity_id: misled.jane, etag: None, edits, validate_only: false };
    misled.ground.identities.update(&misled.ground.caller, command).await.unwrap();
    assert_eq!(misled.standing().await, Evaluation::In);
}

#[tokio::test]
async fn what_is_kept_ends_with_the_revision_of_its_connector() {
    let misled = Misled::lay().await;
    misled.write("update connector set revision = revision + 1, version = version + 1").await;
    assert_eq!(misled.standing().await, Evaluation::In);
}

#[tokio::test]
async fn what_an_earlier_release_kept_is_computed_again_and_kept() {
    let misled = Misled::lay().await;
    misled.write("update link set kept_format = null, kept_in_scope = null, kept_keys = null").await;
    assert_eq!(misled.standing().await, Evaluation::In);
    assert_eq!(misled.ground.count("link where kept_format is not null").await, 1);
}
