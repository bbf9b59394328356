//! The remote kind: a connector of somebody's own, in any language, that serves `xavyo.connector.v1.TargetService` over
//! gRPC. We are the client; what can be asked, and what each status means, stands in `proto/xavyo/connector/v1`.
//!
//! What comes back is parsed as strictly as anything from outside: one that answers nonsense is treated as one whose
//! answer was lost. Never here: trust in its word alone. A read is complete if it says so *and* its count and the
//! sentinels agree; a write without a clear answer is unknown.
//!
//! Begin with [`Remote`]; [`endpoint`] connects, [`failure`] reads statuses, [`read`] the streams.

mod endpoint;
mod failure;
mod read;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tokio::time::{Instant, timeout_at};
use tonic::{Request, Response, Status};
use xavyo_core::{
    Error,
    account::{Account, AccountKey},
    connector::{ObjectSchema, RemoteSettings, TargetFailure},
    value::Value,
};
use xavyo_wire::{Fields, account, change, pb::connector as pb, schema, value};

pub(crate) use self::endpoint::is_url;
use self::{
    endpoint::{Client, Endpoint},
    failure::Call,
};
use crate::{
    ALL_ATTRIBUTES, AccountUpdate, Capabilities, ChangeItem, CheckStep, Connector, NewAccount, Options,
    ReadItem, ReadRequest, Secrets, redaction::Redaction,
};

/// Accounts got at once: one call each, over one connection.
const GETS_AT_ONCE: usize = 16;
/// Steps of a check that are shown.
const MAX_STEPS: usize = 100;

/// A connector of somebody's own.
pub struct Remote {
    endpoint: Endpoint,
    call_timeout: Duration,
    sentinels: Vec<String>,
    /// What it last said of itself.
    description: RwLock<Option<Arc<Description>>>,
    /// A connection was made since it described itself: another version may answer now.
    is_new: Arc<AtomicBool>,
}

/// What the other side says of itself.
#[derive(Debug)]
struct Description {
    name: String,
    capabilities: Capabilities,
    schemas: Vec<ObjectSchema>,
}

impl Remote {
    /// Expects settings that `validate` accepts. `INVALID_FIELD` where certificates or keys are none.
    pub(crate) fn open(
        settings: &RemoteSettings,
        secrets: &Secrets,
        options: &Options,
    ) -> Result<Self, Error> {
        let is_new = Arc::new(AtomicBool::new(true));
        Ok(Self {
            endpoint: Endpoint::of(settings, secrets, options, is_new.clone())?,
            call_timeout: options.call_timeout,
            sentinels: settings.sentinels.clone(),
            description: RwLock::default(),
            is_new,
        })
    }

