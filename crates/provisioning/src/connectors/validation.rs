//! What a connector must be to be stored: every field at fault, with its path, in one answer.

use std::collections::BTreeSet;

use secrecy::ExposeSecret;
use xavyo_connectors::{Options, Secrets};
use xavyo_core::{
    Error, Reason, Violation,
    connector::{Connector, Mode, ObjectType},
    error::Result,
};

use super::Connectors;
use crate::programs;

const MAX_NAME: usize = 128;
const MAX_OBJECT_TYPES: usize = 16;
const MAX_SECRET: usize = 65_536;

/// Settings, names, limits and secrets. Expressions are compiled apart: that is work for a processor.
pub fn check(connector: &Connector, secrets: &Secrets, options: &Options) -> Result<()> {
    let mut violations = xavyo_connectors::validate(&connector.settings, options);
    let mut require = |holds: bool, field: String, expected: &str| {
        if !holds {
            violations.push(Violation { field, expected: expected.to_owned() });
        }
    };
    require(
        is_name(&connector.name, MAX_NAME),
        "name".to_owned(),
        "1 to 128 bytes without control characters",
    );
    let types = &connector.object_types;
    require((1..=MAX_OBJECT_TYPES).contains(&types.len()), "object_types".to_owned(), "1 to 16 object types");
    let mut names = BTreeSet::new();
    for (index, object_type) in types.iter().enumerate() {
        let at = |field: &str| format!("object_types[{index}].{field}");
        let ObjectType { object_class, intent, .. } = object_type;
        require(is_name(object_class, 256), at("object_class"), "1 to 256 bytes without control characters");
        require(is_name(intent, 64), at("intent"), "1 to 64 bytes without control characters");
        let is_new = names.insert((object_class, intent));
        require(is_new, at("intent"), "another intent: object class and intent name one object type");
    }
    let usable = xavyo_connectors::secret_fields(&connector.settings);
    for (field, secret) in &secrets.0 {
        let path = format!("secrets.{field}");
        let kind = connector.settings.kind();
        let expected = format!("nothing: connectors of kind {kind} have no such secret");
        require(usable.contains(&field.as_str()), path.clone(), &expected);
        let fits = (1..=MAX_SECRET).contains(&secret.expose_secret().len());
        require(fits, path, "1 to 65,536 bytes");
    }
    if violations.is_empty() { Ok(()) } else { Err(Error::all_invalid(violations)) }
}

/// `enforce` needs one complete full run first, unless the policies say otherwise.
pub fn check_mode(connector: &Connector) -> Result<()> {
    let may_enforce = connector.first_full_run_at.is_some() || connector.policies.skip_first_run;
    match connector.mode {
        Mode::Enforce if !may_enforce => Err(Error::new(
            Reason::ModeForbids,
            "enforce needs one complete full run first, or policies.skip_first_run",
        )
        .with("mode", Mode::Enforce.name())),
        Mode::Observe | Mode::Manual | Mode::Enforce => Ok(()),
    }
}

fn is_name(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && !text.chars().any(char::is_control) && text.trim() == text
}

impl Connectors {
    /// Compiles every expression, away from the threads that answer calls.
    pub(super) async fn compile(&self, object_types: Vec<ObjectType>) -> Result<()> {
        self.targets.programs().run(move || programs::compile(&object_types)).await??;
        Ok(())
    }
}
