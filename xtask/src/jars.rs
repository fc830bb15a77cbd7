//! Java programs: a pom that names what is wanted, and the digest of every jar that it leads to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::Stack;
use crate::steps::{remove, run};

/// Jars that belong together.
pub struct Jars {
    /// Their folder in the stack.
    pub name: &'static str,
    /// What to call them.
    pub what: &'static str,
    pom: &'static str,
    /// After a change of the pom, `openssl dgst -sha256 -r *.jar` renews it in `NAME.new/libs` of the stack: jars that are
    /// not those of the list are left there.
    digests: &'static str,
}

/// The broker.
pub const KAFKA: Jars = Jars {
    name: "kafka",
    what: "Apache Kafka",
    pom: include_str!("../assets/kafka-pom.xml"),
    digests: include_str!("../assets/kafka.sha256"),
};

/// What Spark lacks to read Delta tables.
pub const DELTA: Jars = Jars {
    name: "delta",
    what: "Delta for Spark",
    pom: include_str!("../assets/delta-pom.xml"),
    digests: include_str!("../assets/delta.sha256"),
};

impl Jars {
    /// Where the jars are.
    pub fn libs(&self, stack: &Stack) -> PathBuf {
        self.dir(stack).join("libs")
    }

    /// Whether just these are there.
    pub fn are_there(&self, stack: &Stack) -> bool {
        let is = |name: &str, text| fs::read_to_string(self.dir(stack).join(name)).is_ok_and(|there| there == text);
        is("pom.xml", self.pom) && is(&self.list(), self.digests) && self.libs(stack).is_dir()
    }

    /// Fetches them where they are missing.
    pub fn provision(&self, stack: &Stack) -> Result<()> {
        if self.are_there(stack) {
            return Ok(());
        }
        let fresh = stack.dir().join(format!("{}.new", self.name));
        remove(&fresh)?;
        fs::create_dir_all(&fresh)?;
        fs::write(fresh.join("pom.xml"), self.pom)?;
        let mut mvn = Command::new("mvn");
        // Strict: a download that differs from the repository's own checksum ends it. Whether it is the jar that we mean
        // is for our list to say.
        mvn.args(["-q", "-B", "--strict-checksums"]);
        mvn.args(["org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"]);
        mvn.args(["-DincludeScope=runtime", "-DoutputDirectory=libs"]).current_dir(&fresh);
        run(self.what, &mut mvn)?;
        self.check(&fresh.join("libs"))?;
        fs::write(fresh.join(self.list()), self.digests)?;
        let dir = self.dir(stack);
        remove(&dir)?;
        fs::rename(&fresh, &dir).with_context(|| format!("cannot put the jars of {} in place", self.what))
    }

    fn dir(&self, stack: &Stack) -> PathBuf {
        stack.dir().join(self.name)
    }

    fn list(&self) -> String {
        format!("{}.sha256", self.name)
    }

    /// Fails unless a folder holds exactly the jars of the list, each with its digest.
    fn check(&self, libs: &Path) -> Result<()> {
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256", "-r"]).current_dir(libs).stdin(Stdio::null());
        for entry in fs::read_dir(libs)? {
            openssl.arg(entry?.file_name());
        }
        let output = openssl.output().context("cannot run openssl")?;
        if !output.status.success() {
            bail!("cannot take the digests of the jars of {}: {}", self.what, String::from_utf8_lossy(&output.stderr));
        }
        let differences = differences(self.digests, &String::from_utf8_lossy(&output.stdout));
        if !differences.is_empty() {
            bail!(
                "the jars in {} are not those of xtask/assets/{} (- listed, + found):\n{differences}\
                 If the pom has changed, renew the list. If not, remove them from Maven's local repository and try again",
                libs.display(),
                self.list()
            );
        }
        Ok(())
    }
}

/// The lines that only one of two lists of digests has, one a line: `-` those of `listed`, `+` those of `found`.
fn differences(listed: &str, found: &str) -> String {
    let (listed, found) = (listed.lines().collect::<BTreeSet<_>>(), found.lines().collect::<BTreeSet<_>>());
    let missing = listed.difference(&found).map(|line| format!("- {line}\n"));
    missing.chain(found.difference(&listed).map(|line| format!("+ {line}\n"))).collect()
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
