//! Identities: the changes that a remediation towards xavyo makes, and what would follow from them.

use uuid::Uuid;
use xavyo_core::{
    error::Result,
    ids::IdentityId,
    value::{Attributes, Value},
};
use xavyo_wire::{
    Fields,
    pb::{
        google::FieldMask,
        provisioning::{self as pb, PlannedOperation, identity_service_client::IdentityServiceClient},
    },
    value,
};

use super::{Session, failed, lacks, malformed};

/// Whether a change is made, or only its consequences are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Made,
    /// Changes nothing.
    Foreseen,
}

impl Session {
    /// Sets one attribute, or clears it. Answers the operations that follow.
    pub async fn set_identity_attribute(
        &self,
        id: IdentityId,
        attribute: &str,
        values: &[Value],
        effect: Effect,
    ) -> Result<Vec<PlannedOperation>> {
        let mut attributes = Attributes::new();
        if !values.is_empty() {
            attributes.insert(attribute.to_owned(), values.to_vec());
        }
        let request = pb::UpdateIdentityRequest {
            identity: Some(pb::Identity {
                id: id.to_string(),
                attributes: Some(value::attributes_to_struct(&attributes)),
                ..Default::default()
            }),
            update_mask: Some(FieldMask { paths: vec![format!("attributes.{}", quoted(attribute))] }),
            validate_only: effect == Effect::Foreseen,
        };
        let answer = self.identities().update_identity(self.request(request)).await.map_err(failed)?;
        Ok(answer.into_inner().operations)
    }

    /// Repeating it changes nothing.
    pub async fn inactivate_identity(
        &self,
        id: IdentityId,
        reason: Option<&str>,
        effect: Effect,
    ) -> Result<Vec<PlannedOperation>> {
        let request = pb::InactivateIdentityRequest {
            identity_id: id.to_string(),
            etag: String::new(),
            reason: reason.map(str::to_owned),
            validate_only: effect == Effect::Foreseen,
        };
        let answer = self.identities().inactivate_identity(self.request(request)).await.map_err(failed)?;
        Ok(answer.into_inner().operations)
    }

    /// Makes an inactive identity; the same `request_id` answers the same one again.
    pub async fn create_inactive_identity(
        &self,
        attributes: &Attributes,
        request_id: Uuid,
    ) -> Result<IdentityId> {
        let request = pb::CreateIdentityRequest {
            source_key: None,
            active: Some(false),
            attributes: Some(value::attributes_to_struct(attributes)),
            request_id: Some(request_id.to_string()),
        };
        let answer = self.identities().create_identity(self.request(request)).await.map_err(failed)?;
        let identity = answer.into_inner().identity.ok_or_else(|| lacks("the identity"))?;
        let mut fields = Fields::default();
        let id = fields.id("identity.id", &identity.id);
        fields.finish(id).map_err(malformed)
    }

    fn identities(&self) -> IdentityServiceClient<tonic::transport::Channel> {
        IdentityServiceClient::new(self.channel.clone())
    }
}

/// A name that is no plain word goes into backticks (AIP-161).
fn quoted(attribute: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if attribute.chars().all(is_word) { attribute.to_owned() } else { format!("`{attribute}`") }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn only_names_that_are_no_plain_word_are_quoted() {
        assert_eq!(quoted("mail"), "mail");
        assert_eq!(quoted("given-name"), "`given-name`");
    }
}