    /// One call, ended by the time-out at the latest.
    async fn call<M, A, F>(
        &self,
        call: Call,
        message: M,
        redaction: &Redaction,
        rpc: impl FnOnce(Client, Request<M>) -> F,
    ) -> Result<A, TargetFailure>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + self.call_timeout;
        let request = self.endpoint.request(message, Some(self.call_timeout));
        match timeout_at(deadline, rpc(self.endpoint.client(), request)).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(failure::of_status(&status, call, redaction)),
            Err(_) => Err(failure::timed_out(call)),
        }
    }

    async fn reading<M, A, F>(
        &self,
        message: M,
        rpc: impl FnOnce(Client, Request<M>) -> F,
    ) -> Result<A, TargetFailure>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.call(Call::Read, message, &Redaction::default(), rpc).await
    }

    /// What it says of itself, asked again after each new connection.
    async fn description(&self) -> Result<Arc<Description>, TargetFailure> {
        let known = self.description.read().unwrap_or_else(PoisonError::into_inner).clone();
        match known.filter(|_| !self.is_new.load(Ordering::Acquire)) {
            Some(known) => Ok(known),
            None => self.describe_anew().await,
        }
    }

    async fn describe_anew(&self) -> Result<Arc<Description>, TargetFailure> {
        let describe = |mut client: Client, request| async move { client.describe(request).await };
        let answer = self.reading(pb::DescribeRequest {}, describe).await?;
        let mut fields = Fields::default();
        let schemas = schema::all_of_pb(&mut fields, answer.object_schemas);
        let schemas = fields.finish(schemas).map_err(|error| failure::garbled(Call::Read, &error))?;
        let can = answer.capabilities.unwrap_or_default();
        let description = Arc::new(Description {
            name: Redaction::default().apply(&answer.name),
            capabilities: Capabilities {
                immutable_ids: can.immutable_ids,
                versions: can.versions,
                disables: can.disables,
                repeatable_updates: can.repeatable_updates,
                changes: can.changes,
            },
            schemas,
        });
        *self.description.write().unwrap_or_else(PoisonError::into_inner) = Some(description.clone());
        self.is_new.store(false, Ordering::Release);
        Ok(description)
    }

    /// The names that are asked for; all that can be read where all are wanted.
    async fn wanted(&self, object_class: &str, attributes: &[String]) -> Result<Vec<String>, TargetFailure> {
        let description = self.description().await?;
        if !attributes.iter().any(|name| name == ALL_ATTRIBUTES) {
            return Ok(attributes.to_vec());
        }
        let Some(schema) = description.schemas.iter().find(|it| it.object_class == object_class) else {
            return Err(failure::refused(
                "REMOTE_CLASS",
                format!("{object_class} is not a class that it describes"),
            ));
        };
        let readable = schema.attributes.iter().filter(|it| it.readable);
        Ok(readable.map(|attribute| attribute.name.clone()).collect())
    }

    async fn get_one(
        &self,
        object_class: &str,
        key: &AccountKey,
        attributes: Vec<String>,
    ) -> Result<Option<Account>, TargetFailure> {
        let message = pb::GetAccountRequest {
            object_class: object_class.to_owned(),
            key: Some(account::key_to_pb(key)),
            attributes,
        };
        let get = |mut client: Client, request| async move { client.get_account(request).await };
        let answer = self.reading(message, get).await?;
        let found = answer.account.map(|account| parsed(account, Call::Read)).transpose()?;
        // Its own rule, kept by us as well: the same name with another id is another account.
        let is_meant =
            |account: &Account| key.immutable_id.is_none() || key.immutable_id == account.immutable_id;
        Ok(found.filter(is_meant))
    }
}

