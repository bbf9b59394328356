//! PreviewMapping: its request and its answer.

use xavyo_core::{
    error::Result,
    mapping::{Evaluation, ExpectedValue},
    value::Attributes,
};
use xavyo_wire::{fields::Fields, limits, object_type, pb::provisioning as pb, value};

use crate::connectors::{AttributePreview, CorrelationPreview, Preview, PreviewMapping, Subject};

pub(super) fn of_pb(request: pb::PreviewMappingRequest) -> Result<PreviewMapping> {
    use pb::preview_mapping_request::Subject as Pb;
    let mut fields = Fields::default();
    let given = request.object_type;
    let object_class = if given.is_some() {
        fields.any_text("object_class", request.object_class, limits::ATTRIBUTE_NAME)
    } else {
        fields.text("object_class", request.object_class, limits::ATTRIBUTE_NAME)
    };
    let subject = match request.subject {
        Some(Pb::IdentityId(id)) => Subject::Stored(fields.id("identity_id", &id)),
        Some(Pb::Attributes(attributes)) => {
            Subject::Given(value::attributes_of_struct(&mut fields, "attributes", Some(attributes)))
        }
        None => {
            fields.refuse("identity_id", "required: an identity_id, or attributes");
            Subject::Given(Attributes::new())
        }
    };
    let command = PreviewMapping {
        connector_id: fields.id("connector_id", &request.connector_id),
        object_class,
        intent: object_type::intent_of_pb(&mut fields, request.intent),
        subject,
        object_type: given
            .map(|given| fields.within("object_type", |fields| object_type::of_pb(fields, given))),
    };
    fields.finish(command)
}

pub(super) fn to_pb(preview: Preview) -> pb::MappingPreview {
    let (scope, scope_error) = match preview.scope {
        Evaluation::In => (pb::ScopeState::In, None),
        Evaluation::Out => (pb::ScopeState::Out, None),
        Evaluation::Unknown(error) => (pb::ScopeState::Unknown, Some(error)),
    };
    let (external_uid, naming_error) = match preview.name {
        Ok(name) => (Some(name), None),
        Err(error) => (None, Some(error)),
    };
    pb::MappingPreview {
        scope: scope.into(),
        scope_error,
        external_uid,
        naming_error,
        attributes: preview.attributes.into_iter().map(attribute).collect(),
        correlation: (0..).zip(preview.correlation).map(|(number, rule)| correlation(number, rule)).collect(),
        correlation_threshold: preview.threshold,
    }
}

fn attribute(preview: AttributePreview) -> pb::AttributePreview {
    let mut shown = pb::AttributePreview {
        name: preview.name,
        expression: preview.expression,
        ..pb::AttributePreview::default()
    };
    match preview.value {
        Ok(ExpectedValue::Values(values)) => shown.value = Some(value::values_to_json(&values)),
        Ok(ExpectedValue::Absent) => shown.value = Some(value::values_to_json(&[])),
        Ok(ExpectedValue::Unmanaged) => shown.unmanaged = true,
        Err(error) => shown.error = Some(error),
    }
    shown
}

fn correlation(rule: i32, preview: CorrelationPreview) -> pb::CorrelationPreview {
    let (key, error) = match preview.keys {
        Ok(keys) => (readable(&keys), None),
        Err(error) => (None, Some(error)),
    };
    pb::CorrelationPreview {
        rule,
        attribute: preview.attribute,
        key,
        error,
        expression: preview.expression,
        weight: preview.weight,
    }
}

fn readable(keys: &[String]) -> Option<String> {
    match keys {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(serde_json::Value::from(many.to_vec()).to_string()),
    }
}
