//! Tokens good and bad (fault 10), against keys of all three algorithms and a clock that is moved by hand.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use uuid::Uuid;
use xavyo_core::{Reason, ids::TenantId, role::Role};

use super::{
    signer::{Signer, key_set},
    *,
};

const ISSUER: &str = "https://issuer.test";
const TENANT: &str = "0194f7a0-0000-7000-8000-000000000001";
const SUBJECT: &str = "0194f7a0-0000-7000-8000-000000000002";

struct World {
    authenticator: Authenticator,
    clock: Clock,
    ed25519: Signer,
    file: tempfile::NamedTempFile,
}

impl World {
    fn new() -> Self {
        let ed25519 = Signer::ed25519("ed", 1);
        let file = tempfile::NamedTempFile::new().unwrap();
        let keys = [ed25519.jwk(), Signer::p256("ec").jwk(), Signer::rsa("rsa").jwk()];
        std::fs::write(&file, key_set(&keys)).unwrap();
        let clock = Clock::manual("2026-02-11T12:00:00Z".parse().unwrap());
        let settings = TokenSettings {
            jwks_file: file.path().to_owned(),
            token_issuer: ISSUER.to_owned(),
            token_audience: "xavyo".to_owned(),
        };
        Self { authenticator: Authenticator::open(&settings, clock.clone()).unwrap(), clock, ed25519, file }
    }

