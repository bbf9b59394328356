//! Connections: made, secured, bound, and the few requests that everything else is made of.
//!
//! Every request ends within its deadline and never panics: ldap3 panics on answers that are not LDAP, which here is
//! one more way for a connection to break. Aliases are never dereferenced, referrals never followed.

use std::{collections::HashSet, panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt;
use ldap3::{
    LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Mod, Scope, SearchOptions, SearchStream,
    StdStream,
    asn1::parse_tag,
    controls::{Assertion, MakeCritical, PagedResults, PostRead, RawControl},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    net::TcpStream,
    time::{self, Instant},
};
use xavyo_core::{
    Error,
    connector::{LdapSettings, LdapTls, TargetFailure},
};

use super::{
    dialect::{self, Server},
    entry::Entry,
    failure::{self, Call},
    filter,
};
use crate::{Options, egress::Policy, network, redaction::Redaction};

pub(super) type Values = HashSet<Vec<u8>>;

/// How the directory is reached.
#[derive(Debug)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
    tls: LdapTls,
    trust: Option<Arc<ClientConfig>>,
    bind_dn: String,
    password: SecretString,
    egress: Policy,
}

/// A bound connection.
#[derive(Debug)]
pub(super) struct Connection(ldap3::Ldap);

/// A page that was asked for; its entries arrive while the one before it is worked on.
pub(super) struct PageUnderWay(SearchStream<'static, String, Vec<String>>);

/// What came of one search, or of one page of it.
#[derive(Debug)]
pub(super) struct Found {
    pub entries: Vec<Entry>,
    /// Parts of the answer that lie on other servers.
    pub referrals: usize,
    pub result: LdapResult,
}

/// What a search asks for.
#[derive(Clone, Debug)]
pub(super) struct Search {
    pub base: String,
    pub scope: Scope,
    pub filter: String,
    pub attributes: Vec<String>,
}

/// A write's condition, and what its answer is to show.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    /// A filter that the entry must match, checked by the server in the same step.
    pub assertion: Option<String>,
    pub post_read: Option<Vec<String>>,
}

impl Endpoint {
    /// Fails with a violation where the password or the certificates cannot be used.
    pub fn new(
        settings: &LdapSettings,
        password: Option<&SecretString>,
        options: &Options,
    ) -> Result<Self, Error> {
        // An empty password would be an unauthenticated bind, which succeeds as nobody (RFC 4513 §5.1.2).
        let password = password
            .ok_or_else(|| Error::invalid("secrets.bind_password", "a password that is not empty"))?;
        let trust = match settings.tls {
            LdapTls::None => None,
            LdapTls::Ldaps | LdapTls::StartTls => Some(Arc::new(trust(settings)?)),
        };
        Ok(Self {
            host: settings.host.clone(),
            port: settings.port,
            tls: settings.tls,
            trust,
            bind_dn: settings.bind_dn.clone(),
            password: password.clone(),
            egress: options.egress.clone(),
        })
    }

    pub async fn connect(&self, deadline: Instant) -> Result<Connection, TargetFailure> {
        let limit = deadline.saturating_duration_since(Instant::now());
        let mut last = failure::timed_out(Call::Connect);
        for address in network::resolve(&self.host, self.port, &self.egress, limit).await? {
            match time::timeout_at(deadline, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => match in_time(deadline, Call::Connect, self.secured(stream)).await {
                    Ok(connection) => return self.bound(connection, deadline).await,
                    Err(failure) => last = failure,
                },
                Ok(Err(error)) => last = failure::of_error(&error.into(), Call::Connect),
                Err(_) => break,
            }
        }
        Err(last)
    }

