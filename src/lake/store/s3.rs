//! S3 and S3-compatible stores: credentials from the whole AWS chain, preflight, and bucket creation.
//!
//! TLS is rustls with ring. Every request has a timeout and a bounded number of retries; what remains is for the
//! caller to decide.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, CredentialProvider, ObjectStore, RetryConfig};
use tokio::sync::Mutex;

use crate::lake::store::StoreOptions;
use crate::lake::store::error::{StoreError, chain, one_line, unusable};
use crate::lake::store::requests::Requests;

/// How long before their end credentials are renewed.
const RENEW: Duration = Duration::from_secs(300);

/// Opens a bucket below a prefix after checking that it answers; creates the bucket first if told to.
pub async fn open(
    bucket: &str,
    prefix: &str,
    options: &StoreOptions,
    create: bool,
    requests: &Requests,
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    // Another part of the program may have installed the same provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = super::aws::config(options).await;
    let region = config.region().map_or("us-east-1".into(), ToString::to_string);
    let provider = config.credentials_provider().ok_or_else(|| no_credentials(""))?;
    let credentials = Chain { provider, cached: Mutex::default() };
    credentials.get().await?;
    preflight(&client(&config, options), bucket, &region, options, create).await?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&region)
        .with_credentials(Arc::new(credentials))
        .with_virtual_hosted_style_request(options.virtual_hosted || options.endpoint.is_none())
        .with_client_options(client_options(options))
        .with_http_connector(requests.clone())
        .with_retry(retry());
    if let Some(endpoint) = endpoint(options, bucket) {
        builder = builder.with_endpoint(endpoint);
    }
    let store = builder.build().map_err(|e| unusable(format!("cannot use s3://{bucket}: {}", chain(&e))))?;
    let prefix = Path::parse(prefix).map_err(|e| unusable(format!("not a prefix: {prefix}: {e}")))?;
    Ok(Arc::new(PrefixStore::new(store, prefix)))
}

/// The endpoint as `object_store` wants it: with the bucket in it where the host names it.
fn endpoint(options: &StoreOptions, bucket: &str) -> Option<String> {
    let endpoint = options.endpoint.as_deref()?.trim_end_matches('/');
    match endpoint.split_once("://") {
        Some((scheme, host)) if options.virtual_hosted => Some(format!("{scheme}://{bucket}.{host}")),
        _ => Some(endpoint.into()),
    }
}

fn client_options(options: &StoreOptions) -> ClientOptions {
    let plain = options.endpoint.as_deref().is_some_and(|e| e.starts_with("http://"));
    ClientOptions::new()
        .with_allow_http(plain)
        .with_connect_timeout(Duration::from_secs(5))
        .with_timeout(Duration::from_secs(30))
}

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 4,
        retry_timeout: Duration::from_secs(20),
    }
}

fn client(config: &SdkConfig, options: &StoreOptions) -> Client {
    let path_style = options.endpoint.is_some() && !options.virtual_hosted;
    let mut builder = aws_sdk_s3::config::Builder::from(config).force_path_style(path_style);
    if let Some(endpoint) = &options.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    Client::from_conf(builder.build())
}

