//! What scenarios do again and again.

use std::time::Duration;

use tonic::Status;
use uuid::Uuid;
use xavyo_sandbox::ledger;
use xavyo_wire::pb::{
    google::{Struct, value::Kind},
    provisioning as pp, reconciliation as pr,
};

use crate::{Clients, World};

/// A safety net: what takes longer has gone wrong.
const PATIENCE: Duration = Duration::from_secs(20);

/// Attributes of text.
pub fn set(attributes: &[(&str, &str)]) -> Struct {
    let fields = attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Kind::StringValue((*value).to_owned()).into()))
        .collect();
    Struct { fields }
}

/// A connector over a memory target of its own: accounts are named by `login`, hold `mail` and `title`, and are
/// recognised by their mail. Mode `manual`, deletes allowed, no guard.
pub fn memory_connector() -> pp::CreateConnectorRequest {
    let name = format!("m{}", Uuid::from_u128(xavyo_runtime::Clock::system().new_id().as_u128()).simple());
    let rule = |name: &str| pp::AttributeRule {
        name: name.to_owned(),
        expression: format!("identity.{name}"),
        inverse: Some(pp::Inverse {
            identity_attribute: name.to_owned(),
            expression: format!("account.{name}"),
        }),
        ..pp::AttributeRule::default()
    };
    let by_mail = pp::CorrelationRule {
        expression: "identity.mail".to_owned(),
        attribute: "mail".to_owned(),
        weight: 10,
        ..pp::CorrelationRule::default()
    };
    let unlimited = Some(pp::GuardLimit { limit: Some(pp::guard_limit::Limit::None(pp::NoLimit {})) });
    pp::CreateConnectorRequest {
        name: name.clone(),
        mode: pp::ConnectorMode::Manual.into(),
        settings: Some(pp::ConnectorSettings {
            kind: Some(pp::connector_settings::Kind::Memory(pp::MemorySettings {
                store: name,
                ..pp::MemorySettings::default()
            })),
        }),
        object_types: vec![pp::ObjectType {
            object_class: "account".to_owned(),
            naming: "identity.login".to_owned(),
            mapping: vec![rule("mail"), rule("title")],
            correlation: Some(pp::CorrelationPolicy { rules: vec![by_mail], threshold: 10 }),
            ..pp::ObjectType::default()
        }],
        policies: Some(pp::Policies {
            allowed_actions: Some(pp::AllowedActions { delete: Some(true), ..pp::AllowedActions::default() }),
            guard: Some(pp::GuardPolicy {
                destructive: unlimited,
                constructive: unlimited,
                four_eyes: false,
            }),
            skip_first_run: true,
            ..pp::Policies::default()
        }),
        ..pp::CreateConnectorRequest::default()
    }
}

/// An update of one attribute of the account with that uid.
pub fn update_of(connector: &str, uid: &str, mail: &str) -> pp::CreateOperationRequest {
    pp::CreateOperationRequest {
        connector_id: connector.to_owned(),
        operation_type: pp::OperationType::Update.into(),
        object_class: "account".to_owned(),
        target_uid: Some(uid.to_owned()),
        payload: Some(set(&[("mail", mail)])),
        ..pp::CreateOperationRequest::default()
    }
}

impl World {
    /// A memory connector, changed as the test likes; its id.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn connector(&self, change: impl FnOnce(&mut pp::CreateConnectorRequest)) -> String {
        let mut request = memory_connector();
        change(&mut request);
        let made = self.admin.connectors.clone().create_connector(request).await.expect("a sound connector");
        made.into_inner().connector.expect("the answer has it").id
    }

    /// A memory connector that meets these faults, each (call, kind, times).
    pub async fn failing_connector(&self, faults: &[(&str, &str, i32)]) -> String {
        let faults = faults
            .iter()
            .map(|(call, kind, times)| pp::MemoryFault {
                call: (*call).to_owned(),
                kind: (*kind).to_owned(),
                times: *times,
            })
            .collect();
        self.connector(|request| {
            if let Some(pp::connector_settings::Kind::Memory(memory)) =
                request.settings.as_mut().and_then(|settings| settings.kind.as_mut())
            {
                memory.faults = faults;
            }
        })
        .await
    }

    /// A person with that login, mail and title; the identity's id.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn person(&self, login: &str, mail: &str, title: &str) -> String {
        let request = pp::CreateIdentityRequest {
            source_key: Some(login.to_owned()),
            attributes: Some(set(&[("login", login), ("mail", mail), ("title", title)])),
            ..pp::CreateIdentityRequest::default()
        };
        let made = self.admin.identities.clone().create_identity(request).await.expect("a sound identity");
        made.into_inner().identity.expect("the answer has it").id
    }

    /// What the connector's memory target says was written there, in its own order: `create ann`.
    ///
    /// # Panics
    /// If the connector is unknown, or not over a memory target.
    pub async fn writes(&self, connector: &str) -> Vec<String> {
        let request = pp::GetConnectorRequest { connector_id: connector.to_owned() };
        let found =
            self.admin.connectors.clone().get_connector(request).await.expect("the connector is there");
        let settings = found.into_inner().connector.and_then(|connector| connector.settings?.kind);
        let Some(pp::connector_settings::Kind::Memory(memory)) = settings else { panic!("no memory target") };
        let journals = self.ground().directory().join("memory");
        let id = connector.parse().expect("an id is a UUID");
        let ledger =
            ledger::memory::read(id, &journals, &memory.store).expect("a memory target keeps a ledger");
        let applied = ledger.writes.iter().filter(|write| write.applied);
        applied.map(|write| format!("{} {}", write.call.name(), write.external_uid)).collect()
    }

    /// An account that nobody owns, made by an operation of its own.
    pub async fn stray(&self, connector: &str, uid: &str, mail: &str, title: &str) {
        let mut request = update_of(connector, uid, mail);
        request.operation_type = pp::OperationType::Create.into();
        request.payload = Some(set(&[("mail", mail), ("title", title)]));
        let id = self.admin.accept(request).await;
        self.admin.ended(&id).await;
    }

    /// The person's account, made and linked.
    pub async fn account_of(&self, connector: &str, person: &str) {
        let request = pp::CreateOperationRequest {
            connector_id: connector.to_owned(),
            operation_type: pp::OperationType::Create.into(),
            object_class: "account".to_owned(),
            user_id: Some(person.to_owned()),
            ..pp::CreateOperationRequest::default()
        };
        let id = self.admin.accept(request).await;
        self.admin.ended(&id).await;
    }

    /// A full run to its end.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn full_run(&self, connector: &str, dry_run: bool) -> pr::ReconciliationRun {
        let request = pr::StartRunRequest {
            connector_id: connector.to_owned(),
            mode: pr::ReconciliationMode::Full.into(),
            dry_run,
            ..pr::StartRunRequest::default()
        };
        let run = self.admin.runs.clone().start_run(request).await.expect("a run starts").into_inner();
        self.admin.run_ended(&run.run.expect("the answer has it").id).await
    }
}

