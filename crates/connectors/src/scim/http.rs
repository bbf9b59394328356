//! Requests: only to addresses that the egress policy allows, never along a redirect that leads elsewhere, never an
//! answer without an end.

use std::{net::IpAddr, sync::Arc, time::Duration};

use reqwest::{
    Client, Method, Response, StatusCode, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, ETAG, IF_MATCH, LOCATION, RETRY_AFTER},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde_json::Value as Json;
use tokio::time::Instant;
use xavyo_core::{
    Error,
    connector::{ScimSettings, TargetFailure},
};

use super::{
    auth::Credentials,
    failure::{self, Effect, refused},
};
use crate::{Options, Secrets, egress::Policy, network, redaction::Redaction};

const MEDIA_TYPE: &str = "application/scim+json";
const ACCEPTED: &str = "application/scim+json, application/json";
/// The most redirects of one read, all to the same server.
const MAX_REDIRECTS: usize = 3;
/// The longest answer: a page of a thousand resources of 64 KiB.
const MAX_ANSWER: usize = 64 * 1_024 * 1_024;
const MAX_IDLE: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    base: Url,
    credentials: Credentials,
    egress: Policy,
    pub timeout: Duration,
}

/// One request.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub method: Method,
    /// Segments behind the base URL; each is one, whatever it holds.
    pub path: &'a [&'a str],
    pub query: Vec<(&'static str, String)>,
    pub body: Option<Json>,
    /// Only if the resource still has this version.
    pub if_match: Option<&'a str>,
    pub deadline: Instant,
    pub redaction: &'a Redaction,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Option<Json>,
    /// Of the `ETag` header.
    pub version: Option<String>,
    pub retry_after: Option<Duration>,
}

