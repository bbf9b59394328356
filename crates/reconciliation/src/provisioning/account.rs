//! Single accounts with both their sides, read live; and what changes links.

use uuid::Uuid;
use xavyo_core::{
    Reason,
    account::{Account, AccountKey, AccountState},
    cause::CauseKind,
    connector::ObjectType,
    correlation::CorrelationKey,
    digest::Digest,
    error::Result,
    ids::{ConnectorId, IdentityId, LinkId, RunId},
    mapping::{Expected, ExpectedValue},
};
use xavyo_wire::{
    Fields, Numbered, limits,
    pb::provisioning::{self as pb, account_service_client::AccountServiceClient},
    reads::{digest_of_pb, keys_of_pb},
    value,
};

use super::{MAX_ANSWER, Session, failed, lacks, malformed};

/// The most pairs of one call.
pub const BATCH: usize = 500;

/// A kind of account of one connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    pub connector_id: ConnectorId,
    pub object_class: String,
    pub intent: String,
}

/// Which pair is wanted: the identity's, the account's, or that identity with that account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    pub identity_id: Option<IdentityId>,
    pub account: Option<AccountKey>,
}

/// What is expected of an identity and what its account is, both read now.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    pub identity_id: Option<IdentityId>,
    /// None = unknown: the scope's expression failed.
    pub should_have: Option<bool>,
    /// None = no opinion.
    pub expected_state: Option<AccountState>,
    pub expected: Expected,
    /// None = the target says that there is no such account.
    pub live: Option<Account>,
    /// Of the live account, as a read of all accounts tells them.
    pub live_digest: Option<Digest>,
    pub live_keys: Vec<CorrelationKey>,
    pub link: Option<PairLink>,
    /// Live operations or a dead letter in its lane, or linked just now.
    pub in_flight: bool,
    pub is_protected: bool,
}

/// The link of a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairLink {
    pub id: LinkId,
    pub etag: String,
    pub identity_id: IdentityId,
    pub account: AccountKey,
    /// Only what we disabled may a policy enable again.
    pub disabled_by_us: bool,
}

/// A changed uid that a read found under a link's immutable id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    pub link_id: LinkId,
    pub account: AccountKey,
}

/// What a change of a link follows from.
#[derive(Clone, Debug)]
pub struct LinkCause<'a> {
    pub remediation: Uuid,
    pub reason: Option<&'a str>,
}

impl Kind {
    pub fn of(connector_id: ConnectorId, object_type: &ObjectType) -> Self {
        Self {
            connector_id,
            object_class: object_type.object_class.clone(),
            intent: object_type.intent.clone(),
        }
    }
}

impl Selector {
    pub fn identity(id: IdentityId) -> Self {
        Self { identity_id: Some(id), account: None }
    }

    pub fn account(account: AccountKey) -> Self {
        Self { identity_id: None, account: Some(account) }
    }

    pub fn pair(id: IdentityId, account: AccountKey) -> Self {
        Self { identity_id: Some(id), account: Some(account) }
    }
}

impl Session {
    /// One pair a selector, in their order. More than one message can ask for or answer go in halves.
    pub async fn pairs(&self, kind: &Kind, selectors: &[Selector]) -> Result<Vec<Pair>> {
        if selectors.is_empty() {
            return Ok(Vec::new());
        }
        if selectors.len() <= BATCH {
            match self.pairs_at_once(kind, selectors).await {
                Err(error) if error.reason == Reason::LimitExceeded && selectors.len() > 1 => {}
                outcome => return outcome,
            }
        }
        let (first, second) = selectors.split_at(selectors.len() / 2);
        let mut pairs = Box::pin(self.pairs(kind, first)).await?;
        pairs.extend(Box::pin(self.pairs(kind, second)).await?);
        Ok(pairs)
    }

    pub async fn pair(&self, kind: &Kind, selector: Selector) -> Result<Pair> {
        let pairs = self.pairs(kind, &[selector]).await?;
        pairs.into_iter().next().ok_or_else(|| lacks("the pair"))
    }

    async fn pairs_at_once(&self, kind: &Kind, selectors: &[Selector]) -> Result<Vec<Pair>> {
        let request = pb::BatchGetAccountsRequest {
            connector_id: kind.connector_id.to_string(),
            object_class: kind.object_class.clone(),
            intent: kind.intent.clone(),
            selectors: selectors.iter().map(selector).collect(),
        };
        let mut client = self.accounts();
        let answer = client.batch_get_accounts(self.request(request)).await.map_err(failed)?;
        let pairs = answer.into_inner().pairs;
        if pairs.len() != selectors.len() {
            return Err(lacks("some of the pairs"));
        }
        pairs.into_iter().map(pair).collect()
    }

    /// Links an account to an identity; a rejection of the pair is forgotten. `request_id` makes it repeatable.
    pub async fn link(
        &self,
        kind: &Kind,
        identity: IdentityId,
        account: &AccountKey,
        request_id: Uuid,
        cause: &LinkCause<'_>,
    ) -> Result<PairLink> {
        let request = pb::LinkAccountRequest {
            connector_id: kind.connector_id.to_string(),
            object_class: kind.object_class.clone(),
            intent: kind.intent.clone(),
            identity_id: identity.to_string(),
            external_uid: account.external_uid.clone(),
            immutable_id: account.immutable_id.clone(),
            reason: cause.reason.map(str::to_owned),
            request_id: Some(request_id.to_string()),
            cause_kind: Some(CauseKind::Remediation.number()),
            cause_id: Some(cause.remediation.to_string()),
        };
        let mut client = self.accounts();
        let answer = client.link_account(self.request(request)).await.map_err(failed)?;
        link(answer.into_inner().link.ok_or_else(|| lacks("the link"))?)
    }

