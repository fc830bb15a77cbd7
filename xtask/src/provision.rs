//! Puts the pinned servers and readers into the stack folder; what is there already is left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::jars::{DELTA, KAFKA};
use crate::stack::{Stack, workspace};
use crate::steps::{remove, run};

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
/// What `docker compose` reads its files with, and prints as `docker compose config` does.
const COMPOSE: GoProgram = GoProgram {
    name: "compose-go",
    package: "github.com/compose-spec/compose-go/v2/cmd",
    version: "v2.16.2",
    built_as: "cmd",
};
const PROMTOOL: GoProgram = GoProgram {
    name: "promtool",
    package: "github.com/prometheus/prometheus/cmd/promtool",
    version: "v0.316.0",
    built_as: "promtool",
};
const MINIO: GoProgram = GoProgram {
    name: "minio",
    package: "github.com/minio/minio",
    version: "v0.0.0-20260212201848-7aac2a2c5b7c",
    built_as: "minio",
};

/// What is to be there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Apache Kafka.
    pub kafka: bool,
    /// versitygw.
    pub s3: bool,
    /// What `--full` needs too: MinIO, Spark, promtool.
    pub full: bool,
}

/// Provisions what is missing. Returns at once where nothing is.
pub fn provision(stack: &Stack, wanted: Wanted) -> Result<()> {
    fs::create_dir_all(stack.dir().join("bin"))?;
    if wanted.kafka {
        KAFKA.provision(stack)?;
    }
    python(stack)?;
    extensions(stack)?;
    go_program(stack, &TOXIPROXY)?;
    go_program(stack, &COMPOSE)?;
    if wanted.s3 {
        go_program(stack, &VERSITYGW)?;
    }
    if wanted.full {
        go_program(stack, &MINIO)?;
        go_program(stack, &PROMTOOL)?;
        DELTA.provision(stack)?;
        spark(stack)?;
    }
    Ok(())
}

/// Whether everything is there already, so that no build tool is needed.
pub fn complete(stack: &Stack, wanted: Wanted) -> bool {
    (!wanted.kafka || KAFKA.are_there(stack))
        && has_python(stack)
        && has_packages(&stack.extensions(), EXTENSIONS)
        && [TOXIPROXY, COMPOSE].iter().all(|program| stack.bin(program.name).exists())
        && (!wanted.s3 || stack.bin(VERSITYGW.name).exists())
        && (!wanted.full || has_full(stack))
}

fn has_full(stack: &Stack) -> bool {
    let built = [MINIO, PROMTOOL].iter().all(|program| stack.bin(program.name).exists());
    built && DELTA.are_there(stack) && has_spark(stack)
}

/// Builds a Go program. `go` checks every module that it downloads against the public checksum database and fails where
/// they differ, unless the machine's GONOSUMDB, GOPRIVATE or GOSUMDB say otherwise: a pinned version has one content.
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

/// The packages that the readers need, by hash.
const READERS: &str = "requirements.txt";
/// DuckDB with its extensions.
const EXTENSIONS: &str = "extensions.txt";
/// Spark's.
const SPARK: &str = "spark.txt";

fn list(name: &str) -> PathBuf {
    workspace().join("tests/python").join(name)
}

/// Whether what a list names was put into a folder.
fn has_packages(dir: &Path, name: &str) -> bool {
    matches!((fs::read_to_string(dir.join(name)), fs::read_to_string(list(name))), (Ok(have), Ok(want)) if have == want)
}

fn has_python(stack: &Stack) -> bool {
    has_packages(&stack.dir().join("venv"), READERS)
}

fn python(stack: &Stack) -> Result<()> {
    if has_python(stack) {
        return Ok(());
    }
    let venv = stack.dir().join("venv");
    remove(&venv)?;
    // They are for one version of Python.
    remove(&stack.extensions())?;
    run("a Python environment", Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    let mut pip = pip(stack, READERS);
    run("the Python packages of the readers", pip.args(["--only-binary", ":all:"]))?;
    copy(READERS, &venv)
}

/// A DuckDB that is older than that of the readers stands in a folder of its own.
fn extensions(stack: &Stack) -> Result<()> {
    let folder = stack.extensions();
    if has_packages(&folder, EXTENSIONS) {
        return Ok(());
    }
    remove(&folder)?;
    let mut pip = pip(stack, EXTENSIONS);
    run("DuckDB's extensions", pip.args(["--only-binary", ":all:", "--target"]).arg(&folder))?;
    let mut install = Command::new(stack.python());
    install.arg(list("extensions.py")).env("PYTHONPATH", &folder).env("PYTHONDONTWRITEBYTECODE", "1");
    run("DuckDB with its extensions", &mut install)?;
    copy(EXTENSIONS, &folder)
}

fn has_spark(stack: &Stack) -> bool {
    has_packages(&stack.spark(), SPARK)
}

/// Spark is published as source only, and stands in a folder of its own: it is not always wanted.
fn spark(stack: &Stack) -> Result<()> {
    if has_spark(stack) {
        return Ok(());
    }
    remove(&stack.spark())?;
    run("Spark", pip(stack, SPARK).arg("--no-deps").arg("--target").arg(stack.spark()))?;
    copy(SPARK, &stack.spark())
}

fn pip(stack: &Stack, name: &str) -> Command {
    let mut pip = Command::new(stack.python());
    pip.args(["-m", "pip", "install", "-q", "--require-hashes", "-r"]).arg(list(name));
    pip
}

fn copy(name: &str, dir: &Path) -> Result<()> {
    fs::copy(list(name), dir.join(name)).with_context(|| format!("cannot read {}", list(name).display()))?;
    Ok(())
}