impl Http {
    pub fn open(settings: &ScimSettings, secrets: &Secrets, options: &Options) -> Result<Self, Error> {
        let base = Url::parse(&settings.base_url)
            .map_err(|_| Error::invalid("settings.scim.base_url", "an https URL"))?;
        let resolver = Allowed { policy: options.egress.clone(), limit: options.call_timeout };
        let client = Client::builder()
            .tls_backend_preconfigured(tls(settings.ca_certificates.as_deref())?)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(resolver))
            .no_proxy()
            .referer(false)
            .pool_idle_timeout(MAX_IDLE)
            .connect_timeout(options.call_timeout)
            .user_agent("xavyo")
            .build()
            .map_err(|_| Error::invalid("settings.scim.ca_certificates", "PEM certificates"))?;
        Ok(Self {
            client,
            base,
            credentials: Credentials::open(settings, secrets)?,
            egress: options.egress.clone(),
            timeout: options.call_timeout,
        })
    }

    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// Asks, and asks once more where a token had expired. Any status is an answer.
    pub async fn ask(&self, call: &Call<'_>) -> Result<Answer, TargetFailure> {
        let (authorization, is_fresh) = self.credentials.authorization(self, call.deadline).await?;
        let answer = self.send(call, &authorization).await?;
        if answer.status != StatusCode::UNAUTHORIZED || is_fresh {
            return Ok(answer);
        }
        self.credentials.forget().await;
        let (authorization, _) = self.credentials.authorization(self, call.deadline).await?;
        self.send(call, &authorization).await
    }

    async fn send(&self, call: &Call<'_>, authorization: &str) -> Result<Answer, TargetFailure> {
        let mut url = self.url(call)?;
        let effect = call.effect();
        for _ in 0..=MAX_REDIRECTS {
            self.check(&url)?;
            let mut request = self
                .client
                .request(call.method.clone(), url.clone())
                .timeout(call.deadline.saturating_duration_since(Instant::now()))
                .header(ACCEPT, ACCEPTED)
                .header(AUTHORIZATION, authorization);
            if let Some(version) = call.if_match {
                request = request.header(IF_MATCH, version);
            }
            if let Some(body) = &call.body {
                request = request.header(CONTENT_TYPE, MEDIA_TYPE).body(body.to_string());
            }
            let sent = request.send().await;
            let response = sent.map_err(|error| failure::of_error(&error, effect, call.redaction))?;
            match self.redirected(&response)? {
                Some(next) if effect == Effect::Reads => url = next,
                Some(_) => {
                    return Err(refused("SCIM_REDIRECT", "a write was redirected; it is not sent again"));
                }
                None => return answer(response, effect, call.redaction).await,
            }
        }
        Err(refused("SCIM_REDIRECT", "the server redirects without an end"))
    }

    /// The form of a token request, sent by itself.
    pub async fn token(
        &self,
        url: &str,
        authorization: &str,
        deadline: Instant,
        redaction: &Redaction,
    ) -> Result<Answer, TargetFailure> {
        let url = Url::parse(url).map_err(|_| refused("SCIM_TOKEN", "the token URL is none"))?;
        self.check(&url)?;
        let request = self
            .client
            .post(url)
            .timeout(deadline.saturating_duration_since(Instant::now()))
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials");
        let sent =
            request.send().await.map_err(|error| failure::of_error(&error, Effect::Reads, redaction))?;
        answer(sent, Effect::Reads, redaction).await
    }

    fn url(&self, call: &Call<'_>) -> Result<Url, TargetFailure> {
        let mut url = self.base.clone();
        // The URL standard takes these two for steps up and down, however they are written.
        if call.path.iter().any(|segment| matches!(*segment, "." | ".." | "")) {
            return Err(failure::not_found());
        }
        match url.path_segments_mut() {
            Ok(mut segments) => drop(segments.pop_if_empty().extend(call.path)),
            Err(()) => return Err(refused("SCIM_URL", "the base URL has no path")),
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        Ok(url)
    }

    /// Addresses in URLs are asked of no resolver: they are checked here, the rest in [`Allowed`].
    fn check(&self, url: &Url) -> Result<(), TargetFailure> {
        let host = url.host_str().unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match address.map(|address| self.egress.check(address)) {
            Ok(Err(denial)) => Err(network::denied(host, denial)),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    /// Where a read is sent on. Our credentials are for one server: no other gets them.
    fn redirected(&self, response: &Response) -> Result<Option<Url>, TargetFailure> {
        if !response.status().is_redirection() {
            return Ok(None);
        }
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let next = location.and_then(|location| response.url().join(location).ok());
        let next = next.ok_or_else(|| refused("SCIM_REDIRECT", "redirected, and not said where"))?;
        self.check(&next)?;
        if next.origin() == self.base.origin() {
            Ok(Some(next))
        } else {
            let message = format!("redirected to another server: {}", next.host_str().unwrap_or_default());
            Err(refused("SCIM_REDIRECT", message))
        }
    }
}

impl Call<'_> {
    pub fn effect(&self) -> Effect {
        if self.method == Method::GET { Effect::Reads } else { Effect::Writes }
    }
}

impl Answer {
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }
}

/// The whole of an answer. A body that is no JSON is none: statuses speak for themselves.
async fn answer(
    mut response: Response,
    effect: Effect,
    redaction: &Redaction,
) -> Result<Answer, TargetFailure> {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (version, date) = (header(ETAG), header(DATE));
    let retry_after = header(RETRY_AFTER).and_then(|text| failure::retry_after(&text, date.as_deref()));
    let status = response.status();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(refused("SCIM_TOO_LONG", "the answer is longer than 64 MiB")),
            Ok(None) => break,
            Err(error) => return Err(failure::of_error(&error, effect, redaction)),
        }
    }
    let body = if body.is_empty() { None } else { serde_json::from_slice(&body).ok() };
    Ok(Answer { status, body, version, retry_after })
}

/// Trusts these authorities alone; the web's where there are none.
fn tls(pem: Option<&str>) -> Result<ClientConfig, Error> {
    let refused = || Error::invalid("settings.scim.ca_certificates", "PEM certificates");
    let mut roots = RootCertStore::empty();
    match pem {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(certificate.map_err(|_| refused())?).map_err(|_| refused())?;
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the versions of TLS that are safe");
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Names lead to allowed addresses alone: what is checked is what is connected to.
#[derive(Debug)]
struct Allowed {
    policy: Policy,
    limit: Duration,
}

impl Resolve for Allowed {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, limit) = (self.policy.clone(), self.limit);
        Box::pin(async move {
            // Any port: the client puts in its own.
            let addresses = network::resolve(name.as_str(), 0, &policy, limit).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
