//! How a store is reached.

/// How to reach an S3 store. All fields may be empty: then the AWS environment, profile and instance decide.
#[derive(Clone, Default)]
pub struct StoreOptions {
    /// The endpoint of an S3-compatible store, such as `http://127.0.0.1:9000`.
    pub endpoint: Option<String>,
    /// The region; without it the AWS chain's, then `us-east-1`.
    pub region: Option<String>,
    /// Access key and secret key, where they do not come from the AWS credential chain.
    pub keys: Option<(String, String)>,
    /// Address the bucket in the host name rather than in the path (AWS itself: always).
    pub virtual_hosted: bool,
}

impl std::fmt::Debug for StoreOptions {
    /// Never shows a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { endpoint, region, keys, virtual_hosted } = self;
        write!(f, "StoreOptions {{ {endpoint:?}, {region:?}, keys: {}, {virtual_hosted} }}", keys.is_some())
    }
}
