//! Opening the service: what it needs, its worker, its gRPC services.

use tokio_util::task::TaskTracker;
use xavyo_runtime::{Runtime, Service, StartError};
use xavyo_wire::{
    descriptor,
    page::Tokens,
    pb::reconciliation::{
        action_service_server::ActionServiceServer, discrepancy_service_server::DiscrepancyServiceServer,
        run_service_server::RunServiceServer, schedule_service_server::ScheduleServiceServer,
    },
    status::{Domain, serve_as, status},
};

use crate::{
    actions::Actions,
    crash,
    discrepancies::Discrepancies,
    grpc::{action::ActionServer, discrepancy::DiscrepancyServer, run::RunServer, schedule::ScheduleServer},
    nudge::Nudges,
    provisioning::Provisioning,
    remediation::Remediations,
    runs::Runs,
    secret_values::SecretValues,
    settings::Settings,
    worker::{Busy, Engine, lease::Lease},
};

/// Opens the service and starts its worker. Neither the database nor the other service is needed yet: they are waited for.
pub async fn start(settings: Settings, runtime: &mut Runtime) -> Result<Service, StartError> {
    crash::arm();
    serve_as(Domain::Reconciliation);
    let (database, clock) = (runtime.database.clone(), runtime.clock.clone());
    let provisioning = Provisioning::open(&settings.provisioning)?;
    runtime.watch("service token", provisioning.token());
    let nudges = Nudges::new();
    let (lease, busy) = (Lease::new(clock.new_id().into()), Busy::default());
    let secret_values = SecretValues::new(&runtime.keys);
    let remediations = Remediations {
        database: database.clone(),
        clock: clock.clone(),
        provisioning: provisioning.clone(),
        lease: lease.clone(),
        busy: busy.clone(),
        secret_values: secret_values.clone(),
        tasks: TaskTracker::new(),
        stop: runtime.stop(),
    };
    let runs = Runs {
        database: database.clone(),
        clock: clock.clone(),
        provisioning: provisioning.clone(),
        nudges: nudges.clone(),
    };
    let engine = Engine {
        database: database.clone(),
        clock,
        provisioning,
        nudges,
        lease,
        busy,
        secret_values,
        remediations: remediations.clone(),
        limits: settings.limits(),
    };
    engine.start(&mut runtime.tasks);

    let tokens = Tokens::new(runtime.keys.derive("xavyo reconciliation page tokens v1"));
    let run = RunServer { runs, tokens: tokens.clone(), stop: runtime.stop() };
    let discrepancies = Discrepancies { database: database.clone() };
    let discrepancy = DiscrepancyServer { discrepancies, remediations, tokens: tokens.clone() };
    let action = ActionServer { actions: Actions { database }, tokens };
    Ok(Service::new(status)
        .describe(descriptor::RECONCILIATION)
        .add(RunServiceServer::new(run))
        .add(DiscrepancyServiceServer::new(discrepancy))
        .add(ScheduleServiceServer::new(ScheduleServer))
        .add(ActionServiceServer::new(action)))
}
