//! Opening the service: what it needs, its worker, its gRPC services.

use tokio_util::task::TaskTracker;
use xavyo_core::chain::Chain;
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
    actions::{Actions, sealer::Sealer},
    crash,
    discrepancies::Discrepancies,
    grpc::{action::ActionServer, discrepancy::DiscrepancyServer, run::RunServer, schedule::ScheduleServer},
    ignores::Ignores,
    nudge::Nudges,
    provisioning::Provisioning,
    remediation::Remediations,
    runs::Runs,
    schedules::Schedules,
    secret_values::SecretValues,
    settings::Settings,
    trend::Trends,
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
        provisioning: provisioning.clone(),
        nudges,
        lease,
        busy,
        secret_values,
        remediations: remediations.clone(),
        limits: settings.limits(),
    };
    engine.start(&mut runtime.tasks);
    let schedules = Schedules {
        database: database.clone(),
        clock: runtime.clock.clone(),
        provisioning,
        runs: runs.clone(),
    };
    let (fired, look_every) = (schedules.clone(), settings.limits().poll);
    runtime.tasks.spawn("schedules", move |stop| fired.run(look_every, stop));

    let tokens = Tokens::new(runtime.keys.derive("xavyo reconciliation page tokens v1"));
    let run = RunServer { runs, tokens: tokens.clone(), stop: runtime.stop() };
    let discrepancies = Discrepancies { database: database.clone() };
    let ignores = Ignores { database: database.clone(), clock: runtime.clock.clone() };
    let trends = Trends { database: database.clone(), clock: runtime.clock.clone() };
    let discrepancy =
        DiscrepancyServer { discrepancies, remediations, ignores, trends, tokens: tokens.clone() };
    let schedule = ScheduleServer { schedules, tokens: tokens.clone() };
    let chain = Chain::new(runtime.keys.derive("xavyo reconciliation audit chain v1"));
    let sealer = Sealer { database: database.clone(), chain: chain.clone() };
    runtime.tasks.spawn("sealer", |stop| sealer.run(stop));
    let action = ActionServer { actions: Actions { database, chain }, tokens };
    Ok(Service::new(status)
        .describe(descriptor::RECONCILIATION)
        .add(RunServiceServer::new(run))
        .add(DiscrepancyServiceServer::new(discrepancy))
        .add(ScheduleServiceServer::new(schedule))
        .add(ActionServiceServer::new(action)))
}
