//! Credentials and region by AWS's own chain: environment, profile, web identity, container, and, on a machine of AWS's, instance.

use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::credentials::EnvironmentVariableCredentialsProvider;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider, SharedHttpClient};

use super::options::StoreOptions;

/// The configuration for a store with these options.
pub(super) async fn config(options: &StoreOptions) -> SdkConfig {
    use aws_smithy_http_client::{Builder, tls};
    let http = Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(10))
        .operation_timeout(Duration::from_secs(30));
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone()).timeout_config(timeouts.build());
    // Elsewhere the address of AWS's instance metadata is nobody's, and asking it takes seconds.
    let asks_the_instance = options.endpoint.is_none() && is_amazons();
    if let Some((id, secret)) = &options.keys {
        let keys = Credentials::new(id, secret, None, None, "configuration");
        loader = loader.credentials_provider(SharedCredentialsProvider::new(keys));
    } else if !asks_the_instance {
        loader = loader.credentials_provider(without_the_instance(&http, options));
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    } else if !asks_the_instance {
        let named = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new());
        loader = loader.region(named.or_else(ProfileFileRegionProvider::new()).or_else(Region::new("us-east-1")));
    }
    let config = loader.load().await;
    match config.region() {
        Some(_) => config,
        None => config.into_builder().region(Region::new("us-east-1")).build(),
    }
}

/// Whether this machine is one of AWS's, as its firmware says.
fn is_amazons() -> bool {
    let says = |file: &str| std::fs::read_to_string(format!("/sys/class/dmi/id/{file}")).unwrap_or_default();
    says("sys_vendor").contains("Amazon") || says("bios_vendor").contains("Amazon")
}

/// AWS's chain of credentials but for its last link, the instance's.
fn without_the_instance(http: &SharedHttpClient, options: &StoreOptions) -> CredentialsProviderChain {
    let region = Region::new(options.region.clone().unwrap_or_else(|| "us-east-1".to_owned()));
    let asks = ProviderConfig::without_region().with_region(Some(region)).with_http_client(http.clone());
    CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
        .or_else("Profile", ProfileFileCredentialsProvider::builder().configure(&asks).build())
        .or_else("WebIdentityToken", WebIdentityTokenCredentialsProvider::builder().configure(&asks).build())
        .or_else("EcsContainer", EcsCredentialsProvider::builder().configure(&asks).build())
}
