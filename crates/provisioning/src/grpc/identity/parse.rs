//! Requests of IdentityService, parsed into commands: every field at fault is named.

use xavyo_core::{error::Result, identity::MAX_SOURCE_KEY, ids::IdentityId, value::Attributes};
use xavyo_wire::{
    fields::Fields,
    limits,
    page::Page,
    pb::{google::FieldMask, provisioning as pb},
    value::attributes_of_struct,
};

use crate::{
    identities::{ChangeActivity, CreateIdentity, DeleteIdentity, Edit, Key, ListIdentities, UpdateIdentity},
    store::identity::Filter,
};

const PATHS: &str = "`attributes`, or `attributes.` and a name (in backticks unless it is a plain word)";

pub(super) fn create(request: pb::CreateIdentityRequest) -> Result<CreateIdentity> {
    let mut fields = Fields::default();
    let command = CreateIdentity {
        source_key: request.source_key.map(|key| fields.text("source_key", key, MAX_SOURCE_KEY)),
        active: request.active.unwrap_or(true),
        attributes: attributes_of_struct(&mut fields, "attributes", request.attributes),
        request_id: fields.optional_id("request_id", request.request_id.as_deref()),
    };
    fields.finish(command)
}

pub(super) fn key(request: pb::GetIdentityRequest) -> Result<Key> {
    use pb::get_identity_request::Key as Pb;
    let mut fields = Fields::default();
    let key = match request.key {
        Some(Pb::SourceKey(key)) => Key::Source(fields.text("source_key", key, MAX_SOURCE_KEY)),
        Some(Pb::IdentityId(id)) => Key::Id(fields.id("identity_id", &id)),
        None => Key::Id(fields.id("identity_id", "")),
    };
    fields.finish(key)
}

pub(super) fn list(request: &pb::ListIdentitiesRequest, page: &Page<IdentityId>) -> ListIdentities {
    ListIdentities {
        filter: Filter { active: request.active },
        after: page.after,
        page_size: page.size,
        count_total: page.count_total,
    }
}

pub(super) fn update(request: pb::UpdateIdentityRequest) -> Result<UpdateIdentity> {
    let mut fields = Fields::default();
    let identity = fields.required("identity", request.identity).unwrap_or_default();
    let (identity_id, etag, given) = fields.within("identity", |fields| {
        let given = attributes_of_struct(fields, "attributes", identity.attributes);
        (fields.id("id", &identity.id), fields.etag(&identity.etag), given)
    });
    let edits = edits(&mut fields, request.update_mask.unwrap_or_default(), &given);
    let command = UpdateIdentity { identity_id, etag, edits, validate_only: request.validate_only };
    fields.finish(command)
}

/// One edit a path of the mask.
fn edits(fields: &mut Fields, mask: FieldMask, given: &Attributes) -> Vec<Edit> {
    if mask.paths.is_empty() {
        fields.refuse("update_mask", format!("at least one path: {PATHS}"));
    }
    let edit = |path: String| match attribute_of(&path) {
        Some("") => Some(Edit::ReplaceAll(given.clone())),
        Some(name) => Some(match given.get(name) {
            Some(values) => Edit::Set(name.to_owned(), values.clone()),
            None => Edit::Clear(name.to_owned()),
        }),
        None => {
            fields.refuse("update_mask", format!("paths {PATHS}, not {path:?}"));
            None
        }
    };
    mask.paths.into_iter().filter_map(edit).collect()
}

/// The attribute that a path names, empty for all of them; None for a path that is refused.
fn attribute_of(path: &str) -> Option<&str> {
    if path == "attributes" {
        return Some("");
    }
    let name = path.strip_prefix("attributes.")?;
    let quoted = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
    let is_word = |name: &str| name.chars().all(|character| character.is_alphanumeric() || character == '_');
    let named = match quoted {
        Some(quoted) if !quoted.contains('`') => quoted,
        None if is_word(name) => name,
        Some(_) | None => return None,
    };
    Some(named).filter(|name| !name.is_empty() && name.len() <= limits::ATTRIBUTE_NAME)
}

pub(super) fn inactivate(request: pb::InactivateIdentityRequest) -> Result<ChangeActivity> {
    let pb::InactivateIdentityRequest { identity_id, etag, reason, validate_only } = request;
    let mut fields = Fields::default();
    let command = ChangeActivity {
        identity_id: fields.id("identity_id", &identity_id),
        etag: fields.etag(&etag),
        active: false,
        reason: fields.optional_text("reason", reason, limits::REASON),
        validate_only,
    };
    fields.finish(command)
}

pub(super) fn reactivate(request: pb::ReactivateIdentityRequest) -> Result<ChangeActivity> {
    let pb::ReactivateIdentityRequest { identity_id, etag, reason } = request;
    let mut fields = Fields::default();
    let command = ChangeActivity {
        identity_id: fields.id("identity_id", &identity_id),
        etag: fields.etag(&etag),
        active: true,
        reason: fields.optional_text("reason", reason, limits::REASON),
        validate_only: false,
    };
    fields.finish(command)
}

pub(super) fn delete(request: pb::DeleteIdentityRequest) -> Result<DeleteIdentity> {
    let mut fields = Fields::default();
    let command = DeleteIdentity {
        identity_id: fields.id("identity_id", &request.identity_id),
        etag: fields.etag(&request.etag),
        reason: fields.optional_text("reason", request.reason, limits::REASON),
    };
    fields.finish(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_attribute_or_all() {
        for (path, attribute) in [
            ("attributes", Some("")),
            ("attributes.mail", Some("mail")),
            ("attributes.`given-name`", Some("given-name")),
            ("attributes.given-name", None),
            ("attributes.``", None),
            ("attributes.", None),
            ("attributes.a.b", None),
            ("active", None),
            ("source_key", None),
            ("", None),
        ] {
            assert_eq!(attribute_of(path), attribute, "{path}");
        }
    }
}
