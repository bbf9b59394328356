//! The trait that every kind of target implements, and the values that pass through it.

use std::fmt::Debug;

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use xavyo_core::{
    account::{Account, AccountKey},
    change::Changes,
    connector::{FailureKind, ObjectSchema, TargetFailure},
    value::{Attributes, Value},
};

/// The most accounts on one page of a read.
pub const MAX_PAGE: usize = 1_000;

/// Asked for instead of names: every attribute that the target shows without being asked for it by name.
pub const ALL_ATTRIBUTES: &str = "*";

/// What a connector can promise about its target. Some of it is known only after the first contact: before, the
/// careful answer is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent promises, each asked for by itself")]
pub struct Capabilities {
    /// Accounts carry an id that the target never gives to another object.
    pub immutable_ids: bool,
    /// The target itself honours `if_version`: check and write are one step there.
    pub versions: bool,
    /// Accounts can be disabled and enabled.
    pub disables: bool,
    /// An update that sets whole values may be sent again after an unknown outcome.
    pub repeatable_updates: bool,
    /// The target can say what changed since a watermark.
    pub changes: bool,
}

/// One step of a connection check, in the order tried. A check ends at the first step that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckStep {
    /// `connect`, `authenticate`, `read` …
    pub name: String,
    pub ok: bool,
    /// What was found, for people. Never a secret.
    pub detail: String,
}

/// Which accounts to read, and which of their attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    pub object_class: String,
    /// Target attributes; [`ALL_ATTRIBUTES`] for all, empty for keys, version and state only.
    pub attributes: Vec<String>,
}

/// What a read yields.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadItem {
    /// At most [`MAX_PAGE`] accounts.
    Page(Vec<Account>),
    /// Exactly once, last. A stream that ends without it, or with an error, is incomplete.
    Proof(Completeness),
}

/// What a read can say about its own completeness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completeness {
    /// Everything that the target holds, and shows to our login, was read.
    pub complete: bool,
    /// In words, for the report: how that is known, or what is missing.
    pub evidence: String,
    /// Accounts read.
    pub count: i64,
    /// The target's own mark, taken before the read began. None where it has none.
    pub watermark: Option<String>,
    /// Calls made on the target.
    pub calls: i64,
}

/// What changed in a target since a watermark.
#[derive(Clone, Debug, PartialEq)]
pub enum AccountChange {
    /// Made or changed since; the account as it is now.
    Changed(Account),
    /// A tombstone of the target's own. Its uid is empty where the target keeps nothing but the immutable id. It says
    /// that the account is not where it was; whoever acts on it reads the account first.
    Gone(AccountKey),
}

/// What a read of changes yields.
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeItem {
    /// At most [`MAX_PAGE`] changes. An account may come twice: the later one counts.
    Page(Vec<AccountChange>),
    /// Exactly once, last: `count` is of changes, `watermark` is where the next read of changes begins.
    Proof(Completeness),
}

/// The code of the failure of a connector that has no such call.
pub const NOT_OFFERED: &str = "NOT_OFFERED";
/// The code of the failure of a read of changes whose watermark the target no longer knows: a full read follows.
pub const WATERMARK_EXPIRED: &str = "WATERMARK_EXPIRED";

#[derive(Clone, Debug, PartialEq)]
pub struct NewAccount {
    pub object_class: String,
    pub external_uid: String,
    pub attributes: Attributes,
    /// None = as the target makes it.
    pub enabled: Option<bool>,
    /// Written into the target's own log of changes where it has one. Opaque.
    pub tag: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountUpdate {
    /// Without the reserved `account_state`.
    pub changes: Changes,
    pub enabled: Option<bool>,
    /// A new `external_uid`.
    pub rename_to: Option<String>,
    /// Written only while the account still has this version.
    pub if_version: Option<String>,
    /// As in [`NewAccount::tag`].
    pub tag: String,
}

/// A configured target. Calls may run at once; each ends within the call time-out that the connector was opened with.
///
/// Repeating is safe for reads, for deletes by immutable id, and for updates where
/// [`Capabilities::repeatable_updates`] says so; a create whose outcome is unknown must be read back first.
#[async_trait]
pub trait Connector: Send + Sync + Debug {
    fn capabilities(&self) -> Capabilities;

    /// Connects, authenticates and looks at what will be read, step by step. The error is for a check that could not
    /// be made at all; a target that refuses is a step that is not ok.
    async fn check(&self) -> Result<Vec<CheckStep>, TargetFailure>;

    /// Every account of the class as pages, then the proof. At most a few pages are held in memory at once; a slow
    /// reader slows the target's answers down.
    fn read(&self, request: ReadRequest) -> BoxStream<'_, Result<ReadItem, TargetFailure>>;

    /// What changed since a watermark that an earlier proof of this target gave: pages, then the proof. A change made
    /// while it runs comes now or the next time, never in neither.
    /// Fails with [`NOT_OFFERED`] unless [`Capabilities::changes`], and with [`WATERMARK_EXPIRED`].
    fn changes(&self, _: ReadRequest, _since: &str) -> BoxStream<'_, Result<ChangeItem, TargetFailure>> {
        stream::iter([Err(not_offered("it cannot say what changed"))]).boxed()
    }

    /// The classes and attributes that the target can hold, as it says itself now: what an earlier call learned of them is
    /// not the answer. [`Connector::capabilities`] are known afterwards.
    /// Fails with [`NOT_OFFERED`] where it says nothing.
    async fn describe(&self) -> Result<Vec<ObjectSchema>, TargetFailure> {
        Err(not_offered("it does not describe what it holds"))
    }

    /// Accounts whose attribute equals the value, by the target's own equality, with all their attributes. At most
    /// [`MAX_PAGE`].
    async fn find(
        &self,
        object_class: &str,
        attribute: &str,
        value: &Value,
    ) -> Result<Vec<Account>, TargetFailure>;

    /// One account, by immutable id where the key has one: an object of the same uid with another immutable id is
    /// not it, and the answer is None. The uid in the answer is the current one.
    async fn get(
        &self,
        object_class: &str,
        key: &AccountKey,
        attributes: &[String],
    ) -> Result<Option<Account>, TargetFailure>;

    /// As `get` for many keys, in one or few round trips; answers stand in the order of the keys.
    async fn get_many(
        &self,
        object_class: &str,
        keys: &[AccountKey],
        attributes: &[String],
    ) -> Result<Vec<Option<Account>>, TargetFailure>;

    /// Makes an account and returns its key and version; the attributes of the answer may be empty.
    /// Fails with `AlreadyExists` where the name is taken.
    async fn create(&self, account: &NewAccount) -> Result<Account, TargetFailure>;

    /// Values to add that are there, and values to remove that are gone, are left as they are. Returns the key (a
    /// rename changes it) and the new version; the attributes of the answer may be empty.
    /// Fails with `NotFound` or `PreconditionFailed` without having written.
    async fn update(
        &self,
        object_class: &str,
        key: &AccountKey,
        update: &AccountUpdate,
    ) -> Result<Account, TargetFailure>;

    /// Fails with `NotFound` or `PreconditionFailed` without having written.
    async fn delete(
        &self,
        object_class: &str,
        key: &AccountKey,
        if_version: Option<&str>,
        tag: &str,
    ) -> Result<(), TargetFailure>;
}

fn not_offered(what: &str) -> TargetFailure {
    TargetFailure::new(FailureKind::Refused, NOT_OFFERED, format!("not offered by this target: {what}"))
}
