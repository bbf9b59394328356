//! The connector in Python that the tree comes with, one file of it a place.

use anyhow::Result;
use async_trait::async_trait;
use xavyo_connectors::Secrets;
use xavyo_core::connector::{RemoteSettings, Settings};
use xavyo_sandbox::{csv_connector::CsvConnector, proxy::Server};

use super::{Kind, options, unique};
use crate::{Place, Words};

#[derive(Debug)]
pub struct Remote {
    name: &'static str,
    connector: CsvConnector,
}

impl Remote {
    pub async fn start() -> Result<Self> {
        Ok(Self { name: "remote", connector: CsvConnector::start().await? })
    }

    pub async fn start_with_mutual_tls() -> Result<Self> {
        Ok(Self { name: "remote-mtls", connector: CsvConnector::start_with_mutual_tls().await? })
    }
}

#[async_trait]
impl Kind for Remote {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn place(&self) -> Result<Place> {
        let object_class = unique("people");
        self.connector.make_class(&object_class, &["display_name", "mail", "groups[]"])?;
        let client = self.connector.client();
        let mut secrets = vec![("bearer_token", self.connector.token().to_owned())];
        secrets.extend(client.map(|client| ("client_key", client.key_pem.clone())));
        Ok(Place {
            settings: Settings::Remote(RemoteSettings {
                url: self.connector.url(),
                ca_certificates: Some(self.connector.ca_certificates().to_owned()),
                client_certificate: client.map(|client| client.certificate_pem.clone()),
                sentinels: Vec::new(),
            }),
            secrets: Secrets::from_iter(secrets),
            options: options(),
            words: Words {
                object_class,
                text: "display_name".into(),
                many: Some("groups".into()),
                // Two values of one, and a column that the file lacks.
                refused: vec![("display_name".into(), 2), ("no-such-column".into(), 1)],
                ..Words::default()
            },
            is_private: true,
            network: Some(Server::Tcp(self.connector.address())),
        })
    }
}
