//! How messages of a connection are secured: the policies and modes that can be asked for by name.

use crate::section::Section;

/// A security policy (OPC 10000-7 §6.6). What is not safe any more, such as Basic256 or Basic128Rsa15, is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Security {
    /// None at all: only when asked for by name.
    None,
    /// Basic256Sha256: what nearly every server has.
    Basic256Sha256,
    /// Aes128_Sha256_RsaOaep.
    Aes128Sha256RsaOaep,
    /// Aes256_Sha256_RsaPss: the strongest.
    Aes256Sha256RsaPss,
}

/// What is done to messages under a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MessageMode {
    /// Signed and encrypted.
    #[default]
    SignAndEncrypt,
    /// Signed: nobody can change a message, everybody on the way can read it.
    Sign,
}

impl Security {
    pub(crate) const WORDS: [(&str, Self); 4] = [
        ("none", Self::None),
        ("basic256sha256", Self::Basic256Sha256),
        ("aes128_sha256_rsaoaep", Self::Aes128Sha256RsaOaep),
        ("aes256_sha256_rsapss", Self::Aes256Sha256RsaPss),
    ];
}

impl MessageMode {
    const WORDS: [(&str, Self); 2] = [("sign_and_encrypt", Self::SignAndEncrypt), ("sign", Self::Sign)];

    /// Reads a source's mode, which makes no sense without a policy.
    pub(crate) fn read(section: &Section<'_>, security: Security) -> Self {
        let mode = section.choice_or("message_mode", Self::default(), &Self::WORDS);
        if security == Security::None && mode == Self::Sign {
            let message =
                "`message_mode` is \"sign\", but `security` is \"none\": nothing would be signed; take one out";
            section.wrong(section.at, message);
        }
        mode
    }
}