/// Whether the bucket answers to these credentials; creates it if it is missing and `create` is set.
async fn preflight(
    client: &Client,
    bucket: &str,
    region: &str,
    options: &StoreOptions,
    create: bool,
) -> Result<(), StoreError> {
    let place = options.endpoint.as_deref().unwrap_or(region);
    let error = match client.head_bucket().bucket(bucket).send().await {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    match error.raw_response().map(|r| r.status().as_u16()) {
        Some(404) if create => create_bucket(client, bucket, region, options, place).await,
        Some(404) => Err(unusable(format!("no bucket {bucket} at {place}: `citystream lake init` creates it"))),
        Some(401 | 403) => Err(unusable(format!(
            "bucket {bucket} at {place} refuses the credentials; check access key, secret key, permissions and clock"
        ))),
        Some(301 | 400) => Err(unusable(format!(
            "bucket {bucket} at {place} refuses the request: the region is not {region}, the name is no bucket's, or no S3 answers there"
        ))),
        _ => Err(unreachable_store(bucket, place, error)),
    }
}

/// Whether a bucket keeps old versions of its objects; `None`: these credentials may not ask.
pub async fn keeps_versions(bucket: &str, options: &StoreOptions) -> Option<bool> {
    let config = super::aws::config(options).await;
    let answer = client(&config, options).get_bucket_versioning().bucket(bucket).send().await.ok()?;
    // Suspended: those that were made before are there still.
    Some(answer.status().is_some())
}

async fn create_bucket(
    client: &Client,
    bucket: &str,
    region: &str,
    options: &StoreOptions,
    place: &str,
) -> Result<(), StoreError> {
    let mut request = client.create_bucket().bucket(bucket);
    if region != "us-east-1" && options.endpoint.is_none() {
        let constraint = BucketLocationConstraint::from(region);
        let configuration = CreateBucketConfiguration::builder().location_constraint(constraint).build();
        request = request.create_bucket_configuration(configuration);
    }
    match request.send().await {
        Ok(_) => Ok(()),
        // Somebody else was faster: the bucket is there and ours.
        Err(error) if error.code() == Some("BucketAlreadyOwnedByYou") => Ok(()),
        Err(error) => Err(unusable(format!("cannot create bucket {bucket} at {place}: {}", chain(&error)))),
    }
}

fn unreachable_store<E: std::error::Error + Send + Sync + 'static, R: std::fmt::Debug + Send + Sync + 'static>(
    bucket: &str,
    place: &str,
    error: SdkError<E, R>,
) -> StoreError {
    let why = one_line(&chain(&error));
    StoreError::Transient(format!("cannot reach bucket {bucket} at {place}: {why}; check endpoint and network"))
}

fn no_credentials(why: &str) -> StoreError {
    unusable(format!(
        "no S3 credentials{why}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role"
    ))
}

/// Credentials of the AWS chain, kept until shortly before they end.
#[derive(Debug)]
struct Chain {
    provider: SharedCredentialsProvider,
    cached: Mutex<Option<(Arc<AwsCredential>, Option<SystemTime>)>>,
}

impl Chain {
    #[allow(clippy::disallowed_methods)] // Credentials end by the wall clock.
    async fn get(&self) -> Result<Arc<AwsCredential>, StoreError> {
        let mut cached = self.cached.lock().await;
        if let Some((credential, ends)) = &*cached
            && ends.is_none_or(|ends| ends > SystemTime::now() + RENEW)
        {
            return Ok(credential.clone());
        }
        match (self.provider.provide_credentials().await, &*cached) {
            (Ok(new), _) => {
                let credential = Arc::new(AwsCredential {
                    key_id: new.access_key_id().into(),
                    secret_key: new.secret_access_key().into(),
                    token: new.session_token().map(Into::into),
                });
                *cached = Some((credential.clone(), new.expiry()));
                Ok(credential)
            }
            // What is left of the old ones is better than nothing.
            (Err(_), Some((old, Some(ends)))) if *ends > SystemTime::now() => Ok(old.clone()),
            (Err(error), Some(_)) => Err(StoreError::Transient(format!("cannot renew credentials: {}", chain(&error)))),
            // Nobody has any: which places were looked at says no more.
            (Err(CredentialsError::CredentialsNotLoaded(_)), None) => Err(no_credentials("")),
            (Err(error), None) => Err(no_credentials(&format!(" ({})", chain(&error)))),
        }
    }
}

impl CredentialProvider for Chain {
    type Credential = AwsCredential;

    // What `#[async_trait]` makes of `async fn get_credential(&self)`.
    fn get_credential<'a, 'b>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move { Ok(self.get().await?) })
    }
}

#[cfg(test)]
#[path = "s3_tests.rs"]
mod tests;
