//! Puts the pinned servers and Python packages into the stack folder; what is there already is left alone.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::stack::{Stack, workspace};

/// A Go program: its name in the stack, its package, its version, and what `go install` calls it.
struct GoProgram {
    name: &'static str,
    package: &'static str,
    version: &'static str,
    built_as: &'static str,
}

const VERSITYGW: GoProgram = GoProgram {
    name: "versitygw",
    package: "github.com/versity/versitygw/cmd/versitygw",
    version: "v1.8.0",
    built_as: "versitygw",
};
const TOXIPROXY: GoProgram = GoProgram {
    name: "toxiproxy-server",
    package: "github.com/Shopify/toxiproxy/v2/cmd/server",
    version: "v2.5.0",
    built_as: "server",
};
const MINIO: GoProgram = GoProgram {
    name: "minio",
    package: "github.com/minio/minio",
    version: "v0.0.0-20260212201848-7aac2a2c5b7c",
    built_as: "minio",
};

const POM: &str = include_str!("../assets/kafka-pom.xml");

/// What is to be there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Apache Kafka.
    pub kafka: bool,
    /// versitygw.
    pub s3: bool,
    /// MinIO too, for a second opinion.
    pub minio: bool,
}

/// Provisions what is missing. Returns at once where nothing is.
pub fn provision(stack: &Stack, wanted: Wanted) -> Result<()> {
    fs::create_dir_all(stack.dir().join("bin"))?;
    if wanted.kafka {
        kafka(stack)?;
    }
    python(stack)?;
    go_program(stack, &TOXIPROXY)?;
    if wanted.s3 {
        go_program(stack, &VERSITYGW)?;
    }
    if wanted.minio {
        go_program(stack, &MINIO)?;
    }
    Ok(())
}

/// Whether everything is there already, so that no build tool is needed.
pub fn complete(stack: &Stack, wanted: Wanted) -> bool {
    (!wanted.kafka || has_kafka(stack))
        && has_python(stack)
        && stack.bin(TOXIPROXY.name).exists()
        && (!wanted.s3 || stack.bin(VERSITYGW.name).exists())
        && (!wanted.minio || stack.bin(MINIO.name).exists())
}

fn has_kafka(stack: &Stack) -> bool {
    fs::read_to_string(stack.dir().join("kafka/pom.xml")).is_ok_and(|pom| pom == POM) && stack.kafka_libs().is_dir()
}

fn kafka(stack: &Stack) -> Result<()> {
    if has_kafka(stack) {
        return Ok(());
    }
    let dir = stack.dir().join("kafka");
    let fresh = stack.dir().join("kafka.new");
    remove(&fresh)?;
    fs::create_dir_all(&fresh)?;
    fs::write(fresh.join("pom.xml"), POM)?;
    let mut mvn = Command::new("mvn");
    mvn.args(["-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"]);
    mvn.args(["-DincludeScope=runtime", "-DoutputDirectory=libs"]).current_dir(&fresh);
    run("Apache Kafka", &mut mvn)?;
    remove(&dir)?;
    fs::rename(&fresh, &dir).context("cannot put the Kafka jars in place")
}

fn go_program(stack: &Stack, program: &GoProgram) -> Result<()> {
    let target = stack.bin(program.name);
    if target.exists() {
        return Ok(());
    }
    let bin = stack.dir().join("gobin").join(program.name);
    fs::create_dir_all(&bin)?;
    let mut go = Command::new("go");
    go.arg("install").arg(format!("{}@{}", program.package, program.version));
    go.env("GOBIN", &bin).env("CGO_ENABLED", "0");
    run(&format!("{} (some minutes the first time)", program.name), &mut go)?;
    fs::rename(bin.join(program.built_as), &target).with_context(|| format!("cannot put {} in place", target.display()))
}

fn requirements() -> Result<String> {
    let path = workspace().join("tests/python/requirements.txt");
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn has_python(stack: &Stack) -> bool {
    let installed = fs::read_to_string(stack.dir().join("venv/requirements.txt"));
    matches!((installed, requirements()), (Ok(have), Ok(want)) if have == want)
}

fn python(stack: &Stack) -> Result<()> {
    if has_python(stack) {
        return Ok(());
    }
    let venv = stack.dir().join("venv");
    remove(&venv)?;
    run("a Python environment", Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let wanted = workspace().join("tests/python/requirements.txt");
    let mut pip = Command::new(stack.python());
    pip.args(["-m", "pip", "install", "-q", "--require-hashes", "--only-binary", ":all:", "-r"]).arg(&wanted);
    run("the Python packages of the readers", &mut pip)?;
    fs::copy(&wanted, venv.join("requirements.txt"))?;
    Ok(())
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

fn run(what: &str, command: &mut Command) -> Result<()> {
    eprintln!("xtask: provisioning {what}");
    let began = Instant::now();
    let program = command.get_program().to_string_lossy().into_owned();
    // What it says is progress: standard output belongs to the results of xtask.
    command.stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("{program} could not provision {what}: {status}");
    }
    eprintln!("xtask: {what}: {} s", began.elapsed().as_secs());
    Ok(())
}
