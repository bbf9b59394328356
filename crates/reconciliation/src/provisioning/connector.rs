//! Connectors as reconciliation needs them: by what rules a run judges, within which limits it acts.

use xavyo_core::{
    connector::{Mode, ObjectType, Policies},
    error::Result,
    ids::ConnectorId,
    mapping::Program,
};
use xavyo_wire::{
    Fields, object_type,
    pb::provisioning::{self as pb, connector_service_client::ConnectorServiceClient},
    policy,
};

use super::{Session, failed, lacks, malformed};

/// A connector's rules at one revision.
#[derive(Clone, Debug)]
pub struct ConnectorView {
    pub id: ConnectorId,
    pub name: String,
    pub revision: i32,
    pub mode: Mode,
    pub is_paused: bool,
    pub policies: Policies,
    /// One of each kind of account, compiled.
    pub programs: Vec<Program>,
}

impl Session {
    /// NOT_FOUND passes through.
    pub async fn connector(&self, id: ConnectorId) -> Result<ConnectorView> {
        let request = pb::GetConnectorRequest { connector_id: id.to_string() };
        let mut client = ConnectorServiceClient::new(self.channel.clone());
        let answer = client.get_connector(self.request(request)).await.map_err(failed)?;
        let connector = answer.into_inner().connector.ok_or_else(|| lacks("the connector"))?;
        parse(id, connector)
    }

    /// Whether the target answers, and takes our credentials.
    pub async fn is_reachable(&self, id: ConnectorId) -> Result<bool> {
        let request = pb::CheckConnectionRequest { connector_id: id.to_string() };
        let mut client = ConnectorServiceClient::new(self.channel.clone());
        let answer = client.check_connection(self.request(request)).await.map_err(failed)?;
        Ok(answer.into_inner().ok)
    }
}

impl ConnectorView {
    /// The rules of one kind of account. None: the connector no longer has it.
    pub fn program(&self, object_class: &str, intent: &str) -> Option<&Program> {
        let is_it = |kind: &ObjectType| kind.object_class == object_class && kind.intent == intent;
        self.programs.iter().find(|program| is_it(program.object_type()))
    }
}

fn parse(id: ConnectorId, connector: pb::Connector) -> Result<ConnectorView> {
    let mut fields = Fields::default();
    let object_types = object_type::all_of_pb(&mut fields, connector.object_types);
    let policies = policy::of_pb(&mut fields, connector.policies);
    let mode = fields.choice("mode", connector.mode).unwrap_or_default();
    let (object_types, policies) = fields.finish((object_types, policies)).map_err(malformed)?;
    Ok(ConnectorView {
        id,
        name: connector.name,
        revision: connector.revision,
        mode,
        is_paused: connector.paused,
        policies,
        programs: object_types.iter().map(Program::compile).collect::<Result<_>>().map_err(malformed)?,
    })
}
