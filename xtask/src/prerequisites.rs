//! What the machine must have before anything can be provisioned, and how to say what is missing.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// One program that must be there.
struct Need {
    program: &'static str,
    args: &'static [&'static str],
    what: &'static str,
    least: Option<(u32, u32)>,
}

const NEEDS: [Need; 8] = [
    Need { program: "java", args: &["-version"], what: "Java 17 or later (runs Kafka)", least: Some((17, 0)) },
    Need { program: "mvn", args: &["-v"], what: "Maven (fetches Kafka)", least: None },
    Need { program: "go", args: &["version"], what: "Go 1.21 or later (builds the S3 server)", least: Some((1, 21)) },
    Need { program: "python3", args: &["--version"], what: "Python 3.10 or later (readers)", least: Some((3, 10)) },
    Need { program: "cc", args: &["--version"], what: "a C compiler (librdkafka)", least: None },
    Need { program: "openssl", args: &["version"], what: "OpenSSL (certificates of the secured broker)", least: None },
    Need { program: "systemd-analyze", args: &["--version"], what: "systemd (checks its unit)", least: None },
    Need { program: "make", args: &["--version"], what: "make (librdkafka)", least: None },
];

/// Checks all of them, so that one run names everything that is missing.
pub fn check() -> Result<()> {
    let missing: Vec<String> = NEEDS.iter().filter_map(missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("the test servers cannot be provisioned; please install:\n  - {}", missing.join("\n  - "))
}

fn missing(need: &Need) -> Option<String> {
    let output = Command::new(need.program).args(need.args).stdin(Stdio::null()).output();
    let Ok(output) = output else { return Some(format!("{}: `{}` is not there", need.what, need.program)) };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let least = need.least?;
    match version(&text) {
        Some(found) if found >= least => None,
        Some((major, minor)) => Some(format!("{}: `{}` is {major}.{minor}", need.what, need.program)),
        None => Some(format!("{}: `{}` does not say its version", need.what, need.program)),
    }
}

/// The first `major[.minor]` in what a program says of itself.
fn version(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let end = text[start..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(text.len(), |n| start + n);
    let mut parts = text[start..end].split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_read_from_what_programs_print() {
        assert_eq!(version("openjdk version \"17.0.15\" 2025-04-15"), Some((17, 0)));
        assert_eq!(version("openjdk 21 2023-09-19"), Some((21, 0)));
        assert_eq!(version("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(version("Python 3.11.7\n"), Some((3, 11)));
        assert_eq!(version("java version \"1.8.0_402\""), Some((1, 8)));
        assert_eq!(version("no number"), None);
    }
}