impl Clients {
    /// The id of an operation that must be accepted.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn accept(&self, request: pp::CreateOperationRequest) -> String {
        let made = self.operations.clone().create_operation(request).await.expect("a sound operation");
        made.into_inner().operation.expect("the answer has it").id
    }

    /// # Errors
    /// As GetOperation.
    pub async fn operation(&self, id: &str) -> Result<pp::ProvisioningOperation, Status> {
        let request = pp::GetOperationRequest { operation_id: id.to_owned() };
        let found = self.operations.clone().get_operation(request).await?.into_inner();
        Ok(found.operation.expect("the answer has it"))
    }

    /// The operation once it has moved to that state, followed by its watch; it may have moved on since. A claim shows in no
    /// watch until it ends: for that there is [`Self::claimed`].
    ///
    /// # Panics
    /// If it does not within some seconds.
    pub async fn reaches(&self, id: &str, status: pp::OperationStatus) -> pp::ProvisioningOperation {
        let Ok(moved) = tokio::time::timeout(PATIENCE, self.moved(id, status)).await else {
            panic!("not {status:?} but {:?}", self.operation(id).await);
        };
        moved
    }

    async fn moved(&self, id: &str, status: pp::OperationStatus) -> pp::ProvisioningOperation {
        let request = pp::WatchOperationsRequest {
            operation_id: Some(id.to_owned()),
            statuses: vec![status.into()],
            ..pp::WatchOperationsRequest::default()
        };
        let watched = self.operations.clone().watch_operations(request).await;
        let mut moves = watched.expect("an operation is watched").into_inner();
        // The watch begins with a bookmark: from here on it misses nothing, and what was before is read.
        moves.message().await.expect("a watch begins").expect("it has no end");
        let now = self.operation(id).await.expect("the operation is there");
        if now.status() == status {
            return now;
        }
        loop {
            let message = moves.message().await.expect("the watch goes on").expect("it has no end");
            if let Some(pp::watch_operations_response::Event::Change(change)) = message.event {
                return change.operation.expect("a change has it");
            }
        }
    }

    /// Waits until a worker has claimed the operation.
    ///
    /// # Panics
    /// If none does within some seconds.
    pub async fn claimed(&self, id: &str) {
        let claimed = async {
            while self.operation(id).await.expect("the operation is there").status()
                != pp::OperationStatus::InProgress
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, claimed).await.expect("a worker claims it");
    }

    /// The operation once it is completed.
    pub async fn ended(&self, id: &str) -> pp::ProvisioningOperation {
        self.reaches(id, pp::OperationStatus::Completed).await
    }

    /// The run once it has ended, followed by its watch.
    ///
    /// # Panics
    /// If the watch ends before the run does.
    pub async fn run_ended(&self, id: &str) -> pr::ReconciliationRun {
        let request = pr::WatchRunRequest { run_id: id.to_owned(), ..pr::WatchRunRequest::default() };
        let mut watched = self.runs.clone().watch_run(request).await.expect("a run is watched").into_inner();
        let mut last = None;
        while let Some(message) = watched.message().await.expect("the watch goes on to the end") {
            if let Some(pr::watch_run_response::Event::Run(run)) = message.event {
                last = Some(run);
            }
        }
        last.expect("a watch ends with the final state")
    }

    /// Every discrepancy of a run.
    ///
    /// # Panics
    /// If they cannot be listed.
    pub async fn discrepancies_of(&self, run: &str) -> Vec<pr::Discrepancy> {
        let request = pr::ListDiscrepanciesRequest {
            run_id: Some(run.to_owned()),
            page_size: 1_000,
            ..pr::ListDiscrepanciesRequest::default()
        };
        let listed = self.discrepancies.clone().list_discrepancies(request).await.expect("a list");
        listed.into_inner().discrepancies
    }
}
