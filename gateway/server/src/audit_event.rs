//! Audit events as clients see them (OPC 10000-5 §6.4, OPC 10000-9 §5.10): their types and fields, from what was asked
//! for and what came of it. Who sees them is known in `audit`.

use std::borrow::Cow;

use opcua::nodes::Event;
use opcua::server::IdentityToken;
use opcua::server::authenticator::{SecurityClient, SecurityRequest, SessionEnd, UserToken};
use opcua::types::event_field::EventField;
use opcua::types::{
    Array, AttributeId, ByteString, DateTime, ExtensionObject, Identifier, NodeId, NumericRange, ObjectId,
    ObjectTypeId, QualifiedName, StatusCode, UAString, UserNameIdentityToken, Variant, VariantScalarTypeId,
    X509IdentityToken,
};
use watchfire_model::{CommandKind, Instant};
use watchfire_ua::{Certificate, date_time_from_instant};

use crate::by_itself::Done;
use crate::event::within;
use crate::names::text;
use crate::refusals::Refused;
use crate::users::name_of;

/// Severity of what was done, and of what was refused.
const DONE_SEVERITY: u16 = 100;
const REFUSED_SEVERITY: u16 = 400;

/// The user of what nobody asked for.
const THE_GATEWAY: &str = "System/Watchfire";

/// Bytes that one text or byte string of an event has at most: anybody can send long ones.
const LONG_MAX: usize = 4096;
/// Arguments of a call that are told: more than any method of ours takes.
const ARGUMENTS_MAX: usize = 16;
/// Bytes of a certificate that is shown.
const CERTIFICATE_MAX: usize = 16_384;

/// SourceName of what is told of certificates (OPC 10000-5 §6.4).
const CERTIFICATE_SOURCE: &str = "Security/Certificate";

/// What was asked of the server, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct AuditEvent {
    kind: NodeId,
    time: DateTime,
    /// What was asked of which node, and what came of it.
    asked: String,
    node: NodeId,
    status: StatusCode,
    /// Whose session asked; empty where it is about a session.
    user: String,
    fields: Vec<(&'static str, Variant)>,
}

/// When, by which server, and how it ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    pub server: &'a str,
    pub at: Instant,
    pub status: StatusCode,
}

/// What a method was called with.
#[derive(Clone, Debug)]
pub(crate) struct Called<'a> {
    /// The condition, or what was taken for one.
    pub object: NodeId,
    pub method: NodeId,
    /// Its name.
    pub name: &'a str,
    pub arguments: &'a [Variant],
    /// What it does to a condition; `None` for other methods.
    pub kind: Option<CommandKind>,
    pub user: &'a str,
    /// The EventId, and the comment, that were given.
    pub event_id: Option<Variant>,
    pub comment: Option<Variant>,
    pub shelving_time: Option<Variant>,
}

impl AuditEvent {
    fn new(kind: ObjectTypeId, (node, name): (NodeId, &str), asked: String, outcome: Outcome<'_>) -> Self {
        let (time, _) = date_time_from_instant(outcome.at);
        let node = short_id(node);
        let good = outcome.status.is_good();
        let severity = if good { DONE_SEVERITY } else { REFUSED_SEVERITY };
        let message = if good { asked.clone() } else { format!("{asked}: refused, {}", outcome.status) };
        let fields = vec![
            ("EventId", ByteString::from(opcua::types::Guid::new().to_bytes().to_vec()).into()),
            ("EventType", NodeId::from(kind).into()),
            ("SourceNode", node.clone().into()),
            ("SourceName", UAString::from(name).into()),
            ("Time", time.into()),
            ("ReceiveTime", time.into()),
            ("Message", text(&message).into()),
            ("Severity", severity.into()),
            ("ActionTimeStamp", time.into()),
            ("Status", good.into()),
            ("ServerId", UAString::from(outcome.server).into()),
            ("StatusCodeId", outcome.status.into()),
        ];
        Self { kind: kind.into(), time, asked, node, status: outcome.status, user: String::new(), fields }
    }

