//! Opening the service: what it needs, its worker, its gRPC services.

use xavyo_core::{chain::Chain, ids::WorkerId};
use xavyo_runtime::{Runtime, Service, StartError};
use xavyo_wire::{
    descriptor,
    page::Tokens,
    pb::provisioning as pb,
    status::{Domain, serve_as, status},
};

use crate::{
    accounts::Accounts,
    audit::{AuditLog, sealer::Sealer},
    conflicts::Conflicts,
    connectors::Connectors,
    crash,
    grpc::{
        account::AccountServer, audit::AuditServer, conflict::ConflictServer, connector::ConnectorServer,
        identity::IdentityServer, operation::OperationServer,
    },
    identities::{Identities, automation::Automation},
    operations::Operations,
    pacing::Pacing,
    programs::Programs,
    retention::Retention,
    secrets::Vault,
    settings::Settings,
    targets::Targets,
    worker::{Engine, Nudge},
};

/// Opens the service and starts its worker. No database is needed yet: it is waited for.
pub async fn start(settings: Settings, runtime: &mut Runtime) -> Result<Service, StartError> {
    crash::arm();
    serve_as(Domain::Provisioning);
    let database = runtime.database.clone();
    let clock = runtime.clock.clone();
    let tokens = Tokens::new(runtime.keys.derive("xavyo provisioning page tokens v1"));
    let vault = Vault::new(runtime.keys.clone(), clock.clone());
    let programs = Programs::default();
    let worker = WorkerId(clock.new_id());
    let pacing = Pacing::shared(&database, worker);
    let targets =
        Targets::new(database.clone(), vault.clone(), programs.clone(), settings.connector_options())
            .paced_by(pacing.clone());
    runtime.tasks.spawn("pacing", |stop| pacing.run(stop));
    let nudge = Nudge::default();
    let operations =
        Operations::new(database.clone(), clock.clone(), vault.clone(), nudge.clone(), runtime.stop());
    let conflicts = Conflicts::new(database.clone(), clock.clone(), nudge.clone());
    let connectors = Connectors::new(database.clone(), clock.clone(), vault, targets.clone());
    let automation = Automation::new(database.clone(), clock.clone(), programs);
    let identities = Identities::new(database.clone(), clock.clone(), automation, nudge.clone());
    let accounts = Accounts::new(database.clone(), clock.clone(), targets.clone());
    let chain = Chain::new(runtime.keys.derive("xavyo provisioning audit chain v1"));
    let sealer = Sealer { database: database.clone(), chain: chain.clone() };
    runtime.tasks.spawn("audit sealer", |stop| sealer.run(stop));
    let audit = AuditLog::new(database.clone(), chain);
    let retention = Retention::new(database.clone(), clock.clone(), settings.kept());
    runtime.tasks.spawn("retention", |stop| retention.run(stop));
    Engine::new(worker, database, clock, targets, nudge, settings.worker_limits()).start(&mut runtime.tasks);
    Ok(Service::new(status)
        .describe(descriptor::PROVISIONING)
        .add(pb::connector_service_server::ConnectorServiceServer::new(ConnectorServer {
            connectors,
            tokens: tokens.clone(),
        }))
        .add(pb::identity_service_server::IdentityServiceServer::new(IdentityServer {
            identities,
            tokens: tokens.clone(),
        }))
        .add(pb::account_service_server::AccountServiceServer::new(AccountServer {
            accounts,
            tokens: tokens.clone(),
        }))
        .add(pb::operation_service_server::OperationServiceServer::new(OperationServer {
            operations,
            tokens: tokens.clone(),
        }))
        .add(pb::conflict_service_server::ConflictServiceServer::new(ConflictServer {
            conflicts,
            tokens: tokens.clone(),
        }))
        .add(pb::audit_service_server::AuditServiceServer::new(AuditServer { audit, tokens })))
}