    /// The certificate is checked against the host of the settings, whatever address the stream leads to.
    async fn secured(&self, stream: TcpStream) -> Result<Connection, LdapError> {
        stream.set_nodelay(true)?;
        let stream = StdStream::Tcp(stream.into_std()?);
        let mut settings = LdapConnSettings::new().set_std_stream(stream);
        if let Some(trust) = &self.trust {
            settings = settings.set_config(trust.clone()).set_starttls(self.tls == LdapTls::StartTls);
        }
        let scheme = if self.tls == LdapTls::Ldaps { "ldaps" } else { "ldap" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let url = format!("{scheme}://{host}:{}", self.port);
        let (driver, ldap) = LdapConnAsync::with_settings(settings, &url).await?;
        tokio::spawn(async move {
            if let Err(error) = driver.drive().await {
                tracing::debug!(%error, "an LDAP connection ended");
            }
        });
        Ok(Connection(ldap))
    }

    async fn bound(
        &self,
        mut connection: Connection,
        deadline: Instant,
    ) -> Result<Connection, TargetFailure> {
        let bind = connection.0.simple_bind(&self.bind_dn, self.password.expose_secret());
        let result = in_time(deadline, Call::Connect, bind).await?;
        if result.rc == failure::SUCCESS {
            return Ok(connection);
        }
        let redaction = Redaction::of(&[self.password.expose_secret().into()]);
        Err(failure::of_result(&result, Call::Connect, &redaction))
    }
}

impl Connection {
    /// The server, or something on the way, has closed it.
    pub fn is_closed(&mut self) -> bool {
        self.0.is_closed()
    }

    /// Asks the server what it is.
    pub async fn server(&self, settings: &LdapSettings, deadline: Instant) -> Result<Server, TargetFailure> {
        let search = Search {
            base: String::new(),
            scope: Scope::Base,
            filter: filter::ANY.to_owned(),
            attributes: dialect::ROOT_DSE.map(str::to_owned).to_vec(),
        };
        let root = self.search(search, 1, deadline).await?.entries.into_iter().next().unwrap_or_default();
        Ok(Server::recognised(&root, settings))
    }

    /// A search without paging, for few entries. The result may be other than success.
    pub async fn search(
        &self,
        search: Search,
        limit: i32,
        deadline: Instant,
    ) -> Result<Found, TargetFailure> {
        let under_way = self.begin(search, limit, None, deadline).await?;
        under_way.found(deadline).await
    }

    /// Asks for a page of a search; the cookie is the one before's.
    pub async fn begin_page(
        &self,
        search: Search,
        page: PagedResults,
        deadline: Instant,
    ) -> Result<PageUnderWay, TargetFailure> {
        self.begin(search, 0, Some(page), deadline).await
    }

    async fn begin(
        &self,
        search: Search,
        limit: i32,
        page: Option<PagedResults>,
        deadline: Instant,
    ) -> Result<PageUnderWay, TargetFailure> {
        let mut ldap = self.0.clone();
        ldap.with_search_options(SearchOptions::new().sizelimit(limit));
        if let Some(page) = page {
            ldap.with_controls(page.critical());
        }
        let Search { base, scope, filter, attributes } = search;
        let begun = ldap.streaming_search(&base, scope, &filter, attributes);
        Ok(PageUnderWay(in_time(deadline, Call::Read, begun).await?))
    }

    pub async fn add(
        &self,
        dn: &str,
        attributes: Vec<(Vec<u8>, Values)>,
        terms: Terms,
        deadline: Instant,
    ) -> Result<LdapResult, TargetFailure> {
        let mut ldap = self.on(terms);
        in_time(deadline, Call::Create, ldap.add(dn, attributes)).await
    }

    pub async fn modify(
        &self,
        dn: &str,
        modifications: Vec<Mod<Vec<u8>>>,
        terms: Terms,
        deadline: Instant,
    ) -> Result<LdapResult, TargetFailure> {
        let mut ldap = self.on(terms);
        in_time(deadline, Call::Modify, ldap.modify(dn, modifications)).await
    }

    pub async fn rename(
        &self,
        dn: &str,
        rdn: &str,
        terms: Terms,
        deadline: Instant,
    ) -> Result<LdapResult, TargetFailure> {
        let mut ldap = self.on(terms);
        in_time(deadline, Call::Rename, ldap.modifydn(dn, rdn, true, None)).await
    }

    pub async fn delete(
        &self,
        dn: &str,
        terms: Terms,
        deadline: Instant,
    ) -> Result<LdapResult, TargetFailure> {
        let mut ldap = self.on(terms);
        in_time(deadline, Call::Delete, ldap.delete(dn)).await
    }