    /// What is told of it in the log, where it was refused.
    pub(crate) fn refused(&self) -> Option<Refused<'_>> {
        let refused = Refused { user: &self.user, what: &self.asked, node: &self.node, status: self.status };
        self.status.is_bad().then_some(refused)
    }

    /// Of somebody who has logged in.
    fn by(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self.with([("ClientUserId", UAString::from(user).into())])
    }

    fn with(mut self, fields: impl IntoIterator<Item = (&'static str, Variant)>) -> Self {
        self.fields.extend(fields);
        self
    }

    /// A call of a method, carried out or refused (OPC 10000-9 §5.10.2 to §5.10.11).
    pub(crate) fn of_call(called: Called<'_>, outcome: Outcome<'_>) -> Self {
        let name = cut(called.name);
        let source = (called.object, &*format!("Method/{name}"));
        let message = format!("{name} by {}", called.user);
        let arguments = called.arguments.iter().take(ARGUMENTS_MAX);
        let arguments = arguments.map(|argument| Variant::Variant(Box::new(bounded(argument)))).collect();
        let arguments = Array::new::<Vec<Variant>>(VariantScalarTypeId::Variant, arguments);
        let own = [
            ("ConditionEventId", called.event_id),
            ("Comment", called.comment),
            ("ShelvingTime", called.shelving_time),
        ];
        Self::new(type_of(called.kind), source, message, outcome)
            .by(called.user)
            .with([
                ("MethodId", short_id(called.method).into()),
                ("InputArguments", arguments.map_or(Variant::Empty, Variant::from)),
            ])
            .with(own.into_iter().filter_map(|(name, value)| Some((name, bounded(&value?)))))
    }

    /// What the gateway did to a condition, or to so many more, by itself (OPC 10000-9 §5.10.1, §5.10.9).
    pub(crate) fn by_itself(of: Option<(NodeId, &[u8])>, done: &Done, count: u64, outcome: Outcome<'_>) -> Self {
        let name = format!("Internal/{}", done.name);
        let message = match &of {
            Some(_) => format!("{} by the gateway: {}", done.name, done.why),
            None => format!("{} of {count} more conditions by the gateway: {}", done.name, done.why),
        };
        let (node, event_id) = match of {
            Some((node, event_id)) => (node, ByteString::from(event_id.to_vec()).into()),
            None => (ObjectId::Server.into(), Variant::Empty),
        };
        Self::new(type_of(Some(done.kind())), (node, &name), message, outcome)
            .by(THE_GATEWAY)
            .with([("ConditionEventId", event_id)])
    }

    /// An acknowledgement that was written and not called.
    pub(crate) fn of_acknowledgement(
        node: NodeId,
        event_id: Option<Vec<u8>>,
        user: &str,
        outcome: Outcome<'_>,
    ) -> Self {
        let kind = type_of(Some(CommandKind::Acknowledge));
        let message = format!("AcknowledgeRequest written by {user}");
        let event_id = event_id.map_or(Variant::Empty, |event_id| ByteString::from(event_id).into());
        let event = Self::new(kind, (node, "Internal/AcknowledgeRequest"), message, outcome).by(user);
        event.with([("ConditionEventId", bounded(&event_id))])
    }

    /// A value that was written (OPC 10000-5 §6.4.25).
    pub(crate) fn of_write(
        (node, attribute): (NodeId, AttributeId),
        value: Option<Variant>,
        user: &str,
        outcome: Outcome<'_>,
    ) -> Self {
        let (source, message) = ((node, "Attribute/Write"), format!("{attribute:?} written by {user}"));
        Self::new(ObjectTypeId::AuditWriteUpdateEventType, source, message, outcome).by(user).with([
            ("AttributeId", (attribute as u32).into()),
            ("IndexRange", UAString::null().into()),
            ("NewValue", bounded(&value.unwrap_or_default())),
            ("OldValue", Variant::Empty),
        ])
    }

    /// A filter that nobody could evaluate.
    pub(crate) fn of_filter(node: &NodeId, user: &str, outcome: Outcome<'_>) -> Self {
        let source = (node.clone(), "MonitoredItem/Filter");
        Self::new(ObjectTypeId::AuditSecurityEventType, source, format!("a filter by {user}"), outcome).by(user)
    }

    /// A user's certificate that let nobody in, with why.
    pub(crate) fn of_user_certificate(certificate: &[u8], why: &str, outcome: Outcome<'_>) -> Self {
        let kind = certificate_type(outcome.status).unwrap_or(ObjectTypeId::AuditCertificateEventType);
        let source = (NodeId::from(ObjectId::Server), CERTIFICATE_SOURCE);
        let certificate = small(&ByteString::from(certificate.to_vec()));
        Self::new(kind, source, why.to_owned(), outcome).with([("Certificate", certificate.into())])
    }

    /// A message that could not be read, so that nobody knows what it asked for, or that came over another channel than
    /// that of its session.
    pub(crate) fn of_unreadable(client: &SecurityClient, outcome: Outcome<'_>) -> Self {
        let from = client.address.map_or_else(String::new, |address| format!(" from {address}"));
        let source = (NodeId::from(ObjectId::Server), "SecureChannel/Message");
        let what = match outcome.status {
            StatusCode::BadSecureChannelIdInvalid => "a request for the session of another connection",
            StatusCode::BadSecurityPolicyRejected => "a channel by a security policy that is not offered",
            _ => "a message that cannot be read",
        };
        Self::new(ObjectTypeId::AuditSecurityEventType, source, format!("{what}{from}"), outcome)
    }

    /// What was asked about a secure channel or a session; for a certificate that was refused, that as well.
    pub(crate) fn of_security(
        client: &SecurityClient,
        request: SecurityRequest<'_>,
        session: &NodeId,
        outcome: Outcome<'_>,
    ) -> Vec<Self> {
        let server = |name| (NodeId::from(ObjectId::Server), name);
        let from = client.address.map_or_else(String::new, |address| format!(" from {address}"));
        let channel = || [("SecureChannelId", Variant::from(UAString::from(client.secure_channel_id.to_string())))];
        let policy = || {
            [
                ("SecurityPolicyUri", UAString::from(client.security_policy.to_uri()).into()),
                ("SecurityMode", (client.security_mode as i32).into()),
            ]
        };
        let entry =
            |header: &opcua::types::RequestHeader| [("ClientAuditEntryId", short(&header.audit_entry_id).into())];
        match request {
            SecurityRequest::OpenSecureChannel(asked, certificate) => {
                let certificate = small(certificate);
                let kind = ObjectTypeId::AuditOpenSecureChannelEventType;
                let source = server("SecureChannel/OpenSecureChannel");
                let event = Self::new(kind, source, format!("a secure channel was asked for{from}"), outcome)
                    .with(entry(&asked.request_header))
                    .with(channel())
                    .with(policy())
                    .with([
                        ("ClientUserId", UAString::from("System/OpenSecureChannel").into()),
                        ("ClientCertificateThumbprint", UAString::from(thumbprint(&certificate)).into()),
                        ("ClientCertificate", certificate.into()),
                        ("RequestType", (asked.request_type as i32).into()),
                        ("RequestedLifetime", f64::from(asked.requested_lifetime).into()),
                    ]);
                vec![event]
            }
            SecurityRequest::CreateSession(asked, revised_timeout_ms) => {
                let kind = ObjectTypeId::AuditCreateSessionEventType;
                let certificate = &small(&asked.client_certificate);
                let name = short(&asked.client_description.application_uri);
                let message = format!("a session was asked for{from} by {name}");
                let event = Self::new(kind, server("Session/CreateSession"), message, outcome)
                    .with(entry(&asked.request_header))
                    .with(channel())
                    .with([
                        ("SessionId", session.clone().into()),
                        ("ClientCertificate", certificate.clone().into()),
                        ("ClientCertificateThumbprint", UAString::from(thumbprint(certificate)).into()),
                        ("ClientUserId", UAString::from("System/CreateSession").into()),
                        // Where there is no session nothing was revised.
                        ("RevisedSessionTimeout", revised_timeout_ms.unwrap_or_default().into()),
                    ]);
                let refused = certificate_type(outcome.status).map(|kind| {
                    let subject = Certificate::first_of(certificate.as_ref()).map_or_else(String::new, |c| c.subject());
                    let message = format!("certificate `{subject}` of {name}{from}");
                    let of_another = outcome.status == StatusCode::BadCertificateUriInvalid;
                    let uri = of_another.then(|| ("InvalidUri", name.clone().into()));
                    Self::new(kind, server(CERTIFICATE_SOURCE), message, outcome)
                        .with(entry(&asked.request_header))
                        .with([("Certificate", certificate.clone().into())])
                        .with(uri)
                });
                std::iter::once(event).chain(refused).collect()
            }
            SecurityRequest::ActivateSession(asked) => {
                let kind = ObjectTypeId::AuditActivateSessionEventType;
                let (user, shown) = shown(&asked.user_identity_token);
                let message = format!("log-in of {user}{from}");
                let event = Self::new(kind, server("Session/ActivateSession"), message, outcome)
                    .with(entry(&asked.request_header))
                    .with(channel())
                    .with([
                        ("SessionId", session.clone().into()),
                        ("ClientUserId", UAString::from(user).into()),
                        ("UserIdentityToken", shown.into()),
                    ]);
                vec![event]
            }
            SecurityRequest::CloseSession(asked) => {
                let kind = ObjectTypeId::AuditSessionEventType;
                let event =
                    Self::new(kind, server("Session/CloseSession"), format!("a session was closed{from}"), outcome)
                        .with(entry(&asked.request_header))
                        .with([("SessionId", session.clone().into())]);
                vec![event]
            }
            SecurityRequest::TransferSubscriptions(asked, user) => {
                let kind = ObjectTypeId::AuditSessionEventType;
                let user = name_of(user);
                let message = format!("subscriptions taken over{from} by {user}");
                let event = Self::new(kind, server("Session/TransferSubscriptions"), message, outcome)
                    .by(user)
                    .with(entry(&asked.request_header))
                    .with([("SessionId", session.clone().into())]);
                vec![event]
            }
        }
    }

    /// A session that ended without its client having closed it (OPC 10000-4 §6.5.6).
    pub(crate) fn of_session_end(
        session: &NodeId,
        user: Option<&UserToken>,
        end: SessionEnd,
        outcome: Outcome<'_>,
    ) -> Self {
        let (name, message) = match end {
            SessionEnd::Timeout => ("Session/Timeout", "a session ended, since its client was silent for too long"),
            SessionEnd::Terminated => ("Session/Terminated", "a session that nobody used made room for another"),
            // The name of all cases but a timeout (OPC 10000-5 §6.4.7).
            SessionEnd::Ended => {
                ("Session/Terminated", "a session ended, since its user is gone or has to log in anew")
            }
        };
        let source = (NodeId::from(ObjectId::Server), name);
        Self::new(ObjectTypeId::AuditSessionEventType, source, message.to_owned(), outcome)
            .by(user.map_or("", name_of))
            .with([("SessionId", session.clone().into())])
    }
}

