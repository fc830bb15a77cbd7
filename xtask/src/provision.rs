//! Puts the pinned servers and Python packages into the stack folder; what is there already is left alone.

use std::collections::BTreeSet;
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
/// The digest of every jar that the pom leads to. After a change of the pom, `openssl dgst -sha256 -r *.jar` renews it
/// in `kafka.new/libs` of the stack: jars that are not those of the list are left there.
const JARS: &str = include_str!("../assets/kafka.sha256");

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
    let dir = stack.dir().join("kafka");
    let is = |name, text| fs::read_to_string(dir.join(name)).is_ok_and(|there| there == text);
    is("pom.xml", POM) && is("kafka.sha256", JARS) && stack.kafka_libs().is_dir()
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
    // Strict: a download that differs from the repository's own checksum ends it. Whether it is the jar that we mean is
    // for our list to say.
    mvn.args(["-q", "-B", "--strict-checksums"]);
    mvn.args(["org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"]);
    mvn.args(["-DincludeScope=runtime", "-DoutputDirectory=libs"]).current_dir(&fresh);
    run("Apache Kafka", &mut mvn)?;
    check_jars(&fresh.join("libs"))?;
    fs::write(fresh.join("kafka.sha256"), JARS)?;
    remove(&dir)?;
    fs::rename(&fresh, &dir).context("cannot put the Kafka jars in place")
}

/// Fails unless a folder holds exactly the jars of the list, each with its digest.
fn check_jars(libs: &Path) -> Result<()> {
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-r"]).current_dir(libs).stdin(Stdio::null());
    for entry in fs::read_dir(libs)? {
        openssl.arg(entry?.file_name());
    }
    let output = openssl.output().context("cannot run openssl")?;
    if !output.status.success() {
        bail!("cannot take the digests of the Kafka jars: {}", String::from_utf8_lossy(&output.stderr));
    }
    let differences = differences(JARS, &String::from_utf8_lossy(&output.stdout));
    if !differences.is_empty() {
        bail!(
            "the jars in {} are not those of xtask/assets/kafka.sha256 (- listed, + found):\n{differences}\
             If the pom has changed, renew the list. If not, remove them from Maven's local repository and try again",
            libs.display()
        );
    }
    Ok(())
}

/// The lines that only one of two lists of digests has, one a line: `-` those of `listed`, `+` those of `found`.
fn differences(listed: &str, found: &str) -> String {
    let (listed, found) = (listed.lines().collect::<BTreeSet<_>>(), found.lines().collect::<BTreeSet<_>>());
    let missing = listed.difference(&found).map(|line| format!("- {line}\n"));
    missing.chain(found.difference(&listed).map(|line| format!("+ {line}\n"))).collect()
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

#[cfg(test)]
mod tests {
    use super::differences;

    #[test]
    fn jars_are_compared_with_the_list() {
        let listed = "0a *kafka.jar\n0b *scala.jar\n";
        assert_eq!(differences(listed, "0b *scala.jar\n0a *kafka.jar\n"), "", "their order does not count");
        assert_eq!(differences(listed, "0c *kafka.jar\n0b *scala.jar\n"), "- 0a *kafka.jar\n+ 0c *kafka.jar\n");
        assert_eq!(differences(listed, "0a *kafka.jar\n"), "- 0b *scala.jar\n");
        assert_eq!(differences(listed, &format!("{listed}0d *other.jar\n")), "+ 0d *other.jar\n");
    }
}
