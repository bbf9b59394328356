//! One statement as its database takes it: placeholders instead of names, each of the type that is wanted there.

use super::parse::{Parsed, Part};
use crate::sql::{
    connection::{Connection, Parameter},
    failure::Trouble,
    server::Driver,
};

#[derive(Clone, Debug)]
pub(in crate::sql) struct Bound {
    pub text: String,
    /// The parameter of each placeholder, in order.
    names: Vec<String>,
}

impl Bound {
    /// Lets the database parse the statement, and say what each parameter is where it knows that.
    pub(super) async fn prepare(
        connection: &mut Connection,
        driver: &dyn Driver,
        parsed: &Parsed,
    ) -> Result<Self, Trouble> {
        let dialect = driver.dialect();
        let names: Vec<String> = parsed.parameters().map(str::to_owned).collect();
        let written = |place: &dyn Fn(usize) -> String| {
            let mut position = 0;
            let part = |part: &Part| match part {
                Part::Text(text) => text.clone(),
                Part::Parameter(_) => {
                    position += 1;
                    place(position)
                }
            };
            parsed.parts.iter().map(part).collect::<String>()
        };
        let described = connection.describe(written(&|position| dialect.placeholder(position, None))).await?;
        let types = described.parameters;
        let text =
            written(&|position| dialect.placeholder(position, types.get(position - 1).map(String::as_str)));
        Ok(Self { text, names })
    }

    pub fn names(&self, parameter: &str) -> bool {
        self.names.iter().any(|name| name == parameter)
    }

    /// The values of all placeholders, as `value` gives them by name.
    pub fn parameters<E>(
        &self,
        mut value: impl FnMut(&str) -> Result<Parameter, E>,
    ) -> Result<Vec<Parameter>, E> {
        self.names.iter().map(|name| value(name)).collect()
    }
}
