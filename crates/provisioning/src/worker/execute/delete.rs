//! Deleting an account: never unread, and by its immutable id wherever it has one.

use xavyo_core::{account::Account, connector::FailureKind};

use super::{Attempt, Completed, Effect, Stop, failed, refused};

impl Attempt<'_> {
    pub(super) async fn delete(&self) -> Result<Completed, Stop> {
        self.check_allowed("delete", |allowed| allowed.delete)?;
        let Some(key) = self.key() else {
            return Ok(gone("the identity has no account here"));
        };
        let Some(live) = self.read(&key).await? else {
            return Ok(gone("the account is already gone"));
        };
        self.check_unprotected(&live)?;
        self.check_premise(Some(&live))?;
        check_immutable(&live, key.immutable_id.as_deref())?;
        match self.send_delete(&live).await {
            Err(stop) if stop.is(FailureKind::NotFound) => Ok(gone("the account is already gone")),
            Err(stop) => Err(stop),
            Ok(()) => Ok(gone(format!("deleted {}", live.external_uid))),
        }
    }

    async fn send_delete(&self, live: &Account) -> Result<(), Stop> {
        self.may_call().await?;
        let if_version = live.version.as_deref().filter(|_| self.has_premise());
        self.connector()
            .delete(&self.operation.object_class, &live.key(), if_version, &self.tag)
            .await
            .map_err(failed)
    }
}

fn gone(message: impl Into<String>) -> Completed {
    Completed { message: message.into(), effect: Effect::Gone, met: None }
}

/// A uid may have been given to another person (fault 4): where the target has immutable ids, an account is deleted
/// by the one that was known before, or not at all.
fn check_immutable(live: &Account, known: Option<&str>) -> Result<(), Stop> {
    if live.immutable_id.is_some() && known.is_none() {
        return Err(refused(
            "NO_IMMUTABLE_ID",
            "an unlinked account is deleted only with its immutable id in the precondition",
        ));
    }
    Ok(())
}
