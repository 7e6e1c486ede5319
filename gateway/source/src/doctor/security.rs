//! The doctor's steps before a session: what the server offers, which of it is used, and the certificates of both sides,
//! in the order in which a person has to deal with them.

use opcua::types::EndpointDescription;
use watchfire_model::Instant;
use watchfire_ua::{Certificate, Policy};

use super::{Verdict, step_of};
use crate::connect::Connector;
use crate::discover::offer;

/// Certificates that end within so many days are worth a warning.
const SOON_DAYS: i64 = 30;
const DAY_NS: i64 = 86_400_000_000_000;
const CERTIFICATES: &str = "certificates";

/// Examines them; whether a session is worth a try.
pub(super) async fn examine(connector: &Connector, say: &impl Fn(Verdict, &'static str, String)) -> bool {
    let endpoints = match connector.endpoints().await {
        Ok(endpoints) => endpoints,
        Err(error) => {
            let way_out = "something listens there, but it does not speak OPC UA as it should; check the port in `url`";
            say(Verdict::Fail, "endpoint", format!("{error}; {way_out}"));
            return false;
        }
    };
    for endpoint in &endpoints {
        say(Verdict::Ok, "offers", offer_of(endpoint));
    }
    let endpoint = match connector.choose(&endpoints) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            say(Verdict::Fail, "endpoint", error.to_string());
            return false;
        }
    };
    say(Verdict::Ok, "endpoint", format!("{} is used", offer(&endpoint)));
    // Makes ours where there is none.
    if let Err(error) = connector.credentials().await {
        say(Verdict::Fail, step_of(&error), error.to_string());
        return false;
    }
    if !connector.security().is_secured() {
        say(Verdict::Ok, CERTIFICATES, "not used: security is `none`".to_owned());
        return true;
    }
    certificates(connector, &endpoint, say).await
}

fn offer_of(endpoint: &EndpointDescription) -> String {
    let uri = endpoint.security_policy_uri.as_ref();
    let is_known = Policy::ALL.into_iter().any(|policy| policy.to_ua().to_uri() == uri);
    let unknown = if is_known { "" } else { "; not safe any more, or not known: never used" };
    format!("{}, security level {}{unknown}", offer(endpoint), endpoint.security_level)
}

async fn certificates(
    connector: &Connector,
    endpoint: &EndpointDescription,
    say: &impl Fn(Verdict, &'static str, String),
) -> bool {
    let now = connector.clock.now();
    let file = connector.pki.own_certificate_path();
    let Some(own) = std::fs::read(&file).ok().and_then(|bytes| Certificate::first_of(&bytes)) else {
        let text = format!("ours, `{}`, cannot be read; put it and its key back, or remove both", file.display());
        say(Verdict::Fail, CERTIFICATES, text);
        return false;
    };
    let (verdict, valid) = validity(&own, now);
    let way_out = if verdict == Verdict::Ok { "" } else { "; `watchfire certs renew` makes a new one" };
    say(verdict, CERTIFICATES, format!("ours is {}, {valid}{way_out}, in `{}`", named(&own), file.display()));
    let Some(theirs) = Certificate::first_of(endpoint.server_certificate.as_ref()) else {
        let way_out = "let it make one in its own tool";
        say(Verdict::Fail, CERTIFICATES, format!("the server shows none that can be read; {way_out}"));
        return false;
    };
    let (verdict, valid) = validity(&theirs, now);
    let way_out = if verdict == Verdict::Ok { "" } else { "; have it renewed on the server" };
    let issuer = theirs.issuer();
    let issuer = if issuer == theirs.subject() { "by itself".to_owned() } else { format!("by `{issuer}`") };
    // What has ended is refused below, with its reason.
    let shown = verdict.min(Verdict::Warn);
    say(shown, CERTIFICATES, format!("the server's is {}, signed {issuer}, {valid}{way_out}", named(&theirs)));
    let host = &connector.config.url.host;
    if !theirs.is_for_host(host) {
        let text = format!(
            "the server's is not for the host `{host}` that `url` names; only one that you trust by itself may be so"
        );
        say(Verdict::Warn, CERTIFICATES, text);
    }
    match connector.judge(endpoint).await {
        Ok(()) => {
            say(Verdict::Ok, CERTIFICATES, "the gateway trusts the server's".to_owned());
            true
        }
        Err(error) => {
            let again = format!("then run `watchfire doctor {}` again", connector.config.name);
            say(Verdict::Fail, CERTIFICATES, format!("{error}; {again}"));
            false
        }
    }
}

fn named(certificate: &Certificate) -> String {
    format!("`{}` ({})", certificate.subject(), certificate.thumbprint().as_str().to_uppercase())
}

fn validity(certificate: &Certificate, now: Instant) -> (Verdict, String) {
    let (from, until) = (certificate.valid_from(), certificate.valid_until());
    let left = until.since_ns(now) / DAY_NS;
    if now < from {
        return (Verdict::Fail, format!("not valid before {from}"));
    }
    match until.since_ns(now) {
        over if over < 0 => (Verdict::Fail, format!("expired on {until}")),
        _ if left < SOON_DAYS => (Verdict::Warn, format!("valid until {until}, {left} days left")),
        _ => (Verdict::Ok, format!("valid until {until}, {left} days left")),
    }
}
