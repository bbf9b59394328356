//! What the target says that it can hold.

use anyhow::{Context, Result, ensure};
use xavyo_connectors::NOT_OFFERED;

use crate::{Target, case::not_offered};

pub async fn the_schema_names_the_attributes_that_accounts_have(target: &Target) -> Result<()> {
    let classes = match target.connector.describe().await {
        Ok(classes) => classes,
        Err(failure) if failure.code == NOT_OFFERED => return not_offered(failure.message),
        Err(failure) => return Err(failure.into()),
    };

    let class = match classes.as_slice() {
        [only] => only,
        many => many
            .iter()
            .find(|class| class.object_class.eq_ignore_ascii_case(target.class()))
            .with_context(|| format!("{} is not among them", target.class()))?,
    };
    let attribute = |name: &str| {
        let found = class.attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name));
        found.with_context(|| format!("{name} is not among its attributes"))
    };
    let text = attribute(target.text())?;
    ensure!(!text.required && text.readable, "{text:?}");
    ensure!(text.writable_on_create && text.writable_on_update, "{text:?}");
    if let Some(many) = &target.words().many {
        ensure!(attribute(many)?.multi_valued, "{many} takes many values");
    }
    for name in target.words().required.keys() {
        ensure!(attribute(name)?.writable_on_create, "{name} is required");
    }
    for required in class.attributes.iter().filter(|attribute| attribute.required) {
        let is_given = target.words().required.keys().any(|name| name.eq_ignore_ascii_case(&required.name));
        let is_uid = class.uid_attribute.as_ref().is_some_and(|uid| *uid == required.name);
        ensure!(is_given || is_uid, "{} is said to be required, and is not", required.name);
    }
    Ok(())
}
