//! Where a later read of changes begins, as text.

use std::fmt;

use chrono::{NaiveDateTime, TimeDelta};
use ldap3::Scope;
use tokio::time::Instant;
use xavyo_core::connector::TargetFailure;

use super::super::{
    Ldap,
    connection::{Connection, Search},
    dialect::{Kind, Server},
    dn::Dn,
    entry::Entry,
    failure, filter,
};

/// Changes of other replicas arrive late: changes are asked for from so long before.
const OVERLAP: TimeDelta = TimeDelta::minutes(5);
/// Generalized time to the second (RFC 4517 §3.3.13), as servers write it.
const TIME: &str = "%Y%m%d%H%M%S";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Watermark {
    /// A cookie of RFC 4533.
    Sync(String),
    /// The highest update sequence number of one domain controller: another counts for itself.
    Usn { usn: i64, server: String },
    /// Generalized time.
    Modified(String),
}

impl Watermark {
    pub fn parse(text: &str) -> Option<Self> {
        let (means, rest) = text.split_once(' ')?;
        match means {
            "sync" => Some(Self::Sync(rest.to_owned())),
            "modified" => Some(Self::Modified(rest.to_owned())),
            "usn" => {
                let (usn, server) = rest.split_once(' ')?;
                Some(Self::Usn { usn: usn.parse().ok()?, server: server.to_owned() })
            }
            _ => None,
        }
    }

    /// The server's own, now. None where it has none: then the first page of a read tells ([`Watermark::before`]).
    pub async fn now(
        ldap: &Ldap,
        connection: &Connection,
        server: &Server,
        deadline: Instant,
    ) -> Result<Option<Self>, TargetFailure> {
        match server.kind {
            Kind::ActiveDirectory => {
                let root = entry(connection, "", &["highestCommittedUSN", "dsServiceName"], deadline).await?;
                let usn = root.texts("highestCommittedUSN").next().and_then(|usn| usn.parse().ok());
                let server = root.texts("dsServiceName").next().map(str::to_owned);
                Ok(usn.zip(server).map(|(usn, server)| Self::Usn { usn, server }))
            }
            Kind::OpenLdap | Kind::Dirsrv389 if server.syncs => {
                let Some(context) = server.naming_context(&ldap.base) else { return Ok(None) };
                let context = entry(connection, &context, &["contextCSN"], deadline).await?;
                let csns: Vec<&str> = context.texts("contextCSN").collect();
                Ok((!csns.is_empty()).then(|| Self::Sync(format!("rid=000,csn={}", csns.join(";")))))
            }
            Kind::OpenLdap | Kind::Dirsrv389 => Ok(None),
        }
    }

    /// From the latest change of the first page. What changes after that page was made is later, by the server's clock.
    pub fn before(latest: &str) -> Option<Self> {
        let at = NaiveDateTime::parse_from_str(latest.get(..14)?, TIME).ok()?.checked_sub_signed(OVERLAP)?;
        Some(Self::Modified(format!("{}Z", at.format(TIME))))
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync(cookie) => write!(f, "sync {cookie}"),
            Self::Usn { usn, server } => write!(f, "usn {usn} {server}"),
            Self::Modified(at) => write!(f, "modified {at}"),
        }
    }
}

impl Server {
    /// The suffix that the name is below.
    fn naming_context(&self, name: &Dn) -> Option<String> {
        let contexts = self.naming_contexts.iter().filter_map(|context| Dn::parse(context).ok());
        let holding = contexts.filter(|context| name.is_within(context)).map(|context| context.to_string());
        holding.max_by_key(String::len)
    }
}

/// One entry with these attributes; nothing where there is none.
pub(in super::super) async fn entry(
    connection: &Connection,
    name: &str,
    attributes: &[&str],
    deadline: Instant,
) -> Result<Entry, TargetFailure> {
    let search = Search {
        base: name.to_owned(),
        scope: Scope::Base,
        filter: filter::ANY.to_owned(),
        attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
    };
    let found = connection.search(search, 1, deadline).await?;
    match found.result.rc {
        failure::SUCCESS | failure::NO_SUCH_OBJECT => {
            Ok(found.entries.into_iter().next().unwrap_or_default())
        }
        _ => Err(failure::of_result(
            &found.result,
            failure::Call::Read,
            &crate::redaction::Redaction::default(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_is_read_as_it_was_written() {
        for text in ["sync rid=000,csn=a;b", "usn 12345 CN=NTDS Settings,CN=dc 1", "modified 20240229123000Z"]
        {
            assert_eq!(Watermark::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "sync", "usn x y", "20240229123000Z"] {
            assert_eq!(Watermark::parse(text), None);
        }
    }
}
