//! Stores in this process.

use anyhow::Result;
use async_trait::async_trait;
use xavyo_connectors::Secrets;
use xavyo_core::connector::{MemorySettings, Settings};

use super::{Kind, options, unique};
use crate::{Place, Words};

#[derive(Debug)]
pub struct Memory;

#[async_trait]
impl Kind for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn place(&self) -> Result<Place> {
        Ok(Place {
            settings: Settings::Memory(MemorySettings {
                store: unique("conformance-"),
                ..Default::default()
            }),
            secrets: Secrets::default(),
            options: options(),
            words: Words {
                object_class: "account".into(),
                text: "display_name".into(),
                many: Some("groups".into()),
                ..Words::default()
            },
            is_private: true,
            network: None,
        })
    }
}
