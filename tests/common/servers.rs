//! The servers that `cargo xtask test` started, or those that the environment names.

use std::env;

use xtask::Stack;

/// Real servers.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    /// Kafka's address.
    pub(crate) kafka: String,
    /// The S3 endpoint.
    pub(crate) s3: String,
    /// A bucket that is there.
    pub(crate) bucket: String,
    /// The provisioned programs.
    pub(crate) stack: Stack,
}

impl Servers {
    /// The servers, or `None` where there are none: the test is then skipped, and says so. Where
    /// `CITYSTREAM_REQUIRE_SERVERS` is set a test that finds none fails.
    pub(crate) fn find() -> Option<Servers> {
        let found = (env::var("KAFKA_BOOTSTRAP_SERVERS"), env::var("AWS_ENDPOINT_URL"));
        if let (Ok(kafka), Ok(s3)) = found {
            let bucket = env::var("CITYSTREAM_TEST_BUCKET").unwrap_or_else(|_| xtask::servers::BUCKET.into());
            let stack = Stack::locate().expect("the stack folder");
            return Some(Servers { kafka, s3, bucket, stack });
        }
        let required = env::var_os("CITYSTREAM_REQUIRE_SERVERS").is_some();
        assert!(!required, "KAFKA_BOOTSTRAP_SERVERS or AWS_ENDPOINT_URL is not set, and servers are required");
        println!("SKIPPED: needs real servers; run `cargo xtask test`");
        None
    }
}

/// A count or a length for CI, or the one for `--full`.
pub(crate) fn sized<T>(ci: T, full: T) -> T {
    if env::var_os("CITYSTREAM_FULL").is_some() { full } else { ci }
}
