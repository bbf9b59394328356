//! From a host's name to addresses that may be connected to.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{net, time};
use xavyo_core::connector::{FailureKind, TargetFailure};

use crate::egress::{Denial, Policy};

/// Resolves the host once and keeps the addresses that the policy allows, in the resolver's order. At least one.
pub(crate) async fn resolve(
    host: &str,
    port: u16,
    policy: &Policy,
    limit: Duration,
) -> Result<Vec<SocketAddr>, TargetFailure> {
    let found = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => match time::timeout(limit, net::lookup_host((host, port))).await {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(error)) => return Err(down("RESOLVE", format!("{host} cannot be resolved: {error}"))),
            Err(_) => return Err(down("RESOLVE_TIMEOUT", format!("{host} was not resolved in time"))),
        },
    };
    let mut denial = None;
    let allowed: Vec<SocketAddr> = found
        .into_iter()
        .filter(|address| policy.check(address.ip()).map_err(|reason| denial = Some(reason)).is_ok())
        .collect();
    match (allowed.is_empty(), denial) {
        (false, _) => Ok(allowed),
        (true, Some(denial)) => Err(denied(host, denial)),
        (true, None) => Err(down("RESOLVE", format!("{host} has no address"))),
    }
}

pub(crate) fn denied(host: &str, denial: Denial) -> TargetFailure {
    let message = format!("{host} is not allowed by the egress policy: {}", denial.name());
    TargetFailure::new(FailureKind::Refused, "EGRESS_DENIED", message)
}

fn down(code: &str, message: String) -> TargetFailure {
    TargetFailure::new(FailureKind::Down, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_denied_address_is_refused_before_any_connection() {
        let limit = Duration::from_secs(1);
        let failure = resolve("169.254.169.254", 80, &Policy::default(), limit).await.unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Refused, "EGRESS_DENIED"));
        let addresses = resolve("127.0.0.1", 80, &Policy::default(), limit).await.unwrap();
        assert_eq!(addresses, ["127.0.0.1:80".parse().unwrap()]);
    }
}
