//! What a remediation must know of the present: the connector's rules and the pairs concerned, read live just before
//! anything is planned.

use std::sync::Arc;

use xavyo_core::{
    Error, Reason,
    account::AccountKey,
    discrepancy::{Candidate, Discrepancy, DiscrepancyType},
    error::Result,
    ids::IdentityId,
    mapping::Program,
    remediation::{RemediationAction, Remedy},
};

use super::record::Choice;
use crate::provisioning::{
    Session,
    account::{Kind, Pair, Selector},
    connector::ConnectorView,
};

/// The present, as far as one remediation is concerned.
#[derive(Clone, Debug)]
pub struct Facts {
    pub connector: Arc<ConnectorView>,
    pub program: Program,
    pub kind: Kind,
    /// Whom and what the remediation is about.
    pub subject: Subject,
    /// The identity, with its link and that link's account.
    pub identity: Option<Pair>,
    /// The account by its own name, with its link.
    pub account: Option<Pair>,
}

/// The identity and the account that a remedy concerns, out of the finding and what the caller picked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    pub identity_id: Option<IdentityId>,
    pub account: Option<AccountKey>,
}

impl Facts {
    pub async fn read(
        session: &Session,
        connector: Arc<ConnectorView>,
        discrepancy: &Discrepancy,
        subject: Subject,
    ) -> Result<Self> {
        let program = connector.program(&discrepancy.object_class, &discrepancy.intent).cloned();
        let program = program.ok_or_else(|| no_longer("the connector no longer has this kind of account"))?;
        let kind = Kind::of(connector.id, program.object_type());
        let selectors: Vec<Selector> = subject
            .identity_id
            .map(Selector::identity)
            .into_iter()
            .chain(subject.account.clone().map(Selector::account))
            .collect();
        let mut pairs = session.pairs(&kind, &selectors).await?.into_iter();
        let identity = subject.identity_id.and_then(|_| pairs.next());
        let account = subject.account.as_ref().and_then(|_| pairs.next());
        Ok(Self { connector, program, kind, subject, identity, account })
    }
}

impl Subject {
    /// INVALID_FIELD where the finding leaves a choice and the caller has not made it, or picks what is no part of it.
    pub fn of(discrepancy: &Discrepancy, remedy: Remedy, choice: &Choice) -> Result<Self> {
        let account = discrepancy.external_uid.as_ref().map(|uid| AccountKey {
            external_uid: uid.clone(),
            immutable_id: discrepancy.immutable_id.clone(),
        });
        match (discrepancy.discrepancy_type, remedy.action) {
            (DiscrepancyType::Collision, action) => of_collision(discrepancy, action, choice),
            (DiscrepancyType::Orphan, RemediationAction::Link) => {
                let identity = choice.identity_id.ok_or_else(|| required("identity_id"))?;
                Ok(Self { identity_id: Some(identity), account })
            }
            // Whose account it is now is seen by the link; the account itself may be gone.
            (DiscrepancyType::Missing | DiscrepancyType::Mismatch | DiscrepancyType::Deleted, _) => {
                Ok(Self { identity_id: discrepancy.identity_id, account: None })
            }
            (DiscrepancyType::Orphan | DiscrepancyType::Unlinked, _) => {
                Ok(Self { identity_id: discrepancy.identity_id, account })
            }
        }
    }
}

fn of_collision(discrepancy: &Discrepancy, action: RemediationAction, choice: &Choice) -> Result<Subject> {
    let uid = choice.external_uid.as_ref().ok_or_else(|| required("external_uid"))?;
    let of_account = |candidate: &&Candidate| candidate.account.external_uid == *uid;
    let account = discrepancy.candidates.iter().find(of_account);
    let account = account
        .map(|candidate| candidate.account.clone())
        .ok_or_else(|| Error::invalid("external_uid", "an account of the collision's candidates"))?;
    if action == RemediationAction::Delete {
        return Ok(Subject { identity_id: None, account: Some(account) });
    }
    let identity = choice.identity_id.ok_or_else(|| required("identity_id"))?;
    if discrepancy.candidates.iter().all(|candidate| candidate.identity_id != identity) {
        return Err(Error::invalid("identity_id", "an identity of the collision's candidates"));
    }
    Ok(Subject { identity_id: Some(identity), account: Some(account) })
}

fn required(field: &'static str) -> Error {
    Error::invalid(field, "required: the finding leaves a choice")
}

/// The finding no longer holds: nothing is done.
pub fn no_longer(why: &str) -> Error {
    Error::new(Reason::Superseded, format!("the finding no longer holds: {why}"))
}
