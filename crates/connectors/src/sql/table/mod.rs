//! The table of the settings, as the catalogue describes it.

mod row;
pub(super) mod schema;

use xavyo_core::{
    connector::{SqlSettings, TargetFailure},
    value::Value,
};

use super::{
    column::{Column, Kind, Shape},
    dialect::Dialect,
    failure::refused,
    statements::Statements,
};
pub(super) use row::Layout;

use crate::ALL_ATTRIBUTES;

/// What the database says of a table.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub columns: Vec<Column>,
    /// What tells one version of a row from the next without a column of its own.
    pub row_version: Option<&'static str>,
    /// Rows may be hidden from our login.
    pub row_security: bool,
}

#[derive(Debug)]
pub(super) struct Table {
    pub dialect: &'static dyn Dialect,
    /// What is selected from: schema and table, quoted.
    pub source: String,
    pub columns: Vec<Column>,
    pub uid: Column,
    pub id: Option<Column>,
    pub version: Version,
    pub state: Option<State>,
    pub updated_at: Option<Column>,
    /// Set = the row is no account.
    pub deleted: Option<Column>,
    pub row_security: bool,
    /// By which it is written, where it is no table.
    pub statements: Option<Statements>,
}

/// What tells one version of a row from the next.
#[derive(Debug)]
pub(super) enum Version {
    Column(Column),
    /// An expression of the database's own, which every write of anybody changes.
    Row(&'static str),
    None,
}

/// The boolean column that says whether an account is enabled.
#[derive(Debug)]
pub(super) enum State {
    DisabledWhenTrue(Column),
    EnabledWhenTrue(Column),
}

impl Table {
    /// Fails with `Refused` where the settings name what is not there.
    pub fn new(
        settings: &SqlSettings,
        dialect: &'static dyn Dialect,
        source: String,
        mut catalogue: Catalogue,
    ) -> Result<Self, TargetFailure> {
        for name in &settings.json_array_columns {
            let column = catalogue.columns.iter_mut().find(|column| column.name == *name);
            let column = column.ok_or_else(|| unknown_column(name))?;
            match (column.kind, column.shape) {
                (Kind::Text, Shape::Single | Shape::Json) => column.shape = Shape::Json,
                _ => return Err(wrong_type(name, "is no JSON")),
            }
        }
        let columns = Columns { dialect, columns: &catalogue.columns };
        let version = match &settings.version_column {
            Some(name) => Version::Column(columns.version(name)?),
            None => catalogue.row_version.map_or(Version::None, Version::Row),
        };
        let disabled = settings.disabled_column.as_ref().map(|name| columns.flag(name)).transpose()?;
        let enabled = settings.enabled_column.as_ref().map(|name| columns.flag(name)).transpose()?;
        Ok(Self {
            dialect,
            source,
            uid: columns.single(&settings.uid_column)?,
            id: settings.id_column.as_ref().map(|name| columns.single(name)).transpose()?,
            version,
            state: disabled.map(State::DisabledWhenTrue).or(enabled.map(State::EnabledWhenTrue)),
            updated_at: settings.updated_at_column.as_ref().map(|name| columns.time(name)).transpose()?,
            deleted: settings.deleted_column.as_ref().map(|name| columns.time_or_flag(name)).transpose()?,
            row_security: catalogue.row_security,
            columns: catalogue.columns,
            statements: None,
        })
    }

    /// What a person wants to know before trusting it.
    pub fn summary(&self) -> String {
        let uid = if self.uid.unique { "unique" } else { "not declared unique" };
        let version = match &self.version {
            Version::Column(column) => column.name.as_str(),
            Version::Row(expression) => expression,
            Version::None => "none",
        };
        let hidden = if self.row_security { "; row-level security may hide rows" } else { "" };
        let source = if self.statements.is_some() { "statements" } else { &self.source };
        format!("{source}: {} columns, uid {uid}, version {version}{hidden}", self.columns.len())
    }

    pub fn column(&self, name: &str) -> Result<&Column, TargetFailure> {
        self.columns.iter().find(|column| column.name == name).ok_or_else(|| unknown_column(name))
    }

