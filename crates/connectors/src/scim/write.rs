//! Writes: one request each, under the version that was read where the server honours it (RFC 7644 section 3.14).
//!
//! A PATCH with what differs, or, where the server has none, a PUT of the whole resource with what differs put in. An
//! answer may hold the resource or nothing at all: then the account is read once more.

use reqwest::{Method, StatusCode};
use serde_json::{Value as Json, json};
use tokio::time::Instant;
use xavyo_core::{
    account::{Account, AccountKey},
    change::Change,
    connector::{FailureKind, TargetFailure},
    value::{Attributes, Value},
};

use super::{
    Scim,
    failure::{self, Effect, refused},
    http::{Answer, Call},
    patch,
    path::Path,
    profile::Profile,
    resource::{self, Wanted},
};
use crate::{AccountUpdate, NewAccount, changed, redaction::Redaction};

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

impl Scim {
    pub(super) async fn make(&self, account: &NewAccount) -> Result<Account, TargetFailure> {
        let deadline = Instant::now() + self.http.timeout;
        let profile = self.profile(deadline).await?;
        let redaction = Redaction::of_attributes(&account.attributes);
        let mut body = resource::named_user(&account.external_uid);
        for (name, values) in account.attributes.iter().filter(|(_, values)| !values.is_empty()) {
            let path = resource::path(name)?;
            let is_other_name = path.top().eq_ignore_ascii_case("userName")
                && values.first().map(Value::to_text).as_deref() != Some(account.external_uid.as_str());
            if is_other_name {
                return Err(refused("SCIM_UID", "userName is given another value than the uid"));
            }
            resource::set(&mut body, &path, values, &profile)?;
        }
        body["active"] = account.enabled.map_or(Json::Bool(true), Json::Bool);
        let call = Call {
            method: Method::POST,
            path: &[USERS],
            query: Vec::new(),
            body: Some(body),
            if_match: None,
            deadline,
            redaction: &redaction,
        };
        let answer = self.http.ask(&call).await?;
        if !answer.is_success() {
            let failure = failure::of_answer(&answer, Effect::Writes, &redaction);
            return Err(self.about_name(failure, &answer, &account.external_uid, deadline).await);
        }
        self.left(answer, None, &account.external_uid, &profile, deadline).await
    }

    pub(super) async fn change(
        &self,
        key: &AccountKey,
        update: &AccountUpdate,
    ) -> Result<Account, TargetFailure> {
        let deadline = Instant::now() + self.http.timeout;
        let profile = self.profile(deadline).await?;
        let held = self.resource(key, &profile, deadline).await?.ok_or_else(failure::not_found)?;
        let before = shown(&held, &profile)?;
        check_version(&before, update.if_version.as_deref())?;
        let asked = asked(update)?;
        let body = if profile.patches {
            let operations =
                asked.iter().map(|(path, change)| patch::operations(&held, path, change, &profile));
            let operations: Vec<Json> =
                operations.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
            (!operations.is_empty()).then(|| json!({"schemas": [PATCH_OP], "Operations": operations}))
        } else {
            let whole = replaced(&held, &asked, &profile)?;
            (whole != held).then_some(whole)
        };
        let Some(body) = body else { return Ok(before) };
        let redaction = Redaction::of_changes(&update.changes);
        let id = before.immutable_id.as_deref().unwrap_or_default();
        let call = Call {
            method: if profile.patches { Method::PATCH } else { Method::PUT },
            path: &[USERS, id],
            query: Vec::new(),
            body: Some(body),
            if_match: before.version.as_deref().filter(|_| profile.etags),
            deadline,
            redaction: &redaction,
        };
        let answer = self.http.ask(&call).await?;
        let name = update.rename_to.as_deref().unwrap_or(&before.external_uid);
        if !answer.is_success() {
            let failure = overtaken(
                failure::of_answer(&answer, Effect::Writes, &redaction),
                update.if_version.is_some(),
            );
            return Err(match &update.rename_to {
                Some(name) => self.about_name(failure, &answer, name, deadline).await,
                None => failure,
            });
        }
        self.left(answer, Some(id), name, &profile, deadline).await
    }