    /// Whether the entry holds the value, by the server's own matching rule; None where it cannot say.
    pub async fn holds(
        &self,
        dn: &str,
        attribute: &str,
        value: &[u8],
        deadline: Instant,
    ) -> Result<Option<bool>, TargetFailure> {
        let mut ldap = self.0.clone();
        match in_time(deadline, Call::Read, ldap.compare(dn, attribute, value)).await?.0.rc {
            failure::COMPARE_TRUE => Ok(Some(true)),
            failure::COMPARE_FALSE | failure::NO_SUCH_ATTRIBUTE => Ok(Some(false)),
            _ => Ok(None),
        }
    }

    fn on(&self, terms: Terms) -> ldap3::Ldap {
        let mut ldap = self.0.clone();
        let mut controls: Vec<RawControl> = Vec::new();
        if let Some(filter) = terms.assertion {
            controls.push(Assertion { filter }.critical().into());
        }
        controls.extend(terms.post_read.map(PostRead::new));
        if !controls.is_empty() {
            ldap.with_controls(controls);
        }
        ldap
    }
}

impl PageUnderWay {
    /// Waits for the rest of the page. Success is for the caller to judge: `result` is the server's own.
    pub async fn found(mut self, deadline: Instant) -> Result<Found, TargetFailure> {
        let (mut entries, mut referrals) = (Vec::new(), 0);
        let collect = async {
            while let Some(item) = self.0.next().await? {
                if item.is_ref() {
                    referrals += 1;
                } else if !item.is_intermediate() {
                    entries.push(Entry::parse(item.0).ok_or(LdapError::DecodingUTF8)?);
                }
            }
            Ok(self.0.finish().await)
        };
        let result = match in_time(deadline, Call::Read, collect).await {
            Err(failure) if failure.code == "LDAP_REQUEST" => return Err(failure::garbled(Call::Read)),
            result => result?,
        };
        Ok(Found { entries, referrals, result })
    }
}

/// The cookie of the next page; empty after the last one. None: the server does not page.
pub(super) fn cookie(result: &LdapResult) -> Option<Vec<u8>> {
    let value = control_value(result, ldap3::controls::ControlType::PagedResults)?;
    let (_, tag) = parse_tag(value).ok()?;
    let mut parts = tag.expect_constructed()?.into_iter();
    parts.next()?;
    parts.next()?.expect_primitive()
}

/// The entry as a write left it.
pub(super) fn post_read(result: &LdapResult) -> Option<Entry> {
    let value = control_value(result, ldap3::controls::ControlType::PostReadResp)?;
    let (_, tag) = parse_tag(value).ok()?;
    Entry::parse(tag)
}

fn control_value(result: &LdapResult, kind: ldap3::controls::ControlType) -> Option<&[u8]> {
    let is_it =
        |known: &ldap3::controls::ControlType| std::mem::discriminant(known) == std::mem::discriminant(&kind);
    let control = result.ctrls.iter().find(|control| control.0.as_ref().is_some_and(is_it))?;
    control.1.val.as_deref()
}

/// The authorities of the settings and nobody else.
fn trust(settings: &LdapSettings) -> Result<ClientConfig, Error> {
    let field = "settings.ldap.ca_certificates";
    let pem = settings.ca_certificates.as_deref().unwrap_or_default();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let added = certificate.map_err(|error| error.to_string());
        let added = added.and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        added.map_err(|error| Error::invalid(field, format!("PEM certificates ({error})")))?;
    }
    if roots.is_empty() {
        return Err(Error::invalid(field, "at least one PEM certificate"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

async fn in_time<T>(
    deadline: Instant,
    call: Call,
    work: impl Future<Output = Result<T, LdapError>>,
) -> Result<T, TargetFailure> {
    match time::timeout_at(deadline, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(done)) => done.map_err(|error| failure::of_error(&error, call)),
        Ok(Err(_)) => Err(failure::garbled(call)),
        Err(_) => Err(failure::timed_out(call)),
    }
}