/// The type of the event for a method (OPC 10000-9 §5.10).
const fn type_of(kind: Option<CommandKind>) -> ObjectTypeId {
    match kind {
        None => ObjectTypeId::AuditUpdateMethodEventType,
        Some(CommandKind::Enable | CommandKind::Disable) => ObjectTypeId::AuditConditionEnableEventType,
        Some(CommandKind::AddComment) => ObjectTypeId::AuditConditionCommentEventType,
        Some(CommandKind::Acknowledge) => ObjectTypeId::AuditConditionAcknowledgeEventType,
        Some(CommandKind::Confirm) => ObjectTypeId::AuditConditionConfirmEventType,
        Some(CommandKind::TimedShelve(_) | CommandKind::OneShotShelve | CommandKind::Unshelve) => {
            ObjectTypeId::AuditConditionShelvingEventType
        }
        Some(CommandKind::Suppress | CommandKind::Unsuppress) => ObjectTypeId::AuditConditionSuppressionEventType,
        Some(
            CommandKind::RemoveFromService
            | CommandKind::RemoveFromServiceFor(_)
            | CommandKind::PlanRemovalFromService { .. }
            | CommandKind::PlaceInService,
        ) => ObjectTypeId::AuditConditionOutOfServiceEventType,
        // The standard has none for it.
        Some(CommandKind::Mark(_)) => ObjectTypeId::AuditConditionEventType,
        Some(CommandKind::Silence) => ObjectTypeId::AuditConditionSilenceEventType,
        Some(CommandKind::Reset) => ObjectTypeId::AuditConditionResetEventType,
    }
}