#[async_trait]
impl Connector for Remote {
    fn capabilities(&self) -> Capabilities {
        let known = self.description.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|it| it.capabilities).unwrap_or_default()
    }

    async fn check(&self) -> Result<Vec<CheckStep>, TargetFailure> {
        let step = |ok, detail| CheckStep { name: "describe".to_owned(), ok, detail };
        let described = match self.describe_anew().await {
            Ok(described) => described,
            Err(failure) => return Ok(vec![step(false, failure.to_string())]),
        };
        let mut steps = vec![step(true, format!("{} at {}", described.name, self.endpoint))];
        let check = |mut client: Client, request| async move { client.check_connection(request).await };
        let answer = self.reading(pb::CheckConnectionRequest {}, check).await?;
        let theirs = answer.steps.into_iter().take(MAX_STEPS).map(|step| CheckStep {
            name: Redaction::default().apply(&step.name),
            ok: step.ok,
            detail: Redaction::default().apply(&step.detail),
        });
        steps.extend(theirs);
        Ok(steps)
    }

    fn read(&self, request: ReadRequest) -> BoxStream<'_, Result<ReadItem, TargetFailure>> {
        read::accounts(self, request)
    }

    fn changes(&self, request: ReadRequest, since: &str) -> BoxStream<'_, Result<ChangeItem, TargetFailure>> {
        read::changes(self, request, since.to_owned())
    }

    async fn describe(&self) -> Result<Vec<ObjectSchema>, TargetFailure> {
        Ok(self.describe_anew().await?.schemas.clone())
    }

    async fn find(
        &self,
        object_class: &str,
        attribute: &str,
        value: &Value,
    ) -> Result<Vec<Account>, TargetFailure> {
        let attributes = self.wanted(object_class, &[ALL_ATTRIBUTES.to_owned()]).await?;
        let message = pb::FindAccountsRequest {
            object_class: object_class.to_owned(),
            attribute: attribute.to_owned(),
            value: Some(value::to_pb(value)),
            attributes,
        };
        let find = |mut client: Client, request| async move { client.find_accounts(request).await };
        let answer = self.call(Call::Read, message, &Redaction::of([value]), find).await?;
        answer.accounts.into_iter().map(|account| parsed(account, Call::Read)).collect()
    }

    async fn get(
        &self,
        object_class: &str,
        key: &AccountKey,
        attributes: &[String],
    ) -> Result<Option<Account>, TargetFailure> {
        let attributes = self.wanted(object_class, attributes).await?;
        self.get_one(object_class, key, attributes).await
    }

    async fn get_many(
        &self,
        object_class: &str,
        keys: &[AccountKey],
        attributes: &[String],
    ) -> Result<Vec<Option<Account>>, TargetFailure> {
        let attributes = self.wanted(object_class, attributes).await?;
        let gets = keys.iter().map(|key| self.get_one(object_class, key, attributes.clone()));
        stream::iter(gets.collect::<Vec<_>>()).buffered(GETS_AT_ONCE).try_collect().await
    }

    async fn create(&self, account: &NewAccount) -> Result<Account, TargetFailure> {
        self.description().await?;
        let message = pb::CreateAccountRequest {
            object_class: account.object_class.clone(),
            external_uid: account.external_uid.clone(),
            attributes: value::attributes_to_list(&account.attributes),
            enabled: account.enabled,
            tag: account.tag.clone(),
        };
        let create = |mut client: Client, request| async move { client.create_account(request).await };
        let redaction = Redaction::of_attributes(&account.attributes);
        written(self.call(Call::Create, message, &redaction, create).await?.account)
    }

    async fn update(
        &self,
        object_class: &str,
        key: &AccountKey,
        update: &AccountUpdate,
    ) -> Result<Account, TargetFailure> {
        self.description().await?;
        let message = pb::UpdateAccountRequest {
            object_class: object_class.to_owned(),
            key: Some(account::key_to_pb(key)),
            changes: change::to_list(&update.changes),
            enabled: update.enabled,
            rename_to: update.rename_to.clone(),
            if_version: update.if_version.clone(),
            tag: update.tag.clone(),
        };
        let send = |mut client: Client, request| async move { client.update_account(request).await };
        let redaction = Redaction::of_changes(&update.changes);
        written(self.call(Call::Update, message, &redaction, send).await?.account)
    }

    async fn delete(
        &self,
        object_class: &str,
        key: &AccountKey,
        if_version: Option<&str>,
        tag: &str,
    ) -> Result<(), TargetFailure> {
        self.description().await?;
        let message = pb::DeleteAccountRequest {
            object_class: object_class.to_owned(),
            key: Some(account::key_to_pb(key)),
            if_version: if_version.map(str::to_owned),
            tag: tag.to_owned(),
        };
        let delete = |mut client: Client, request| async move { client.delete_account(request).await };
        self.call(Call::Delete, message, &Redaction::default(), delete).await.map(drop)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// An account that it sent.
fn parsed(account: pb::Account, call: Call) -> Result<Account, TargetFailure> {
    let mut fields = Fields::default();
    let account = account::of_target(&mut fields, account);
    fields.finish(account).map_err(|error| failure::garbled(call, &error))
}

/// The account that a write answered. Without one nobody knows what was written.
fn written(account: Option<pb::Account>) -> Result<Account, TargetFailure> {
    let account = account.ok_or_else(|| failure::lacks("the account"))?;
    parsed(account, Call::Update)
}