    /// Removes a link. `reject_pair` remembers that the account is not this identity's.
    pub async fn unlink(&self, link: &PairLink, reject_pair: bool, cause: &LinkCause<'_>) -> Result<()> {
        let request = pb::UnlinkAccountRequest {
            link_id: link.id.to_string(),
            etag: link.etag.clone(),
            reject_pair,
            reason: cause.reason.map(str::to_owned),
            cause_kind: Some(CauseKind::Remediation.number()),
            cause_id: Some(cause.remediation.to_string()),
        };
        let mut client = self.accounts();
        client.unlink_account(self.request(request)).await.map_err(failed)?;
        Ok(())
    }

    /// Tells new uids of linked accounts; at most [`BATCH`].
    pub async fn refresh_links(&self, connector: ConnectorId, renamed: &[Renamed]) -> Result<()> {
        let refreshed = |renamed: &Renamed| pb::RefreshedLink {
            link_id: renamed.link_id.to_string(),
            external_uid: renamed.account.external_uid.clone(),
            immutable_id: renamed.account.immutable_id.clone(),
        };
        let request = pb::RefreshLinksRequest {
            connector_id: connector.to_string(),
            links: renamed.iter().map(refreshed).collect(),
        };
        self.accounts().refresh_links(self.request(request)).await.map_err(failed)?;
        Ok(())
    }

    /// From then on the connector may go to `enforce`. Repeating it is harmless.
    pub async fn record_completed_run(
        &self,
        connector: ConnectorId,
        run: RunId,
        connector_revision: i32,
        completed_at: chrono::DateTime<chrono::Utc>,
    ) -> Result<()> {
        let request = pb::RecordCompletedRunRequest {
            connector_id: connector.to_string(),
            run_id: run.to_string(),
            connector_revision,
            completed_at: Some(xavyo_wire::time::to_pb(completed_at)),
        };
        self.accounts().record_completed_run(self.request(request)).await.map_err(failed)?;
        Ok(())
    }

    pub(super) fn accounts(&self) -> AccountServiceClient<tonic::transport::Channel> {
        AccountServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
    }
}

fn selector(selector: &Selector) -> pb::AccountSelector {
    pb::AccountSelector {
        identity_id: selector.identity_id.map(|id| id.to_string()),
        external_uid: selector.account.as_ref().map(|account| account.external_uid.clone()),
        immutable_id: selector.account.as_ref().and_then(|account| account.immutable_id.clone()),
    }
}

fn pair(pair: pb::AccountPair) -> Result<Pair> {
    let mut fields = Fields::default();
    let (live_digest, live_keys) = match &pair.live {
        Some(live) => (digest_of(live)?, keys_of_pb(&live.correlation_keys)?),
        None => (None, Vec::new()),
    };
    let expected = pb::Expectation::try_from(pair.expectation);
    let parsed = Pair {
        identity_id: fields.optional_id("identity_id", pair.identity_id.as_deref()),
        should_have: match expected {
            Ok(pb::Expectation::ShouldHave) => Some(true),
            Ok(pb::Expectation::ShouldNotHave) => Some(false),
            Ok(pb::Expectation::Unknown | pb::Expectation::Unspecified) | Err(_) => None,
        },
        expected_state: fields.optional_choice("expected_state", pair.expected_state),
        expected: expected_attributes(&mut fields, pair.expected_attributes, pair.failures),
        live: pair.live.map(|live| account(&mut fields, live)),
        live_digest,
        live_keys,
        link: None,
        in_flight: pair.in_flight,
        is_protected: pair.is_protected,
    };
    let parsed = fields.finish(parsed).map_err(malformed)?;
    Ok(Pair { link: pair.link.map(link).transpose()?, ..parsed })
}

/// None where the account's attributes have none.
pub fn digest_of(account: &pb::TargetAccount) -> Result<Option<Digest>> {
    (!account.digest.is_empty()).then(|| digest_of_pb(&account.digest)).transpose()
}

fn expected_attributes(
    fields: &mut Fields,
    attributes: Vec<pb::ExpectedAttribute>,
    failures: Vec<pb::AttributeFailure>,
) -> Expected {
    let mut expected = Expected {
        failures: failures.into_iter().map(|failure| (failure.name, failure.message)).collect(),
        ..Expected::default()
    };
    for attribute in attributes {
        let mut values = Vec::with_capacity(attribute.values.len());
        for one in attribute.values {
            match value::of_pb(one) {
                Ok(value) => values.push(value),
                Err(problem) => fields.refuse("expected_attributes", problem),
            }
        }
        let value = match (attribute.unmanaged, values.is_empty()) {
            (true, _) => ExpectedValue::Unmanaged,
            (false, true) => ExpectedValue::Absent,
            (false, false) => ExpectedValue::Values(values),
        };
        expected.attributes.insert(attribute.name, value);
    }
    expected
}

fn account(fields: &mut Fields, live: pb::TargetAccount) -> Account {
    Account {
        external_uid: fields.text("live.external_uid", live.external_uid, limits::UID),
        immutable_id: live.immutable_id,
        version: live.version,
        enabled: live.enabled,
        attributes: value::attributes_of_list(fields, "live.attributes", live.attributes),
    }
}

fn link(link: pb::Link) -> Result<PairLink> {
    let mut fields = Fields::default();
    let parsed = PairLink {
        id: fields.id("link.id", &link.id),
        etag: link.etag,
        identity_id: fields.id("link.identity_id", &link.identity_id),
        account: AccountKey {
            external_uid: fields.text("link.external_uid", link.external_uid, limits::UID),
            immutable_id: link.immutable_id,
        },
        disabled_by_us: link.disabled_by_us,
    };
    fields.finish(parsed).map_err(malformed)
}
