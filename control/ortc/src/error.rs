//! The one error of this crate.

/// Why something was refused. Both kinds name the field of the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrtcError {
    /// The value is missing, of a wrong type or contradicts another one.
    #[error("{field}: {message}")]
    Invalid {
        /// Path in the request, such as `rtpParameters.codecs[0].mimeType`.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// The value is well-formed, but this server or router has nothing for it.
    #[error("{field}: {message}")]
    Unsupported {
        /// Path in the request, such as `rtpParameters.codecs[0]`.
        field: String,
        /// What is not supported.
        message: String,
    },
}

impl OrtcError {
    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            message: message.into(),
        }
    }

    pub(crate) fn unsupported(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Unsupported {
            field: field.into(),
            message: message.into(),
        }
    }

    /// Path of the field in the request.
    pub fn field(&self) -> &str {
        match self {
            Self::Invalid { field, .. } | Self::Unsupported { field, .. } => field,
        }
    }

    /// What is wrong, without the field.
    pub fn message(&self) -> &str {
        match self {
            Self::Invalid { message, .. } | Self::Unsupported { message, .. } => message,
        }
    }
}
