//! An application that is provisioned by SCIM. Its administrator speaks SCIM, too: there is no other way in.

use anyhow::{Context, Result};
use serde_json::{Value as Json, json};
use xavyo_sandbox::scim::{Habits, ScimServer};
use xavyo_wire::pb::provisioning::{
    ConnectorSecrets, ConnectorSettings, ScimSettings, connector_settings::Kind,
};

use super::{Column, HandMade};

pub const OBJECT_CLASS: &str = "User";
const TENANT: &str = "demo";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

pub struct ScimTarget {
    server: ScimServer,
}

pub fn name(column: Column) -> &'static str {
    match column {
        Column::FullName => "displayName",
        Column::GivenName => "name.givenName",
        Column::FamilyName => "name.familyName",
        Column::Mail => "emails[type eq \"work\"].value",
        Column::Title => "title",
        Column::Department => "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        Column::Phone => "phoneNumbers[type eq \"work\"].value",
        Column::City => "addresses[type eq \"work\"].locality",
        Column::Office => "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:division",
        Column::EmployeeNumber => "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber",
    }
}

impl ScimTarget {
    pub async fn start() -> Result<Self> {
        Ok(Self { server: ScimServer::start(Habits::default()).await? })
    }

    pub fn settings(&self) -> ConnectorSettings {
        let scim = ScimSettings { base_url: self.server.url(TENANT), ..ScimSettings::default() };
        ConnectorSettings { kind: Some(Kind::Scim(scim)) }
    }

    pub fn secrets(&self) -> ConnectorSecrets {
        ConnectorSecrets {
            bearer_token: Some(self.server.secret().to_owned()),
            ..ConnectorSecrets::default()
        }
    }

    pub async fn count(&self) -> Result<u64> {
        let listed = self.ask("GET", "/Users?count=0", None).await?;
        listed["totalResults"].as_u64().context("a list has a count")
    }

    pub async fn add(&self, account: &HandMade) -> Result<()> {
        let value = |wanted: Column| {
            account.values.iter().find(|(column, _)| *column == wanted).map(|(_, value)| value.as_str())
        };
        let one_of = |field: &str, wanted: Column| {
            let element = value(wanted).map(|value| json!({"type": "work", field: value}));
            Json::from_iter(element)
        };
        let user = json!({
            "schemas": [USER, ENTERPRISE],
            "userName": account.username,
            "active": true,
            "displayName": value(Column::FullName),
            "name": {"givenName": value(Column::GivenName), "familyName": value(Column::FamilyName)},
            "title": value(Column::Title),
            "emails": one_of("value", Column::Mail),
            "phoneNumbers": one_of("value", Column::Phone),
            "addresses": one_of("locality", Column::City),
            ENTERPRISE: {
                "department": value(Column::Department),
                "division": value(Column::Office),
                "employeeNumber": value(Column::EmployeeNumber),
            },
        });
        self.ask("POST", "/Users", Some(user)).await.map(drop)
    }

    pub async fn change(&self, username: &str, column: Column, value: &str) -> Result<()> {
        self.patch(username, name(column), json!(value)).await
    }

    pub async fn disable(&self, username: &str) -> Result<()> {
        self.patch(username, "active", json!(false)).await
    }

    pub async fn remove(&self, username: &str) -> Result<()> {
        let path = format!("/Users/{}", self.id(username).await?);
        self.ask("DELETE", &path, None).await.map(drop)
    }

    async fn patch(&self, username: &str, path: &str, value: Json) -> Result<()> {
        let operations = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": path, "value": value}],
        });
        let user = format!("/Users/{}", self.id(username).await?);
        self.ask("PATCH", &user, Some(operations)).await.map(drop)
    }

    async fn id(&self, username: &str) -> Result<String> {
        let path = format!("/Users?filter=userName%20eq%20%22{username}%22");
        let listed = self.ask("GET", &path, None).await?;
        let id = listed["Resources"][0]["id"].as_str().map(str::to_owned);
        id.with_context(|| format!("no account {username}"))
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Json>) -> Result<Json> {
        self.server.ask(TENANT, method, path, body).await
    }
}
