//! A directory with many people in it, and the bare limit: a paged read of the same attributes with the same library.

use std::time::{Duration, Instant};

use anyhow::Result;
use ldap3::{
    Ldap, LdapConnAsync, Scope, SearchEntry,
    adapters::{Adapter, EntriesOnly, PagedResults},
};
use tokio::task::JoinSet;
use xavyo_sandbox::slapd::{BASE, CONNECTOR_DN, HOST, Options, PEOPLE, Slapd, values_by_name};
use xavyo_wire::pb::provisioning as pb;

use super::town::connector;

const OBJECT_CLASS: &str = "inetOrgPerson";
const ATTRIBUTES: [&str; 10] = [
    "cn",
    "sn",
    "givenName",
    "mail",
    "title",
    "departmentNumber",
    "telephoneNumber",
    "l",
    "physicalDeliveryOfficeName",
    "employeeNumber",
];
/// What a connector reads beside what is mapped: its names, and whether it is enabled.
const NAMES: [&str; 2] = ["uid", "entryUUID"];
const PAGE: i32 = 1_000;
/// Entries that are added at once.
const FILLERS: usize = 8;

pub struct Directory {
    slapd: Slapd,
}

/// What a bare read took.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    pub accounts: usize,
    pub took: Duration,
}

impl Directory {
    pub async fn fill(accounts: usize) -> Result<Self> {
        let slapd = Slapd::start(&Options::default()).await?;
        let mut fillers = JoinSet::new();
        for filler in 0..FILLERS {
            let administrator = slapd.administrator().await?;
            fillers.spawn(add_some(administrator, filler, accounts));
        }
        while let Some(filled) = fillers.join_next().await {
            filled??;
        }
        Ok(Self { slapd })
    }

    /// In clear text, as the bare read.
    pub fn connector(&self) -> pb::CreateConnectorRequest {
        let ldap = pb::LdapSettings {
            host: HOST.to_string(),
            port: self.slapd.port().into(),
            tls: pb::LdapTls::None.into(),
            bind_dn: CONNECTOR_DN.to_owned(),
            base_dn: BASE.to_owned(),
            naming_attribute: "uid".to_owned(),
            create_base_dn: PEOPLE.to_owned(),
            create_object_classes: vec![OBJECT_CLASS.to_owned()],
            dialect: pb::LdapDialect::OpenLdap.into(),
            page_size: PAGE,
            ..pb::LdapSettings::default()
        };
        let request = connector(pb::connector_settings::Kind::Ldap(ldap), OBJECT_CLASS, &ATTRIBUTES);
        let bind_password = Some(self.slapd.password().to_owned());
        let secrets = Some(pb::ConnectorSecrets { bind_password, ..pb::ConnectorSecrets::default() });
        pb::CreateConnectorRequest { secrets, ..request }
    }

    /// Everything, page by page, as the connector's own login; what is read is only counted.
    pub async fn read(&self) -> Result<Read> {
        let (connection, mut ldap) =
            LdapConnAsync::new(&format!("ldap://{HOST}:{}", self.slapd.port())).await?;
        ldap3::drive!(connection);
        ldap.simple_bind(CONNECTOR_DN, self.slapd.password()).await?.success()?;
        let started = Instant::now();
        let adapters: Vec<Box<dyn Adapter<_, _>>> =
            vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(PAGE))];
        let filter = format!("(objectClass={OBJECT_CLASS})");
        let wanted: Vec<&str> = ATTRIBUTES.into_iter().chain(NAMES).collect();
        let mut search = ldap.streaming_search_with(adapters, BASE, Scope::Subtree, &filter, wanted).await?;
        let mut accounts = 0;
        while let Some(entry) = search.next().await? {
            let entry = SearchEntry::construct(entry);
            accounts += usize::from(!entry.dn.is_empty());
        }
        search.finish().await.success()?;
        let took = started.elapsed();
        ldap.unbind().await?;
        Ok(Read { accounts, took })
    }
}

/// Every so-manieth of them.
async fn add_some(mut administrator: Ldap, from: usize, accounts: usize) -> Result<()> {
    for number in (from..accounts).step_by(FILLERS) {
        let uid = format!("user{number:06}");
        let employee = (100_000 + number).to_string();
        let (mail, phone) = (format!("{uid}@example.com"), format!("+49 30 {number:07}"));
        let (cn, office) = (format!("Given{number} Family{number}"), format!("Floor {}", number % 40));
        let (given, family) = (format!("Given{number}"), format!("Family{number}"));
        let entry = [
            ("objectClass", OBJECT_CLASS),
            ("uid", uid.as_str()),
            ("cn", &cn),
            ("sn", &family),
            ("givenName", &given),
            ("mail", &mail),
            ("title", "Engineer"),
            ("departmentNumber", "Engineering"),
            ("telephoneNumber", &phone),
            ("l", "Berlin"),
            ("physicalDeliveryOfficeName", &office),
            ("employeeNumber", &employee),
        ];
        administrator.add(&format!("uid={uid},{PEOPLE}"), values_by_name(&entry)).await?.success()?;
    }
    Ok(administrator.unbind().await?)
}
