//! Subtrees of a slapd, one a place.

use std::net::SocketAddr;

use anyhow::Result;
use async_trait::async_trait;
use xavyo_connectors::Secrets;
use xavyo_core::{
    connector::{LdapDialect, LdapSettings, LdapTls, Settings},
    value::{Attributes, Value},
};
use xavyo_sandbox::{
    proxy::Server,
    slapd::{self, Overlay, Slapd},
};

use super::{Kind, options, unique};
use crate::{Place, Words};

#[derive(Debug)]
pub struct Directory {
    name: &'static str,
    tls: LdapTls,
    slapd: Slapd,
}

impl Directory {
    pub async fn start(name: &'static str, tls: LdapTls) -> Result<Self> {
        // Over LDAPS as many administrators have it: with a log of changes, and a policy that locks accounts.
        let overlays = match tls {
            LdapTls::Ldaps => vec![Overlay::PasswordPolicy, Overlay::Changes],
            LdapTls::StartTls | LdapTls::None => Vec::new(),
        };
        let options = slapd::Options { overlays, ..slapd::Options::default() };
        Ok(Self { name, tls, slapd: Slapd::start(&options).await? })
    }
}

#[async_trait]
impl Kind for Directory {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn place(&self) -> Result<Place> {
        let mut place = place(&self.slapd, self.tls).await?;
        if let (Settings::Ldap(settings), LdapTls::Ldaps) = (&mut place.settings, self.tls) {
            (settings.disabled_attribute, settings.disabled_value) = (None, None);
        }
        Ok(place)
    }
}

/// A new subtree, reached in this way.
pub async fn place(slapd: &Slapd, tls: LdapTls) -> Result<Place> {
    let base = format!("ou={},{}", unique("place-"), slapd::PEOPLE);
    let unit = slapd::values_by_name(&[("objectClass", "organizationalUnit")]);
    let mut administrator = slapd.administrator().await?;
    administrator.add(&base, unit).await?.success()?;
    administrator.unbind().await?;
    let port = if tls == LdapTls::Ldaps { slapd.tls_port() } else { slapd.port() };
    let required = |name: &str| (name.to_owned(), vec![Value::from("required")]);
    Ok(Place {
        settings: Settings::Ldap(LdapSettings {
            host: slapd::HOST.to_string(),
            port,
            tls,
            ca_certificates: Some(slapd.ca_certificates().to_owned()),
            bind_dn: slapd::CONNECTOR_DN.to_owned(),
            base_dn: base.clone(),
            filter: String::new(),
            naming_attribute: "uid".to_owned(),
            create_base_dn: base,
            create_object_classes: vec!["inetOrgPerson".to_owned()],
            dialect: LdapDialect::Detect,
            page_size: 500,
            disabled_attribute: Some("employeeType".to_owned()),
            disabled_value: Some("disabled".to_owned()),
            sentinels: Vec::new(),
            group_base_dn: None,
        }),
        secrets: Secrets::from_iter([("bind_password", slapd.password())]),
        options: options(),
        words: Words {
            object_class: "inetOrgPerson".into(),
            text: "displayName".into(),
            many: Some("description".into()),
            required: Attributes::from([required("cn"), required("sn")]),
            // Two values of one, a text that is no name, and an attribute that no schema knows.
            refused: vec![("displayName".into(), 2), ("manager".into(), 1), ("no-such-attribute".into(), 1)],
            decisive: None,
        },
        is_private: true,
        network: Some(Server::Tcp(SocketAddr::from((slapd::HOST, port)))),
    })
}
