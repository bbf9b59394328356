//! What a service hands to the server: its gRPC services, and what tools need to know of them.

use std::{convert::Infallible, fmt};

use tonic::{
    Status,
    body::Body,
    codegen::http::{Request, Response},
    server::NamedService,
    service::Routes,
};
use tonic_health::server::{HealthReporter, health_reporter};
use xavyo_core::Error;

use crate::StartError;

/// Built by the service's `start`: `Service::new(wire::status).describe(…).add(…).add(…)`.
pub struct Service {
    routes: Routes,
    pub(super) names: Vec<&'static str>,
    descriptors: Vec<&'static [u8]>,
    /// The one table from errors to statuses, for what the gate itself has to answer.
    pub(super) status: fn(Error) -> Status,
}

impl Service {
    pub fn new(status: fn(Error) -> Status) -> Self {
        let descriptors = vec![tonic_types::pb::FILE_DESCRIPTOR_SET, tonic_health::pb::FILE_DESCRIPTOR_SET];
        Self { routes: Routes::default(), names: Vec::new(), descriptors, status }
    }

    /// Adds an encoded `FileDescriptorSet` for reflection. Files that are in several sets do no harm.
    #[must_use]
    pub fn describe(mut self, descriptors: &'static [u8]) -> Self {
        self.descriptors.push(descriptors);
        self
    }

    /// Adds one generated server. Its name is the one that health reports.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "a list grows; it is no sum")]
    pub fn add<S>(mut self, service: S) -> Self
    where
        S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.routes = self.routes.add_service(service);
        self.names.push(S::NAME);
        self
    }

    /// Everything that is served: the services, health, and reflection in both versions.
    pub(super) fn routes(&self) -> Result<(Routes, HealthReporter), StartError> {
        let reflection = || {
            let builder = tonic_reflection::server::Builder::configure();
            self.descriptors
                .iter()
                .fold(builder, |builder, set| builder.register_encoded_file_descriptor_set(set))
        };
        // Nothing serves before `health` has asked the database; the empty name is the process as a whole.
        let (reporter, health) = health_reporter();
        let routes = self
            .routes
            .clone()
            .add_service(health)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?);
        Ok((routes.prepare(), reporter))
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Service").field(&self.names).finish()
    }
}
