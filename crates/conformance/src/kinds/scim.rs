//! Users of scim2-server, one tenant a place: as it is, and with the habits of other servers.

use anyhow::Result;
use async_trait::async_trait;
use xavyo_connectors::Secrets;
use xavyo_core::connector::{ScimSettings, Settings};
use xavyo_sandbox::{
    proxy::Server,
    scim::{Habits, Scheme, ScimServer, USERNAME},
};

use super::{Kind, options, unique};
use crate::{Place, Words};

#[derive(Debug)]
pub struct Scim {
    name: &'static str,
    scheme: Scheme,
    server: ScimServer,
}

impl Scim {
    pub async fn start(name: &'static str, habits: Habits) -> Result<Self> {
        Ok(Self { name, scheme: habits.scheme, server: ScimServer::start(habits).await? })
    }
}

#[async_trait]
impl Kind for Scim {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn place(&self) -> Result<Place> {
        let (username, client_id, token_url, field) = match self.scheme {
            Scheme::Bearer => (None, None, None, "bearer_token"),
            Scheme::Basic => (Some(USERNAME.to_owned()), None, None, "password"),
            Scheme::Client => {
                (None, Some(USERNAME.to_owned()), Some(self.server.token_url()), "client_secret")
            }
        };
        Ok(Place {
            settings: Settings::Scim(ScimSettings {
                base_url: self.server.url(&unique("place-")),
                username,
                client_id,
                token_url,
                ca_certificates: None,
                page_size: 100,
                sentinels: Vec::new(),
            }),
            secrets: Secrets::from_iter([(field, self.server.secret())]),
            options: options(),
            words: Words {
                object_class: "User".into(),
                text: "displayName".into(),
                many: Some("entitlements".into()),
                // Two values of one, a text that is no boolean, and no attribute at all.
                refused: vec![("displayName".into(), 2), ("no such attribute".into(), 1)],
                // Reads have no body.
                decisive: Some(b"content-type: application/scim+json"),
                ..Words::default()
            },
            is_private: true,
            network: Some(Server::Tcp(self.server.address())),
        })
    }
}