    pub(super) async fn remove(
        &self,
        key: &AccountKey,
        if_version: Option<&str>,
    ) -> Result<(), TargetFailure> {
        let deadline = Instant::now() + self.http.timeout;
        let profile = self.profile(deadline).await?;
        let held = self.resource(key, &profile, deadline).await?.ok_or_else(failure::not_found)?;
        let before = shown(&held, &profile)?;
        check_version(&before, if_version)?;
        let redaction = Redaction::default();
        let call = Call {
            method: Method::DELETE,
            path: &[USERS, before.immutable_id.as_deref().unwrap_or_default()],
            query: Vec::new(),
            body: None,
            if_match: if_version.filter(|_| profile.etags),
            deadline,
            redaction: &redaction,
        };
        let answer = self.http.ask(&call).await?;
        if answer.is_success() {
            Ok(())
        } else {
            Err(failure::of_answer(&answer, Effect::Writes, &redaction))
        }
    }

    /// The account that a write left: as the answer shows it, else as it is read now. Some servers answer with nothing,
    /// and some not even with an id.
    async fn left(
        &self,
        answer: Answer,
        id: Option<&str>,
        name: &str,
        profile: &Profile,
        deadline: Instant,
    ) -> Result<Account, TargetFailure> {
        let told = answer.body.as_ref().and_then(|body| resource::account(body, &Wanted::All, profile));
        let account = match told {
            Some(account) if account.version.is_some() || !profile.etags => account,
            Some(account) if answer.version.is_some() => Account { version: answer.version, ..account },
            Some(_) | None => {
                let key = AccountKey { external_uid: name.to_owned(), immutable_id: id.map(str::to_owned) };
                // It was written; what became of it is not known for certain until it is read.
                let read = self.resource(&key, profile, deadline).await;
                let read = read.map_err(|failure| TargetFailure { kind: FailureKind::Unknown, ..failure })?;
                let gone =
                    || TargetFailure::new(FailureKind::Unknown, "SCIM_GONE", "what was written is not there");
                shown(&read.ok_or_else(gone)?, profile)?
            }
        };
        Ok(Account { attributes: Attributes::new(), ..account })
    }

    /// A conflict is a taken name only if there is somebody of that name.
    async fn about_name(
        &self,
        failure: TargetFailure,
        answer: &Answer,
        name: &str,
        deadline: Instant,
    ) -> TargetFailure {
        let is_conflict = answer.status == StatusCode::CONFLICT || failure.code.ends_with("_uniqueness");
        if !is_conflict {
            return failure;
        }
        match self.named(name, deadline).await {
            Ok(Some(_)) => TargetFailure { kind: FailureKind::AlreadyExists, ..failure },
            Ok(None) | Err(_) => failure,
        }
    }
}

pub(super) const USERS: &str = "Users";

/// Without attributes: what a write answers.
fn shown(resource: &Json, profile: &Profile) -> Result<Account, TargetFailure> {
    let account = resource::account(resource, &Wanted::These(Vec::new()), profile);
    account.ok_or_else(|| refused("SCIM_RESOURCE", "the resource has no id or no userName"))
}

fn check_version(account: &Account, if_version: Option<&str>) -> Result<(), TargetFailure> {
    match if_version {
        Some(version) if account.version.as_deref() != Some(version) => {
            let message = "the resource has another version";
            Err(TargetFailure::new(FailureKind::PreconditionFailed, "SCIM_VERSION", message))
        }
        Some(_) | None => Ok(()),
    }
}

/// A version that only we asked for, so as not to write over somebody, is no premise of the caller's.
fn overtaken(failure: TargetFailure, is_premise: bool) -> TargetFailure {
    if failure.kind == FailureKind::PreconditionFailed && !is_premise {
        return TargetFailure { kind: FailureKind::Busy, ..failure };
    }
    failure
}

/// Every change of an update by path: attributes, name, state.
fn asked(update: &AccountUpdate) -> Result<Vec<(Path, Change)>, TargetFailure> {
    let mut asked = Vec::new();
    for (name, change) in &update.changes {
        asked.push((resource::path(name)?, change.clone()));
    }
    let set = |name: &str, value: Value| Ok((resource::path(name)?, Change::Set(vec![value])));
    if let Some(name) = &update.rename_to {
        asked.push(set("userName", Value::from(name.as_str()))?);
    }
    if let Some(enabled) = update.enabled {
        asked.push(set("active", Value::Boolean(enabled))?);
    }
    Ok(asked)
}

/// The whole resource with the changes put in. What the server alone sets stays as it was: it leaves it out.
fn replaced(held: &Json, asked: &[(Path, Change)], profile: &Profile) -> Result<Json, TargetFailure> {
    let mut whole = held.clone();
    for (path, change) in asked {
        let before = resource::values(&whole, path, profile);
        let after = changed::after(&before, change);
        if before != after {
            resource::set(&mut whole, path, &after, profile)?;
        }
    }
    Ok(whole)
}
