//! A private OpenLDAP directory.

use std::collections::HashSet;

use anyhow::Result;
use ldap3::{Ldap, Mod, Scope};
use xavyo_sandbox::slapd::{BASE, CONNECTOR_DN, HOST, Options, PEOPLE, Slapd, values_by_name};
use xavyo_wire::pb::provisioning::{
    ConnectorSecrets, ConnectorSettings, LdapDialect, LdapSettings, LdapTls, connector_settings::Kind,
};

use super::{Column, HandMade};

pub const OBJECT_CLASS: &str = "inetOrgPerson";

pub struct LdapTarget {
    administrator: Ldap,
    slapd: Slapd,
}

pub fn name(column: Column) -> &'static str {
    match column {
        Column::FullName => "cn",
        Column::GivenName => "givenName",
        Column::FamilyName => "sn",
        Column::Mail => "mail",
        Column::Title => "title",
        Column::Department => "departmentNumber",
        Column::Phone => "telephoneNumber",
        Column::City => "l",
        Column::Office => "physicalDeliveryOfficeName",
        Column::EmployeeNumber => "employeeNumber",
    }
}

impl LdapTarget {
    pub async fn start() -> Result<Self> {
        let slapd = Slapd::start(&Options::default()).await?;
        Ok(Self { administrator: slapd.administrator().await?, slapd })
    }

    /// Under TLS, by the sandbox's own authority.
    pub fn settings(&self) -> ConnectorSettings {
        let ldap = LdapSettings {
            host: HOST.to_string(),
            port: self.slapd.tls_port().into(),
            tls: LdapTls::Ldaps.into(),
            ca_certificates: Some(self.slapd.ca_certificates().to_owned()),
            bind_dn: CONNECTOR_DN.to_owned(),
            base_dn: BASE.to_owned(),
            naming_attribute: "uid".to_owned(),
            create_base_dn: PEOPLE.to_owned(),
            create_object_classes: vec![OBJECT_CLASS.to_owned()],
            dialect: LdapDialect::OpenLdap.into(),
            ..LdapSettings::default()
        };
        ConnectorSettings { kind: Some(Kind::Ldap(ldap)) }
    }

    pub fn secrets(&self) -> ConnectorSecrets {
        ConnectorSecrets {
            bind_password: Some(self.slapd.password().to_owned()),
            ..ConnectorSecrets::default()
        }
    }

    pub async fn count(&self) -> Result<u64> {
        let filter = format!("(objectClass={OBJECT_CLASS})");
        let found = self.administrator.clone().search(PEOPLE, Scope::OneLevel, &filter, vec!["1.1"]).await?;
        Ok(u64::try_from(found.success()?.0.len())?)
    }

    pub async fn add(&self, account: &HandMade) -> Result<()> {
        let mut attributes = vec![("objectClass", OBJECT_CLASS)];
        attributes.extend(account.values.iter().map(|(column, value)| (name(*column), value.as_str())));
        let added =
            self.administrator.clone().add(&dn(&account.username), values_by_name(&attributes)).await?;
        added.success()?;
        Ok(())
    }

    pub async fn change(&self, username: &str, column: Column, value: &str) -> Result<()> {
        let change = Mod::Replace(name(column), HashSet::from([value]));
        self.administrator.clone().modify(&dn(username), vec![change]).await?.success()?;
        Ok(())
    }

    pub async fn remove(&self, username: &str) -> Result<()> {
        self.administrator.clone().delete(&dn(username)).await?.success()?;
        Ok(())
    }
}

fn dn(username: &str) -> String {
    format!("uid={username},{PEOPLE}")
}
