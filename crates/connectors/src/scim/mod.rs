//! The SCIM kind: users of a SCIM 2.0 service provider (RFC 7643, RFC 7644; paging by cursors: RFC 9865).
//!
//! An account's uid is its `userName`, its immutable id the `id`, its version the `meta.version`, its state `active`;
//! attributes are named by [`path`]s. What the server offers it says itself ([`profile`]); a server that says nothing gets
//! PUT, no preconditions, and pages by index. There are no groups, no bulk requests and no redirects to other servers.
//!
//! Begin with [`Scim`]; [`http`] sends, [`resource`] knows the JSON, [`read`] proves, [`write`](mod@write) writes.

mod auth;
mod failure;
mod http;
mod patch;
mod path;
mod profile;
mod read;
mod resource;
mod write;

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use reqwest::{Method, StatusCode};
use serde_json::Value as Json;
use tokio::{sync::Mutex, time::Instant};
use xavyo_core::{
    Error,
    account::{Account, AccountKey},
    connector::{FailureKind, ObjectSchema, ScimSettings, TargetFailure},
    value::Value,
};

use self::{
    failure::{Effect, refused},
    http::{Call, Http},
    path::{Path, quoted},
    profile::{Kind, Profile},
    resource::Wanted,
    write::USERS,
};
use crate::{
    AccountUpdate, Capabilities, CheckStep, Connector, MAX_PAGE, NewAccount, Options, ReadItem, ReadRequest,
    Secrets, redaction::Redaction,
};

/// The only class: Users.
const CLASS: &str = "User";
/// Accounts looked up at once: SCIM has no request for many.
const KEYS_AT_ONCE: usize = 8;

/// A connector to the users of a service provider.
#[derive(Debug)]
pub struct Scim {
    http: Http,
    page_size: i64,
    sentinels: Vec<String>,
    username: String,
    profile: Mutex<Option<Arc<Profile>>>,
    /// The same, for those who cannot wait.
    known: RwLock<Option<Arc<Profile>>>,
}

impl Scim {
    /// Expects settings that `validate` accepts. Fails with a violation where a secret is missing.
    pub(crate) fn open(settings: &ScimSettings, secrets: &Secrets, options: &Options) -> Result<Self, Error> {
        Ok(Self {
            http: Http::open(settings, secrets, options)?,
            page_size: settings.page_size.into(),
            sentinels: settings.sentinels.clone(),
            username: settings.username.clone().or(settings.client_id.clone()).unwrap_or_default(),
            profile: Mutex::new(None),
            known: RwLock::default(),
        })
    }

    /// What the server says of itself, asked once; again after [`Self::forget`].
    async fn profile(&self, deadline: Instant) -> Result<Arc<Profile>, TargetFailure> {
        let mut known = self.profile.lock().await;
        if let Some(profile) = known.as_ref() {
            return Ok(profile.clone());
        }
        let configuration = self.discovered("ServiceProviderConfig", deadline).await?;
        let schemas = self.discovered("Schemas", deadline).await?;
        let profile = Arc::new(Profile::of(configuration, schemas));
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(profile.clone());
        *known = Some(profile.clone());
        Ok(profile)
    }

    async fn forget(&self) {
        *self.profile.lock().await = None;
    }