/// The type of the event for a certificate that was refused (OPC 10000-4 §6.1.3).
const fn certificate_type(status: StatusCode) -> Option<ObjectTypeId> {
    Some(match status {
        StatusCode::BadCertificateTimeInvalid | StatusCode::BadCertificateIssuerTimeInvalid => {
            ObjectTypeId::AuditCertificateExpiredEventType
        }
        StatusCode::BadCertificateHostNameInvalid | StatusCode::BadCertificateUriInvalid => {
            ObjectTypeId::AuditCertificateDataMismatchEventType
        }
        StatusCode::BadCertificateInvalid | StatusCode::BadCertificatePolicyCheckFailed => {
            ObjectTypeId::AuditCertificateInvalidEventType
        }
        StatusCode::BadCertificateUntrusted | StatusCode::BadCertificateChainIncomplete => {
            ObjectTypeId::AuditCertificateUntrustedEventType
        }
        StatusCode::BadCertificateRevoked | StatusCode::BadCertificateIssuerRevoked => {
            ObjectTypeId::AuditCertificateRevokedEventType
        }
        StatusCode::BadCertificateUseNotAllowed | StatusCode::BadCertificateIssuerUseNotAllowed => {
            ObjectTypeId::AuditCertificateMismatchEventType
        }
        _ => return None,
    })
}

