//! `cargo xtask test`: servers up, all tests, servers down; with `--full` then the fuzz targets.

use std::env;
use std::num::NonZero;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;

use anyhow::{Context, Result, bail};
use xtask::process::Server;
use xtask::provision::{Wanted, complete, provision};
use xtask::servers::{ACCESS_KEY, BUCKET, Kafka, KafkaOptions, S3, SECRET_KEY, Start};
use xtask::stack::workspace;
use xtask::{Stack, prerequisites};

use crate::cargo::cargo;
use crate::fuzz;

/// How many tests run at a time, where nobody says it: so many for each core, as most wait for servers and processes of their own.
const THREADS: &str = "RUST_TEST_THREADS";
const AT_ONCE: usize = 2;

/// What the command line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    full: bool,
    filter: Option<String>,
    rest: Vec<String>,
}

impl Options {
    /// Reads what follows `test`.
    pub(crate) fn parse(words: &[&str]) -> Result<Options> {
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            match word {
                "--full" => options.full = true,
                "--" => options.rest = words.by_ref().map(|word| word.to_string()).collect(),
                _ if word.starts_with('-') => bail!("there is no option {word}; see cargo xtask help"),
                _ if options.filter.is_some() => bail!("one filter only, not also {word}"),
                _ => options.filter = Some(word.into()),
            }
        }
        Ok(options)
    }
}

/// What tests are told about the servers.
pub(crate) type Environment = Vec<(&'static str, String)>;

/// Runs the tests.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let stack = Stack::locate()?;
    let fuzzed = if options.full { fuzz::targets(options.filter.as_deref().unwrap_or_default())? } else { Vec::new() };
    if !fuzzed.is_empty() {
        fuzz::check()?;
    }
    prepare(&stack, options.full)?;
    build()?;
    let dir = stack.fresh_run_dir()?;
    eprintln!("xtask: logs of the servers: {}", dir.display());
    let (servers, mut environment) = start(&stack, &dir, Server::guarded)?;
    if options.full {
        environment.push(("CITYSTREAM_FULL", "1".into()));
    }
    let mut passed = cargo_test(&environment, options, &["--workspace"])?;
    if options.full && env::var_os("AWS_ENDPOINT_URL").is_none() {
        let minio = S3::minio(&stack, &dir.join("minio"), Server::guarded)?;
        environment.retain(|(name, _)| *name != "AWS_ENDPOINT_URL");
        environment.push(("AWS_ENDPOINT_URL", minio.url()));
        eprintln!("xtask: once more, against MinIO");
        passed &= cargo_test(&environment, options, &["--package", "citystream"])?;
    }
    drop(servers);
    if options.full && options.filter.as_deref().is_none_or(|filter| "image".contains(filter)) {
        passed &= image()?;
    }
    if !fuzzed.is_empty() {
        passed &= fuzz::each(&fuzzed, fuzz::SECONDS)?;
    }
    if passed {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("xtask: tests failed; the servers' logs are in {}", dir.display());
    Ok(ExitCode::FAILURE)
}

/// Checks the machine and provisions what is missing.
pub(crate) fn prepare(stack: &Stack, full: bool) -> Result<()> {
    let wanted = Wanted {
        kafka: env::var_os("KAFKA_BOOTSTRAP_SERVERS").is_none(),
        s3: env::var_os("AWS_ENDPOINT_URL").is_none(),
        full,
    };
    if complete(stack, wanted) {
        return Ok(());
    }
    prerequisites::check()?;
    provision(stack, wanted)
}

/// Starts the servers that the environment does not name.
pub(crate) fn start(stack: &Stack, dir: &Path, start: Start) -> Result<(Vec<Server>, Environment)> {
    let mut servers = Vec::new();
    let mut environment =
        vec![("CITYSTREAM_REQUIRE_SERVERS", "1".into()), ("CITYSTREAM_STACK_DIR", stack.dir().display().to_string())];
    if env::var_os("AWS_ENDPOINT_URL").is_none() {
        let s3 = S3::versitygw(stack, &dir.join("s3"), start, None)?;
        environment.extend([
            ("AWS_ENDPOINT_URL", s3.url()),
            ("AWS_ALLOW_HTTP", "true".into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
            ("CITYSTREAM_TEST_BUCKET", BUCKET.into()),
        ]);
        servers.push(s3.server);
    }
    if env::var_os("KAFKA_BOOTSTRAP_SERVERS").is_none() {
        let kafka = Kafka::start(stack, &dir.join("kafka"), start, KafkaOptions::default())?;
        environment.push(("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap()));
        servers.push(kafka.server);
    }
    Ok((servers, environment))
}

/// Compiles first, so that no server waits for a compiler.
fn build() -> Result<()> {
    let status = cargo().args(["test", "--release", "--workspace", "--no-run", "--quiet"]).status()?;
    if !status.success() {
        bail!("the tests do not compile");
    }
    Ok(())
}

/// Builds and runs the image without an engine.
fn image() -> Result<bool> {
    eprintln!("xtask: the image");
    let status = Command::new("bash").arg(".ci/image").current_dir(workspace()).status();
    Ok(status.context("cannot run bash")?.success())
}

fn cargo_test(environment: &Environment, options: &Options, what: &[&str]) -> Result<bool> {
    let mut cargo = cargo();
    cargo.args(["test", "--release", "--no-fail-fast"]).args(what).args(&options.filter);
    cargo.arg("--").args(&options.rest);
    cargo.envs(environment.iter().map(|(name, value)| (name, value)));
    if env::var_os(THREADS).is_none() {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        cargo.env(THREADS, (AT_ONCE * cores).to_string());
    }
    Ok(cargo.status().context("cannot run cargo")?.success())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Options;

    #[test]
    fn options_are_read() {
        let options = Options::parse(&["--full", "kill", "--", "--nocapture"]).unwrap();
        let wanted = Options { full: true, filter: Some("kill".into()), rest: vec!["--nocapture".into()] };
        assert_eq!(options, wanted);
        assert!(Options::parse(&["--ful"]).is_err());
        assert!(Options::parse(&["a", "b"]).is_err());
    }
}