    /// A server without such an endpoint says nothing; any other failure is one.
    async fn discovered(&self, endpoint: &str, deadline: Instant) -> Result<Option<Json>, TargetFailure> {
        match self.read_json(&[endpoint], Vec::new(), deadline).await {
            Ok(body) => Ok(Some(body)),
            Err(failure) if failure.kind == FailureKind::NotFound || failure.code == "SCIM_501" => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn read_json(
        &self,
        path: &[&str],
        query: Vec<(&'static str, String)>,
        deadline: Instant,
    ) -> Result<Json, TargetFailure> {
        let redaction = Redaction::default();
        let call = Call {
            method: Method::GET,
            path,
            query,
            body: None,
            if_match: None,
            deadline,
            redaction: &redaction,
        };
        let answer = self.http.ask(&call).await?;
        match (answer.status, answer.body) {
            (StatusCode::OK, Some(body)) => Ok(body),
            (StatusCode::OK, None) => {
                Err(refused("SCIM_JSON", "the answer is no JSON: is it a SCIM server?"))
            }
            (status, body) => {
                let answer = http::Answer { status, body, version: None, retry_after: answer.retry_after };
                Err(failure::of_answer(&answer, Effect::Reads, &redaction))
            }
        }
    }

    /// A page of users.
    async fn list(&self, query: Vec<(&'static str, String)>) -> Result<Json, TargetFailure> {
        let listed = self.read_json(&[USERS], query, Instant::now() + self.http.timeout).await;
        listed.map_err(no_list)
    }

    /// The resource of a key: by id where it has one, else by its name.
    async fn resource(
        &self,
        key: &AccountKey,
        profile: &Profile,
        deadline: Instant,
    ) -> Result<Option<Json>, TargetFailure> {
        let Some(id) = &key.immutable_id else {
            return self.named(&key.external_uid, deadline).await;
        };
        match self.read_json(&[USERS, id], Vec::new(), deadline).await {
            // Some servers answer a foreign id with whatever they find.
            Ok(body)
                if resource::account(&body, &Wanted::These(Vec::new()), profile)
                    .is_some_and(|account| account.immutable_id.as_ref() == Some(id)) =>
            {
                Ok(Some(body))
            }
            Ok(_) => Ok(None),
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn named(&self, name: &str, deadline: Instant) -> Result<Option<Json>, TargetFailure> {
        let mut found = self.filtered(&format!("userName eq {}", quoted(name)), deadline).await?;
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => Err(refused("SCIM_AMBIGUOUS", "several users have that name")),
        }
    }

    async fn filtered(&self, filter: &str, deadline: Instant) -> Result<Vec<Json>, TargetFailure> {
        let query = vec![("filter", filter.to_owned()), ("count", MAX_PAGE.to_string())];
        let body = self.read_json(&[USERS], query, deadline).await.map_err(no_list)?;
        match resource::field_of(&body, "Resources") {
            Some(Json::Array(resources)) => Ok(resources.clone()),
            Some(_) | None => Ok(Vec::new()),
        }
    }

    fn check_class(&self, object_class: &str) -> Result<(), TargetFailure> {
        if object_class == CLASS {
            return Ok(());
        }
        let host = self.http.host();
        Err(refused("SCIM_CLASS", format!("{host} is read for the class {CLASS}, not for {object_class:?}")))
    }
}

#[async_trait]
impl Connector for Scim {
    fn capabilities(&self) -> Capabilities {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Capabilities {
            immutable_ids: true,
            versions: known.as_ref().is_some_and(|profile| profile.etags),
            disables: true,
            repeatable_updates: true,
            changes: false,
        }
    }

    async fn check(&self) -> Result<Vec<CheckStep>, TargetFailure> {
        self.forget().await;
        let mut steps = Vec::new();
        let mut step = |name: &str, found: &Result<String, TargetFailure>| {
            let detail = match found {
                Ok(detail) => detail.clone(),
                Err(failure) => failure.to_string(),
            };
            steps.push(CheckStep { name: name.to_owned(), ok: found.is_ok(), detail });
            found.is_ok()
        };
        let deadline = Instant::now() + self.http.timeout;
        let profile = self.profile(deadline).await;
        let offered = profile.as_ref().map(|profile| profile.summary()).map_err(Clone::clone);
        if !step("discover", &offered) {
            return Ok(steps);
        }
        let query = vec![("count", "1".to_owned())];
        let listed = self.list(query).await.map(|_| format!("as {}", self.username).trim_end().to_owned());
        if !step("read", &listed) {
            return Ok(steps);
        }
        for sentinel in &self.sentinels {
            let found = self.named(sentinel, Instant::now() + self.http.timeout).await;
            let seen = found.and_then(|found| match found {
                Some(_) => Ok(format!("{sentinel} was seen")),
                None => Err(refused("SCIM_SENTINEL", format!("{sentinel} was not found"))),
            });
            if !step("sentinel", &seen) {
                break;
            }
        }
        Ok(steps)
    }

    fn read(&self, request: ReadRequest) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
        read::pages(self, request)
    }

    async fn describe(&self) -> Result<Vec<ObjectSchema>, TargetFailure> {
        self.forget().await;
        Ok(vec![self.profile(Instant::now() + self.http.timeout).await?.describe()])
    }

    async fn find(
        &self,
        object_class: &str,
        attribute: &str,
        value: &Value,
    ) -> Result<Vec<Account>, TargetFailure> {
        self.check_class(object_class)?;
        let deadline = Instant::now() + self.http.timeout;
        let profile = self.profile(deadline).await?;
        let path = resource::path(if attribute == "external_uid" { "userName" } else { attribute })?;
        let found = self.filtered(&equality(&path, value, &profile), deadline).await?;
        Ok(found.iter().filter_map(|it| resource::account(it, &Wanted::All, &profile)).collect())
    }

    async fn get(
        &self,
        object_class: &str,
        key: &AccountKey,
        attributes: &[String],
    ) -> Result<Option<Account>, TargetFailure> {
        self.check_class(object_class)?;
        let deadline = Instant::now() + self.http.timeout;
        let (profile, wanted) = (self.profile(deadline).await?, Wanted::of(attributes)?);
        let found = self.resource(key, &profile, deadline).await?;
        Ok(found.and_then(|resource| resource::account(&resource, &wanted, &profile)))
    }

    async fn get_many(
        &self,
        object_class: &str,
        keys: &[AccountKey],
        attributes: &[String],
    ) -> Result<Vec<Option<Account>>, TargetFailure> {
        let calls: Vec<_> = keys.iter().map(|key| self.get(object_class, key, attributes)).collect();
        stream::iter(calls).buffered(KEYS_AT_ONCE).try_collect().await
    }

    async fn create(&self, account: &NewAccount) -> Result<Account, TargetFailure> {
        self.check_class(&account.object_class)?;
        self.make(account).await
    }

    async fn update(
        &self,
        object_class: &str,
        key: &AccountKey,
        update: &AccountUpdate,
    ) -> Result<Account, TargetFailure> {
        self.check_class(object_class)?;
        self.change(key, update).await
    }

    async fn delete(
        &self,
        object_class: &str,
        key: &AccountKey,
        if_version: Option<&str>,
        _: &str,
    ) -> Result<(), TargetFailure> {
        self.check_class(object_class)?;
        self.remove(key, if_version).await
    }
}

/// A list that is not found is a wrong base URL, no missing account.
fn no_list(failure: TargetFailure) -> TargetFailure {
    match failure.kind {
        FailureKind::NotFound => refused("SCIM_NO_USERS", "there is no /Users behind the base URL"),
        FailureKind::Refused
        | FailureKind::Busy
        | FailureKind::Down
        | FailureKind::Unknown
        | FailureKind::BadCredentials
        | FailureKind::AlreadyExists
        | FailureKind::PreconditionFailed => failure,
    }
}

/// The filter of a path's value: names were parsed, and the value is a string of JSON.
fn equality(path: &Path, value: &Value, profile: &Profile) -> String {
    let kind = profile.kind(path);
    let value = resource::json(value, kind);
    let is_complex = profile.definition(path).is_some_and(|whole| whole.kind == Kind::Complex);
    match &path.element {
        Some((name, chosen)) => {
            format!("{}[{name} eq {} and {} eq {value}]", path.top(), quoted(chosen), path.value())
        }
        None if is_complex => format!("{}.{} eq {value}", path.top(), path.value()),
        None => format!("{} eq {value}", path.top()),
    }
}
