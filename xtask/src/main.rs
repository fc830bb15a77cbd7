//! `cargo xtask`: the one test command, and the servers it needs.
#![allow(clippy::print_stdout, reason = "a command-line tool prints its results")]

mod cargo;
mod fuzz;
mod manual;
mod test;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "cargo xtask test [--full] [FILTER] [-- ARGS]
    provision real servers under target/stack, start them, run all tests, stop them
    --full   MinIO, Spark and promtool too, long rounds, large counts, the image, and the fuzz targets
    FILTER   only tests whose name contains it
    ARGS     for the test programs
cargo xtask fuzz [TARGET] [--seconds N]
    one of the fuzz targets in fuzz/, or all, for N seconds each (default: 60)
cargo xtask stack provision|up|down|env
    the same servers by hand; `eval \"$(cargo xtask stack up)\"` exports how to reach them

KAFKA_BOOTSTRAP_SERVERS, AWS_ENDPOINT_URL   servers to use instead of own ones
CITYSTREAM_STACK_DIR                        where they are provisioned (default: target/stack)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<ExitCode> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test", rest @ ..] => test::run(&test::Options::parse(rest)?),
        ["fuzz", rest @ ..] => fuzz::run(&fuzz::Options::parse(rest)?),
        ["stack", "provision"] => manual::provision(),
        ["stack", "up"] => manual::up(),
        ["stack", "down"] => manual::down(),
        ["stack", "env"] => manual::env(),
        ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("what is to be done?\n{HELP}"),
    }
}