    /// The columns of these attributes; of all that our login may read for [`ALL_ATTRIBUTES`].
    pub fn attributes(&self, names: &[String]) -> Result<Vec<&Column>, TargetFailure> {
        if names.iter().any(|name| name == ALL_ATTRIBUTES) {
            return Ok(self.columns.iter().filter(|column| column.readable).collect());
        }
        names.iter().map(|name| self.column(name)).collect()
    }

    /// The column by which a key names a row.
    pub fn key_column(&self, by_immutable_id: bool) -> &Column {
        self.id.as_ref().filter(|_| by_immutable_id).unwrap_or(&self.uid)
    }
}

impl State {
    pub fn column(&self) -> &Column {
        match self {
            Self::DisabledWhenTrue(column) | Self::EnabledWhenTrue(column) => column,
        }
    }

    /// What the column holds for an account that is enabled, or is not.
    pub fn holds(&self, enabled: bool) -> Value {
        match self {
            Self::DisabledWhenTrue(_) => Value::Boolean(!enabled),
            Self::EnabledWhenTrue(_) => Value::Boolean(enabled),
        }
    }
}

/// The columns that a table may name.
struct Columns<'a> {
    dialect: &'static dyn Dialect,
    columns: &'a [Column],
}

impl Columns<'_> {
    fn named(&self, name: &str) -> Result<Column, TargetFailure> {
        let found = self.columns.iter().find(|column| column.name == name);
        found.cloned().ok_or_else(|| unknown_column(name))
    }

    fn single(&self, name: &str) -> Result<Column, TargetFailure> {
        match self.named(name)? {
            column if column.is_multi_valued() => Err(wrong_type(name, "holds many values")),
            column => Ok(column),
        }
    }

    fn flag(&self, name: &str) -> Result<Column, TargetFailure> {
        self.dialect.flag(self.single(name)?).ok_or_else(|| wrong_type(name, "is not boolean"))
    }

    fn time(&self, name: &str) -> Result<Column, TargetFailure> {
        match self.single(name)? {
            column if column.kind == Kind::Timestamp => Ok(column),
            _ => Err(wrong_type(name, "holds no times")),
        }
    }

    fn time_or_flag(&self, name: &str) -> Result<Column, TargetFailure> {
        self.time(name).or_else(|_| self.flag(name))
    }

    fn version(&self, name: &str) -> Result<Column, TargetFailure> {
        match self.single(name)? {
            column if self.dialect.tells_versions_apart(&column) => Ok(column),
            _ => Err(wrong_type(name, "is too coarse for a version: two writes in a second look the same")),
        }
    }
}

fn unknown_column(name: &str) -> TargetFailure {
    refused("SQL_COLUMN", format!("the table has no column {name}"))
}

fn wrong_type(name: &str, what: &str) -> TargetFailure {
    refused("SQL_COLUMN_TYPE", format!("column {name} {what}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `people (id uuid, login text, mail varchar(99), groups text[], revision int, blocked bool)`.
    pub fn people(dialect: &'static dyn Dialect) -> Table {
        let column = |name: &str, kind, type_name: &str| Column {
            name: name.into(),
            kind,
            shape: Shape::Single,
            type_name: type_name.into(),
            element_type: type_name.into(),
            nullable: true,
            optional: true,
            generated: false,
            readable: true,
            unique: name == "id" || name == "login",
        };
        let groups = Column {
            shape: Shape::Array,
            element_type: "text".into(),
            ..column("groups", Kind::Text, "text[]")
        };
        let columns = vec![
            column("id", Kind::Text, "uuid"),
            column("login", Kind::Text, "text"),
            column("mail", Kind::Text, "character varying"),
            groups,
            column("revision", Kind::Integer, "integer"),
            column("blocked", Kind::Boolean, "boolean"),
        ];
        Table {
            dialect,
            source: format!("{}.{}", dialect.quoted("public"), dialect.quoted("people")),
            uid: columns[1].clone(),
            id: Some(columns[0].clone()),
            version: Version::Column(columns[4].clone()),
            state: Some(State::DisabledWhenTrue(columns[5].clone())),
            updated_at: None,
            deleted: None,
            row_security: false,
            statements: None,
            columns,
        }
    }
}