fn thumbprint(certificate: &ByteString) -> String {
    Certificate::first_of(certificate.as_ref()).map_or_else(String::new, |found| found.thumbprint().to_string())
}

/// Whom a log-in names, and its token without what is secret.
fn shown(token: &ExtensionObject) -> (String, ExtensionObject) {
    match IdentityToken::new(token.clone()) {
        IdentityToken::Anonymous(_) => ("anonymous".to_owned(), ExtensionObject::null()),
        IdentityToken::UserName(named) => {
            let without = UserNameIdentityToken {
                policy_id: short(&named.policy_id),
                user_name: short(&named.user_name),
                ..UserNameIdentityToken::default()
            };
            (without.user_name.to_string(), ExtensionObject::from_message(without))
        }
        IdentityToken::X509(shown) => {
            let certificate_data = small(&shown.certificate_data);
            let owner =
                Certificate::first_of(certificate_data.as_ref()).map_or_else(String::new, |owner| owner.subject());
            let without = X509IdentityToken { policy_id: short(&shown.policy_id), certificate_data };
            (owner, ExtensionObject::from_message(without))
        }
        IdentityToken::None | IdentityToken::IssuedToken(_) | IdentityToken::Invalid(_) => {
            (String::new(), ExtensionObject::null())
        }
    }
}

/// A text, cut where it is long.
fn short(text: &UAString) -> UAString {
    UAString::from(cut(text.as_ref()).as_ref())
}

/// What somebody wrote, no longer than a line in a log should be.
pub(crate) fn cut(whole: &str) -> Cow<'_, str> {
    if whole.len() <= LONG_MAX { whole.into() } else { whole.chars().take(LONG_MAX / 4).collect() }
}

/// The id of a node; of one that is longer than that of any node the beginning, or nothing.
fn short_id(id: NodeId) -> NodeId {
    let identifier = match id.identifier {
        Identifier::String(text) => Identifier::String(short(&text)),
        Identifier::ByteString(bytes) if bytes.as_ref().len() > LONG_MAX => Identifier::ByteString(ByteString::null()),
        of_some_bytes => of_some_bytes,
    };
    NodeId { identifier, ..id }
}

/// A certificate, or nothing in place of one that is none by its size.
fn small(certificate: &ByteString) -> ByteString {
    if certificate.as_ref().len() <= CERTIFICATE_MAX { certificate.clone() } else { ByteString::null() }
}

/// An argument, or nothing in place of one that is long or of no kind that our methods take.
fn bounded(argument: &Variant) -> Variant {
    let long = match argument {
        Variant::String(text) => text.as_ref().len(),
        Variant::ByteString(bytes) => bytes.as_ref().len(),
        Variant::LocalizedText(text) => text.locale.as_ref().len() + text.text.as_ref().len(),
        simple if matches!(simple.scalar_type_id(), Some(kind) if (kind as u32) <= 11) => 0,
        _ => usize::MAX,
    };
    if long <= LONG_MAX { argument.clone() } else { Variant::Empty }
}

impl EventField for AuditEvent {
    fn get_value(&self, attribute: AttributeId, range: &NumericRange, path: &[QualifiedName]) -> Variant {
        let [name] = path else { return Variant::Empty };
        if attribute != AttributeId::Value || name.namespace_index != 0 {
            return Variant::Empty;
        }
        let found = self.fields.iter().find(|(field, _)| *field == name.name.as_ref());
        let value = found.map_or(Variant::Empty, |(_, value)| value.clone());
        within(value, range)
    }
}

impl Event for AuditEvent {
    fn get_field(&self, _: &NodeId, attribute: AttributeId, range: &NumericRange, path: &[QualifiedName]) -> Variant {
        self.get_value(attribute, range, path)
    }

    fn time(&self) -> &DateTime {
        &self.time
    }

    fn event_type_id(&self) -> &NodeId {
        &self.kind
    }
}

