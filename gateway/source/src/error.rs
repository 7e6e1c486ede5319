//! Why a source is not connected: each with its way out, since the text is what people see.

use std::path::PathBuf;

use opcua::types::{Error, StatusCode};
use watchfire_config::{EndpointUrl, SecretError};
use watchfire_ua::{Refused, UaError};

/// What keeps a source from being read, or ended a connection.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nobody answers.
    #[error("cannot reach `{url}`: {detail}")]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        detail: String,
    },
    /// The server does not offer the configured security.
    #[error(
        "`{url}` does not offer security `{wanted}` with this login; it offers {offered}; set `security` or `user` to match"
    )]
    NotOffered {
        /// Where.
        url: String,
        /// The configured security.
        wanted: String,
        /// What the server offers.
        offered: String,
    },
    /// The server's certificate is not believed.
    #[error("the server's {0}")]
    Certificate(Box<Refused>),
    /// The server does not trust us.
    #[error("the server refuses our certificate ({status}): trust `{}` on the server", file.display())]
    RefusesUs {
        /// The server's answer.
        status: StatusCode,
        /// Our certificate.
        file: PathBuf,
    },
    /// The server does not accept the user.
    #[error("the server refuses to log in {user} ({status}); check {}", what_to_check(user))]
    Login {
        /// Who.
        user: String,
        /// The server's answer.
        status: StatusCode,
    },
    /// The password cannot be read.
    #[error(transparent)]
    Password(#[from] SecretError),
    /// The certificate to log in with, or its key, cannot be used.
    #[error("user certificate: `{}` {why}", file.display())]
    UserCertificate {
        /// Which of the two files.
        file: PathBuf,
        /// What is wrong with it; never its contents.
        why: String,
    },
    /// Certificates or node ids of ours.
    #[error(transparent)]
    Ua(#[from] UaError),
    /// A node that was asked for is not there.
    #[error(
        "there is no node `{node}` on the server, or more than one; `watchfire browse` without a path shows what there is"
    )]
    NoNode {
        /// As it was asked for.
        node: String,
    },
    /// A request failed.
    #[error("{doing} failed: {status}")]
    Request {
        /// What was asked.
        doing: &'static str,
        /// The answer.
        status: StatusCode,
    },
    /// Another server of the same source is better off.
    #[error("its server is not well; `{url}` is read instead")]
    Better {
        /// Which.
        url: EndpointUrl,
    },
    /// A fault of ours.
    #[error("its task failed ({0}) and is begun anew; please report it, with the log")]
    Panicked(String),
    /// The connection ended or fell silent.
    #[error("connection lost: {0}")]
    Lost(String),
}

impl SourceError {
    /// For `map_err` of a request.
    pub(crate) fn request(doing: &'static str) -> impl FnOnce(Error) -> Self {
        move |error| Self::Request { doing, status: error.status() }
    }

    /// Whether nothing but a person's work can end it.
    #[must_use]
    pub const fn needs_person(&self) -> bool {
        matches!(
            self,
            Self::NotOffered { .. }
                | Self::Certificate(_)
                | Self::RefusesUs { .. }
                | Self::Login { .. }
                | Self::Password(_)
                | Self::UserCertificate { .. }
                | Self::Ua(_)
                | Self::Panicked(_)
        )
    }

    /// Whether the transport or the session failed, so that it may be taken up again.
    pub(crate) const fn is_loss(&self) -> bool {
        matches!(self, Self::Lost(_))
    }

    /// Whether the other side may still listen, so that a goodbye makes sense.
    pub(crate) const fn can_say_goodbye(&self) -> bool {
        !matches!(self, Self::Lost(_) | Self::Unreachable { .. } | Self::Panicked(_))
    }
}

/// Whether it is the connection or the session that failed and not the request.
pub(crate) fn is_lost(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadConnectionClosed
            | StatusCode::BadNotConnected
            | StatusCode::BadSessionClosed
            | StatusCode::BadSessionIdInvalid
            | StatusCode::BadSecureChannelClosed
            | StatusCode::BadSecureChannelIdInvalid
            | StatusCode::BadCommunicationError
    )
}

/// Whether a whole request was more than the server takes, so that a smaller one may do.
pub(crate) fn is_too_large(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadTooManyOperations
            | StatusCode::BadRequestTooLarge
            | StatusCode::BadResponseTooLarge
            | StatusCode::BadEncodingLimitsExceeded
    )
}

/// Whether it may be one of several things in a request that the whole of it was refused for, or not answered for, so that
/// fewer at once may do, and one alone concerns no other: not where the connection is lost, nor where the server says of
/// itself that it cannot.
pub(crate) fn may_be_one(status: StatusCode) -> bool {
    !is_lost(status)
        && !matches!(
            status,
            StatusCode::BadServerHalted
                | StatusCode::BadShutdown
                | StatusCode::BadTcpServerTooBusy
                | StatusCode::BadServiceUnsupported
                | StatusCode::BadSubscriptionIdInvalid
                | StatusCode::BadNoSubscription
                | StatusCode::BadSessionNotActivated
        )
}

/// Whether a request to make items was answered with fewer results than there were items. The client crate says so with a
/// status that servers have for an exception of theirs as well, after which none was made: only its text tells the two
/// apart.
pub(crate) fn is_short_answer(error: &Error) -> bool {
    let is_of_the_crate =
        std::error::Error::source(error).is_some_and(|said| said.to_string().starts_with("create_monitored_items, "));
    error.status() == StatusCode::BadUnexpectedError && is_of_the_crate
}

/// Whether an answer could not be read here, or was more than fits into one: of a request for one value it is that value.
pub(crate) fn is_unreadable(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadDecodingError | StatusCode::BadEncodingLimitsExceeded | StatusCode::BadResponseTooLarge
    )
}

fn what_to_check(user: &str) -> &'static str {
    if user.contains("certificate") {
        "that the server trusts it for users, and that it is valid"
    } else {
        "`user` and its password"
    }
}
