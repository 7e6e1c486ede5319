//! Why a question was not answered, each with its way out.

use opcua::types::StatusCode;
use watchfire_config::SecretError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// Nobody answers, or somebody else does.
    #[error("cannot reach the gateway at `{url}`: {detail}; is it running, with this configuration?")]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        detail: String,
    },
    /// The server has none of our nodes.
    #[error("what answers at `{0}` is no Watchfire: another server has the port")]
    Another(String),
    /// The server's certificate or key cannot be read.
    #[error(
        "cannot read the gateway's certificate below `{folder}` ({detail}): run this as the user the gateway runs as"
    )]
    Certificate {
        /// Where it should be.
        folder: String,
        /// Why not.
        detail: String,
    },
    /// The user is not let in.
    #[error(
        "the gateway does not let in {user} ({status}): give `--user` and its password, as the configuration has them"
    )]
    Login {
        /// Who.
        user: String,
        /// The server's answer.
        status: StatusCode,
    },
    /// The password cannot be read.
    #[error(transparent)]
    Password(#[from] SecretError),
    /// There is no such condition or area.
    #[error("there is no {0}; `watchfire alarms list` names what stands, `watchfire alarms history` what stood")]
    Unknown(String),
    /// The gateway refuses.
    #[error("{doing}: the gateway refuses ({status}): {why}")]
    Refused {
        /// What was asked.
        doing: String,
        /// Its answer.
        status: StatusCode,
        /// What it means.
        why: &'static str,
    },
    /// The connection ended in the middle.
    #[error("{doing}: {status}")]
    Lost {
        /// What was asked.
        doing: String,
        /// How it ended.
        status: StatusCode,
    },
}

impl ConsoleError {
    /// What a status means when something was asked of an alarm (OPC 10000-9 §5.5 to §5.8).
    pub(crate) fn refused(doing: &str, status: StatusCode) -> Self {
        let why = match status {
            StatusCode::BadUserAccessDenied => "this user may not; log in as another with `--user`",
            StatusCode::BadConditionBranchAlreadyAcked => "it is acknowledged already",
            StatusCode::BadConditionBranchAlreadyConfirmed => "it is confirmed already",
            StatusCode::BadEventIdUnknown => "that event is not of what stands now; list the alarms again",
            StatusCode::BadConditionDisabled => "it is disabled; enable it first",
            StatusCode::BadConditionAlreadyEnabled => "it is enabled already",
            StatusCode::BadConditionAlreadyDisabled => "it is disabled already",
            StatusCode::BadConditionAlreadyShelved => "it is shelved already; unshelve it first",
            StatusCode::BadConditionNotShelved => "it is not shelved",
            StatusCode::BadShelvingTimeOutOfRange => "the time is none, or longer than it may be shelved",
            StatusCode::BadOutOfRange => {
                "the time out of service is none, begins in the past, or is longer than a year"
            }
            StatusCode::BadInvalidState => "it is not latched, or it still stands, or it waits to be acknowledged",
            StatusCode::BadInvalidArgument => "the comment is missing or too long",
            StatusCode::BadTooManyOperations => "it is busy or stopping; try again",
            _ => return Self::Lost { doing: doing.to_owned(), status },
        };
        Self::Refused { doing: doing.to_owned(), status, why }
    }
}