    /// What an operator's token claims for the next five minutes, with `changes` (null = without).
    fn claims(&self, changes: &Value) -> Value {
        let now = self.clock.now().timestamp();
        let mut claims = json!({
            "iss": ISSUER, "aud": "xavyo", "sub": SUBJECT, "tenant": TENANT, "roles": ["operator"],
            "iat": now, "exp": now + 300,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        claims
    }

    fn token(&self, changes: &Value) -> String {
        self.ed25519.sign(&self.claims(changes))
    }

    fn call(&self, token: &str) -> Result<Caller> {
        self.call_with(&[("authorization", &format!("Bearer {token}"))])
    }

    fn call_with(&self, headers: &[(&'static str, &str)]) -> Result<Caller> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        self.authenticator.authenticate(&map, "trace".to_owned())
    }
}

#[track_caller]
fn assert_refused(outcome: Result<Caller>, message: &str) {
    let error = outcome.expect_err("it was let in");
    assert_eq!((error.reason, error.message.as_str()), (Reason::InvalidToken, message));
}

#[test]
fn a_good_token_of_each_algorithm_names_its_caller() {
    let world = World::new();
    let claims = world.claims(&json!({ "roles": ["operator", "approver", "unheard-of"] }));

    for signer in [&world.ed25519, &Signer::p256("ec"), &Signer::rsa("rsa")] {
        let caller = world.call(&signer.sign(&claims)).unwrap();
        assert_eq!(caller.tenant, TenantId(TENANT.parse().unwrap()));
        assert_eq!(caller.subject.to_string(), SUBJECT);
        assert_eq!(caller.roles, [Role::Operator, Role::Approver]);
        assert_eq!(caller.trace_id, "trace");
    }
}

#[test]
fn a_call_without_exactly_one_bearer_token_is_refused() {
    let world = World::new();
    let good = format!("Bearer {}", world.token(&json!({})));

    assert_refused(world.call_with(&[]), "a bearer token is needed");
    let two = [("authorization", good.as_str()), ("authorization", good.as_str())];
    assert_refused(world.call_with(&two), "more than one authorization header");
    for value in ["", "Bearer", "Basic dXNlcjpwYXNz", good.trim_start_matches("Bearer ")] {
        let outcome = world.call_with(&[("authorization", value)]);
        assert_refused(outcome, "the authorization header is not `Bearer <token>`");
    }
}

#[test]
fn a_token_holds_until_it_expires_by_the_injected_clock() {
    let world = World::new();
    let token = world.token(&json!({}));

    world.clock.advance(TimeDelta::seconds(329));
    assert!(world.call(&token).is_ok(), "within the leeway");
    world.clock.advance(TimeDelta::seconds(1));
    assert_refused(world.call(&token), "the token has expired");
}

#[test]
fn a_token_holds_from_its_nbf_on() {
    let world = World::new();
    let token = world.token(&json!({ "nbf": world.clock.now().timestamp() + 60 }));

    assert_refused(world.call(&token), "the token is not valid yet");
    world.clock.advance(TimeDelta::seconds(30));
    assert!(world.call(&token).is_ok(), "within the leeway");
}

#[test]
fn a_token_of_another_issuer_or_for_another_audience_is_refused() {
    let world = World::new();

    let issuer = world.token(&json!({ "iss": "https://issuer.test/" }));
    assert_refused(world.call(&issuer), "the token is of another issuer");
    for audience in [json!("other"), json!(["other", "more"]), json!([])] {
        let token = world.token(&json!({ "aud": audience }));
        assert_refused(world.call(&token), "the token is for another audience");
    }
    assert!(world.call(&world.token(&json!({ "aud": ["other", "xavyo"] }))).is_ok());
}

#[test]
fn a_token_without_a_claim_that_counts_is_malformed() {
    let world = World::new();

    for claim in ["iss", "aud", "sub", "exp"] {
        let token = world.token(&json!({ claim: null }));
        assert_refused(world.call(&token), "the token is malformed");
    }
    for exp in [json!("never"), json!(1.0e300), json!(-1.5)] {
        assert_refused(world.call(&world.token(&json!({ "exp": exp }))), "the token is malformed");
    }
}

#[test]
fn what_is_no_token_is_malformed() {
    let world = World::new();
    let good = world.token(&json!({}));

    for token in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", &good[..good.len() - 90], &format!("{good}.x")] {
        assert_refused(world.call(token), "the token is malformed");
    }
}

#[test]
fn algorithm_none_is_refused() {
    let world = World::new();
    let payload = BASE64_URL_SAFE_NO_PAD.encode(world.claims(&json!({})).to_string());

    for algorithm in ["none", "None", "NONE", ""] {
        let header = json!({ "alg": algorithm, "typ": "JWT", "kid": "ed" }).to_string();
        let token = format!("{}.{payload}.", BASE64_URL_SAFE_NO_PAD.encode(header));
        assert_refused(world.call(&token), "the token is malformed");
    }
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    let world = World::new();
    let jwk = Signer::rsa("rsa").jwk();
    let secrets =
        [jwk.to_string(), jwk["n"].as_str().unwrap().to_owned(), world.ed25519.jwk()["x"].to_string()];

    for (kid, secret) in ["rsa", "rsa", "ed"].into_iter().zip(secrets) {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = encode(&header, &world.claims(&json!({})), &key).unwrap();
        assert_refused(world.call(&token), "the token's algorithm is not its key's");
    }
}

#[test]
fn an_unknown_key_is_refused_and_so_is_another_key_under_a_known_name() {
    let world = World::new();
    let claims = world.claims(&json!({}));

    assert_refused(world.call(&Signer::ed25519("new", 1).sign(&claims)), "the token's key is unknown");
    let forged = Signer::ed25519("ed", 2).sign(&claims);
    assert_refused(world.call(&forged), "the token's signature does not hold");
    assert_refused(
        world.call(&Signer::ed25519("ec", 1).sign(&claims)),
        "the token's algorithm is not its key's",
    );
}

#[test]
fn a_token_that_was_verified_before_is_not_believed_with_another_payload() {
    let world = World::new();
    let good = world.token(&json!({}));
    world.call(&good).unwrap();

    let mut parts: Vec<_> = good.split('.').collect();
    let admin = BASE64_URL_SAFE_NO_PAD.encode(world.claims(&json!({ "roles": ["admin"] })).to_string());
    parts[1] = &admin;

    assert_refused(world.call(&parts.join(".")), "the token's signature does not hold");
}

#[tokio::test]
async fn a_key_that_was_taken_out_of_the_file_is_not_believed_any_more() {
    let world = World::new();
    let token = world.token(&json!({}));
    world.call(&token).unwrap();

    std::fs::write(&world.file, key_set(&[Signer::p256("ec").jwk()])).unwrap();
    assert!(world.authenticator.keys().step().await.unwrap());

    assert_refused(world.call(&token), "the token's key is unknown");
}

#[test]
fn a_service_names_its_tenant_and_subject_with_each_call() {
    let world = World::new();
    let service = json!({ "roles": ["service"], "tenant": null, "sub": "reconciliation" });
    let bearer = format!("Bearer {}", world.token(&service));
    let with = |more: &[(&'static str, &str)]| {
        let headers: Vec<_> =
            [("authorization", bearer.as_str())].into_iter().chain(more.iter().copied()).collect();
        world.call_with(&headers)
    };

    let caller = with(&[(TENANT_HEADER, TENANT), (SUBJECT_HEADER, SUBJECT)]).unwrap();
    assert!(caller.is_service());
    assert_eq!(
        (caller.tenant.to_string(), caller.subject.to_string()),
        (TENANT.to_owned(), SUBJECT.to_owned())
    );

    let needs = "a service names one tenant and one subject: x-xavyo-tenant, x-xavyo-subject";
    assert_refused(with(&[]), needs);
    assert_refused(with(&[(TENANT_HEADER, TENANT)]), needs);
    assert_refused(
        with(&[(TENANT_HEADER, TENANT), (TENANT_HEADER, SUBJECT), (SUBJECT_HEADER, SUBJECT)]),
        needs,
    );
    let malformed = with(&[(TENANT_HEADER, &TENANT.replace('-', "")), (SUBJECT_HEADER, SUBJECT)]);
    assert_refused(malformed, "x-xavyo-tenant and x-xavyo-subject are UUIDs");
}

#[test]
fn a_service_token_with_a_tenant_or_another_role_is_refused() {
    let world = World::new();

    for claims in [json!({ "roles": ["service"] }), json!({ "roles": ["service", "admin"], "tenant": null })]
    {
        let outcome = world.call(&world.token(&claims));
        assert_refused(outcome, "a token of the service role carries no tenant and no other role");
    }
}

#[test]
fn nobody_else_names_a_tenant_or_a_subject() {
    let world = World::new();
    let bearer = format!("Bearer {}", world.token(&json!({ "roles": ["admin"] })));

    for header in [TENANT_HEADER, SUBJECT_HEADER] {
        let error = world.call_with(&[("authorization", &bearer), (header, TENANT)]).unwrap_err();
        assert_eq!(error.reason, Reason::RoleForbids);
    }
}

#[test]
fn a_token_without_a_tenant_that_is_a_uuid_is_refused() {
    let world = World::new();

    for tenant in [json!(null), json!(""), json!("acme"), json!(TENANT.replace('-', ""))] {
        let outcome = world.call(&world.token(&json!({ "tenant": tenant })));
        assert_refused(outcome, "the token names no tenant");
    }
}

#[test]
fn a_subject_that_is_no_uuid_becomes_one_of_its_issuer() {
    let world = World::new();

    let caller = world.call(&world.token(&json!({ "sub": "ada@example.org" }))).unwrap();

    let issuer = Uuid::new_v5(&Uuid::NAMESPACE_URL, ISSUER.as_bytes());
    assert_eq!(caller.subject.0, Uuid::new_v5(&issuer, b"ada@example.org"));
    assert_refused(world.call(&world.token(&json!({ "sub": "" }))), "the token names no subject");
}

#[test]
fn a_key_set_with_a_key_that_is_none_of_the_three_is_refused_as_a_whole() {
    let good = Signer::ed25519("ed", 1).jwk();
    let mut nameless = good.clone();
    nameless.as_object_mut().unwrap().remove("kid");
    let mut renamed = Signer::rsa("rsa").jwk();
    renamed["alg"] = json!("RS512");
    let mut short = Signer::rsa("rsa").jwk();
    short["n"] = json!(BASE64_URL_SAFE_NO_PAD.encode([255; 128]));
    let secret = json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "hmac", "alg": "HS256" });

    for (bad, problem) in [
        (nameless, "keys[1]: it has no kid"),
        (good.clone(), "keys[1]: another key has the same kid"),
        (renamed, "keys[1]: its alg is not EdDSA, ES256 or RS256, as its key would need"),
        (short, "keys[1]: an RSA key of less than 2,048 bits"),
        (secret, "keys[1]: not an Ed25519, P-256 or RSA public key"),
    ] {
        assert_eq!(KeySet::parse(&key_set(&[good.clone(), bad])).unwrap_err(), problem);
    }
    assert_eq!(KeySet::parse(&key_set(&[])).unwrap_err(), "no key for signatures in it");
    assert_eq!(KeySet::parse("{").unwrap_err(), "not a JSON Web Key Set");
}
