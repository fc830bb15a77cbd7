//! A certificate authority for one test run, and what it signs. Nothing of it outlives the folder that it is made in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Who may use the certificates: what clients connect to.
const NAMES: &str = "subjectAltName=IP:127.0.0.1,DNS:localhost\n";

/// An authority whose word counts only for those who are given its certificate.
#[derive(Clone, Debug)]
pub struct Authority {
    dir: PathBuf,
}

impl Authority {
    /// Makes one, with its files in `dir`.
    pub fn new(dir: &Path) -> Result<Authority> {
        fs::create_dir_all(dir)?;
        let authority = Authority { dir: dir.into() };
        let subject = "/CN=citystream test authority";
        openssl(dir, &["req", "-x509", "-days", "2", "-subj", subject, "-out", "ca.pem"], Some("ca.key"))?;
        Ok(authority)
    }

    /// Its certificate.
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A server's key and certificate for the loopback address, in one PEM file.
    pub fn server(&self) -> Result<PathBuf> {
        let dir = &self.dir;
        fs::write(dir.join("names"), NAMES)?;
        openssl(dir, &["req", "-subj", "/CN=localhost", "-out", "server.csr"], Some("server.key"))?;
        let sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        openssl(dir, &[&sign[..], &["-days", "2", "-extfile", "names", "-out", "server.crt"]].concat(), None)?;
        let parts = ["server.key", "server.crt", "ca.pem"].map(|name| fs::read_to_string(dir.join(name)));
        let pem = parts.into_iter().collect::<Result<String, _>>()?;
        let path = dir.join("server.pem");
        fs::write(&path, pem)?;
        Ok(path)
    }
}

/// Runs openssl in a folder; `key` is a new key to be made with it.
fn openssl(dir: &Path, args: &[&str], key: Option<&str>) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args(args).current_dir(dir).stdin(Stdio::null());
    if let Some(key) = key {
        command.args(["-newkey", "rsa:2048", "-nodes", "-keyout", key]);
    }
    let output = command.output().context("cannot run openssl")?;
    if !output.status.success() {
        bail!("openssl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