#[cfg(test)]
mod tests {
    use opcua::crypto::SecurityPolicy;
    use opcua::types::{CreateSessionRequest, MessageSecurityMode};

    use super::*;

    /// The events of a session that was asked for with a certificate.
    fn events(status: StatusCode) -> Vec<AuditEvent> {
        let client = SecurityClient {
            address: None,
            secure_channel_id: 1,
            security_policy: SecurityPolicy::Basic256Sha256,
            security_mode: MessageSecurityMode::SignAndEncrypt,
        };
        let asked = CreateSessionRequest { client_certificate: vec![0x30, 0x82].into(), ..Default::default() };
        let outcome = Outcome { server: "urn:test", at: Instant::from_s(1), status };
        AuditEvent::of_security(&client, SecurityRequest::CreateSession(&asked, None), &NodeId::null(), outcome)
    }

    fn field(event: &AuditEvent, name: &str) -> Variant {
        event.get_value(AttributeId::Value, &NumericRange::None, &[QualifiedName::new(0, name)])
    }

    #[test]
    fn what_a_client_makes_long_is_told_by_its_beginning() {
        let long = "x".repeat(1 << 20);
        let id = NodeId::new(2, long.as_str());
        let arguments = vec![Variant::from(long.as_str()); 10_000];
        let called = Called {
            object: id.clone(),
            method: id.clone(),
            name: &id.to_string(),
            arguments: &arguments,
            kind: None,
            user: "ann",
            event_id: None,
            comment: Some(long.as_str().into()),
            shelving_time: None,
        };
        let status = StatusCode::BadNodeIdUnknown;
        let outcome = Outcome { server: "urn:test", at: Instant::from_s(1), status };
        for event in [
            AuditEvent::of_call(called, outcome),
            AuditEvent::of_write((id.clone(), AttributeId::Value), Some(long.as_str().into()), "ann", outcome),
            AuditEvent::of_filter(&id, "ann", outcome),
        ] {
            let refused = event.refused().map(|refused| format!("{refused:?}").len());
            assert!(refused.is_some_and(|length| length < 3 * LONG_MAX), "{refused:?}");
            for (name, value) in &event.fields {
                let length = format!("{value:?}").len();
                assert!(length < 2 * LONG_MAX, "{name} has {length} characters");
            }
        }
    }

    #[test]
    fn p5_6_4_each_way_in_which_a_certificate_is_refused_has_its_own_event() {
        use ObjectTypeId as T;
        use StatusCode as S;
        for (status, kind) in [
            (S::BadCertificateTimeInvalid, T::AuditCertificateExpiredEventType),
            (S::BadCertificateIssuerTimeInvalid, T::AuditCertificateExpiredEventType),
            (S::BadCertificateRevoked, T::AuditCertificateRevokedEventType),
            (S::BadCertificateIssuerRevoked, T::AuditCertificateRevokedEventType),
            (S::BadCertificateInvalid, T::AuditCertificateInvalidEventType),
            (S::BadCertificatePolicyCheckFailed, T::AuditCertificateInvalidEventType),
            (S::BadCertificateUseNotAllowed, T::AuditCertificateMismatchEventType),
            (S::BadCertificateIssuerUseNotAllowed, T::AuditCertificateMismatchEventType),
            (S::BadCertificateUriInvalid, T::AuditCertificateDataMismatchEventType),
            (S::BadCertificateHostNameInvalid, T::AuditCertificateDataMismatchEventType),
            (S::BadCertificateUntrusted, T::AuditCertificateUntrustedEventType),
            (S::BadCertificateChainIncomplete, T::AuditCertificateUntrustedEventType),
        ] {
            let told = events(status);
            let kinds: Vec<NodeId> = told.iter().map(|event| event.event_type_id().clone()).collect();
            assert_eq!(kinds, [NodeId::from(T::AuditCreateSessionEventType), kind.into()], "{status}");
            for event in &told {
                assert_eq!((field(event, "Status"), field(event, "StatusCodeId")), (false.into(), status.into()));
            }
            let certificate = Variant::from(ByteString::from(vec![0x30, 0x82]));
            assert_eq!(field(&told[1], "SourceName"), UAString::from("Security/Certificate").into());
            assert_eq!(field(&told[1], "Certificate"), certificate, "{status}");
        }
        for other in [S::Good, S::BadTooManySessions, S::BadIdentityTokenRejected] {
            assert_eq!(events(other).len(), 1, "{other} is none of a certificate");
        }
    }
}
