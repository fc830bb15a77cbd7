//! Why a store did not do what was asked: one line, and whether trying again can help.

/// Why the store did not do what was asked. One line: what, where, what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Something the user must put right: no bucket, wrong credentials, a store that must not be used. Exit code 2.
    #[error("{0}")]
    Unusable(String),
    /// Trying again may help.
    #[error("{0}")]
    Transient(String),
}

impl From<getrandom::Error> for StoreError {
    fn from(error: getrandom::Error) -> Self {
        StoreError::Unusable(format!("no random numbers from the system: {error}"))
    }
}

impl From<StoreError> for object_store::Error {
    fn from(error: StoreError) -> Self {
        object_store::Error::Generic { store: "lake", source: Box::new(error) }
    }
}

/// Whether trying again can help, and one line about it.
pub(crate) fn classify(what: &str, error: &object_store::Error) -> StoreError {
    use object_store::Error::{NotFound, NotImplemented, NotSupported, PermissionDenied, Unauthenticated};
    let text = chain(error);
    let has = |words: &[&str]| words.iter().any(|w| text.contains(w));
    let advice = if has(&["NoSuchBucket"]) || matches!(error, NotFound { .. }) {
        "there is no such bucket; `citystream lake init` creates it"
    } else if has(&["InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"])
        || matches!(error, Unauthenticated { .. })
    {
        "the store does not accept the credentials; check access key, secret key and clock"
    } else if matches!(error, PermissionDenied { .. }) || has(&["AccessDenied"]) {
        "access denied; the credentials need to read, write and list there"
    } else if has(&["without LOCATION", "PermanentRedirect", "AuthorizationHeaderMalformed"]) {
        "the bucket is in another region; set the region"
    } else if matches!(error, NotImplemented { .. } | NotSupported { .. }) {
        "the store cannot do that"
    } else if io_kind(error).is_some_and(fatal_io) {
        "check the directory and its permissions"
    } else {
        return StoreError::Transient(format!("{what}: {}", one_line(&text)));
    };
    unusable(format!("{what}: {advice} ({})", one_line(&text)))
}

fn fatal_io(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind as K;
    matches!(kind, K::PermissionDenied | K::ReadOnlyFilesystem | K::NotADirectory | K::IsADirectory)
}

fn io_kind(error: &object_store::Error) -> Option<std::io::ErrorKind> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}

/// An error with its causes, each said once.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = error.source();
    }
    text
}

/// One line of at most some 400 characters.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(400) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

pub(crate) fn unusable(text: String) -> StoreError {
    StoreError::Unusable(one_line(&text))
}
