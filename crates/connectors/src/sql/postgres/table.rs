//! The table of the settings, as the catalogue describes it.

use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};
use xavyo_core::connector::{FailureKind, SqlSettings, TargetFailure};

use super::{failure::Trouble, statement::quoted};
use crate::{
    ALL_ATTRIBUTES,
    sql::column::{Column, Kind},
};

/// Columns of one relation; also what kind of relation it is, and whether row-level security narrows what we see.
const DESCRIBE: &str = "
select a.attname::text,
       format_type(a.atttypid, -1),
       format_type(coalesce(element.oid, a.atttypid), -1),
       coalesce(element.typname, base.typname)::text,
       element.oid is not null,
       not a.attnotnull,
       has_column_privilege(c.oid, a.attnum, 'select'),
       exists (
         select from pg_index i
          where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null
            and i.indnkeyatts = 1 and i.indkey[0] = a.attnum),
       c.relkind::text,
       row_security_active(c.oid)
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  join pg_type t on t.oid = a.atttypid
  join pg_type base on base.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
  left join pg_type element on element.oid = base.typelem and base.typcategory = 'A'
 where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f')
 order by a.attnum";

#[derive(Debug)]
pub(super) struct Table {
    /// Schema and table, quoted.
    pub name: String,
    pub columns: Vec<Column>,
    pub uid: Column,
    pub id: Option<Column>,
    pub version: Version,
    pub state: Option<State>,
    /// Rows may be hidden from our login.
    pub row_security: bool,
}

/// What tells one version of a row from the next.
#[derive(Debug)]
pub(super) enum Version {
    Column(Column),
    /// The row's own transaction id: every write of anybody changes it. Ordinary tables have it.
    Xmin,
    None,
}

/// The boolean column that says whether an account is enabled.
#[derive(Debug)]
pub(super) enum State {
    DisabledWhenTrue(Column),
    EnabledWhenTrue(Column),
}

impl Table {
    /// Asks the catalogue. Fails with `Refused` where the settings name what is not there.
    pub async fn describe(connection: &mut PgConnection, settings: &SqlSettings) -> Result<Self, Trouble> {
        let rows = sqlx::query(AssertSqlSafe(DESCRIBE))
            .bind(&settings.schema)
            .bind(&settings.table)
            .fetch_all(connection)
            .await?;
        let Some(first) = rows.first() else {
            return Err(
                refused("SQL_TABLE", format!("no table {}.{}", settings.schema, settings.table)).into()
            );
        };
        let (relation, row_security): (String, bool) = (first.try_get(8)?, first.try_get(9)?);
        let columns = rows.iter().map(column).collect::<Result<Vec<Column>, sqlx::Error>>()?;
        let named = |name: &String| {
            let found = columns.iter().find(|column| column.name == *name);
            found.cloned().ok_or_else(|| unknown_column(name))
        };
        let boolean = |name: &String| match named(name)? {
            column if column.kind == Kind::Boolean && !column.multi_valued => Ok(column),
            _ => Err(refused("SQL_COLUMN_TYPE", format!("column {name} is not boolean"))),
        };
        let single = |name: &String| match named(name)? {
            column if column.multi_valued => {
                Err(refused("SQL_COLUMN_TYPE", format!("column {name} holds many values")))
            }
            column => Ok(column),
        };
        let version = match &settings.version_column {
            Some(name) => Version::Column(single(name)?),
            None if relation == "r" => Version::Xmin,
            None => Version::None,
        };
        let disabled =
            settings.disabled_column.as_ref().map(boolean).transpose()?.map(State::DisabledWhenTrue);
        let enabled = settings.enabled_column.as_ref().map(boolean).transpose()?.map(State::EnabledWhenTrue);
        Ok(Self {
            name: format!("{}.{}", quoted(&settings.schema), quoted(&settings.table)),
            uid: single(&settings.uid_column)?,
            id: settings.id_column.as_ref().map(single).transpose()?,
            version,
            state: disabled.or(enabled),
            row_security,
            columns,
        })
    }

    /// What a person wants to know before trusting it.
    pub fn summary(&self) -> String {
        let uid = if self.uid.unique { "unique" } else { "not declared unique" };
        let version = match &self.version {
            Version::Column(column) => column.name.as_str(),
            Version::Xmin => "xmin",
            Version::None => "none",
        };
        let hidden = if self.row_security { "; row-level security may hide rows" } else { "" };
        format!("{}: {} columns, uid {uid}, version {version}{hidden}", self.name, self.columns.len())
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

fn column(row: &PgRow) -> Result<Column, sqlx::Error> {
    let base: String = row.try_get(3)?;
    Ok(Column {
        name: row.try_get(0)?,
        type_name: row.try_get(1)?,
        element_type: row.try_get(2)?,
        kind: match base.as_str() {
            "int2" | "int4" | "int8" | "oid" => Kind::Integer,
            "float4" | "float8" => Kind::Double,
            "numeric" => Kind::Numeric,
            "bool" => Kind::Boolean,
            "timestamp" | "timestamptz" => Kind::Timestamp,
            "bytea" => Kind::Binary,
            _ => Kind::Text,
        },
        multi_valued: row.try_get(4)?,
        nullable: row.try_get(5)?,
        readable: row.try_get(6)?,
        unique: row.try_get(7)?,
    })
}

fn unknown_column(name: &str) -> TargetFailure {
    refused("SQL_COLUMN", format!("the table has no column {name}"))
}

pub(super) fn refused(code: &str, message: String) -> TargetFailure {
    TargetFailure::new(FailureKind::Refused, code, message)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `people (id uuid, login text, mail varchar(99), groups text[], revision int, blocked bool)`.
    pub fn people() -> Table {
        let column = |name: &str, kind, type_name: &str| Column {
            name: name.into(),
            kind,
            multi_valued: false,
            type_name: type_name.into(),
            element_type: type_name.into(),
            nullable: true,
            readable: true,
            unique: name == "id" || name == "login",
        };
        let groups = Column {
            multi_valued: true,
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
            name: "\"public\".\"people\"".into(),
            uid: columns[1].clone(),
            id: Some(columns[0].clone()),
            version: Version::Column(columns[4].clone()),
            state: Some(State::DisabledWhenTrue(columns[5].clone())),
            row_security: false,
            columns,
        }
    }
}
