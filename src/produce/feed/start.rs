//! From settings to running feeds.

use std::path::Path;
use std::time::Duration;

use citystream_live_apis::apis::{Api, OpenWeather, Overpass, TomTom};
use citystream_live_apis::{Feed, client};
use tokio::runtime::{Builder, Handle, Runtime};

use super::live::Apis;
use crate::config::{ApiArgs, ApiKeys};
use crate::error::RunError;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);

/// The feeds, and the thread that asks.
#[derive(Debug)]
pub struct Running {
    /// The feeds.
    pub apis: Apis,
    /// Until the end.
    runtime: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // What is still under way is of no use to anyone, and is not waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Starts the feeds, on a thread of their own.
pub fn start(args: &ApiArgs, keys: ApiKeys) -> Result<Running, RunError> {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|e| RunError::Failed(format!("cannot ask live APIs: {e}")))?;
    let apis = apis(args, keys, runtime.handle())?;
    Ok(Running { apis, runtime: Some(runtime) })
}

fn apis(args: &ApiArgs, keys: ApiKeys, runtime: &Handle) -> Result<Apis, RunError> {
    // Another part of the program may have installed the same provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = client(CONNECT).map_err(|error| RunError::Failed(error.to_string()))?;
    let weather = OpenWeather::new(&args.openweather_endpoint, keys.openweather)
        .map_err(|error| RunError::Usage(format!("--openweather-endpoint {error}")))?;
    let traffic = TomTom::new(&args.tomtom_endpoint, keys.tomtom)
        .map_err(|error| RunError::Usage(format!("--tomtom-endpoint {error}")))?;
    let services = Overpass::new(&args.overpass_endpoint)
        .map_err(|error| RunError::Usage(format!("--overpass-endpoint {error}")))?;
    let state = Path::new(&args.state);
    let started = Starter { client, state, runtime };
    Ok(Apis {
        weather: started.feed(weather, [args.openweather_per_minute, args.openweather_per_day])?,
        traffic: started.feed(traffic, [args.tomtom_per_second, args.tomtom_per_day])?,
        services: started.feed(services, [args.overpass_per_minute, args.overpass_per_day])?,
    })
}

struct Starter<'a> {
    client: reqwest::Client,
    state: &'a Path,
    runtime: &'a Handle,
}

impl Starter<'_> {
    /// Starts a feed with its usual policy, but for the limits that are given: the short one, and that of a day.
    fn feed<A: Api>(&self, api: A, given: [Option<usize>; 2]) -> Result<Feed<A>, RunError> {
        let mut policy = A::policy();
        for (limit, requests) in policy.limits.iter_mut().zip(given) {
            limit.requests = requests.unwrap_or(limit.requests);
        }
        Feed::start(api, policy, self.client.clone(), Some(self.state), self.runtime)
            .map_err(|error| RunError::Failed(format!("--state: {error}")))
    }
}
