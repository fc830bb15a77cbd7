//! `cargo xtask fuzz`: each target of `fuzz/fuzz_targets/` for a bounded time.
//!
//! What a target starts from is in `fuzz/corpus/`; what it finds on the way stays in `fuzz/target/corpus/` and is gone on with
//! the next time. Without a sanitizer: a stable compiler is enough.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use xtask::stack::workspace;

use crate::cargo::cargo;

/// Seconds a target, unless the command line says otherwise.
pub(crate) const SECONDS: u32 = 60;
/// The longest input, in bytes; the longest run, in seconds; the most memory, in MiB.
const LIMITS: [&str; 3] = ["-max_len=4096", "-timeout=10", "-rss_limit_mb=1024"];

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    target: Option<String>,
    seconds: u32,
}

impl Options {
    /// Reads what follows `fuzz`.
    pub(crate) fn parse(words: &[&str]) -> Result<Options> {
        let mut options = Options { target: None, seconds: SECONDS };
        let mut words = words.iter();
        while let Some(&word) = words.next() {
            match word {
                "--seconds" => {
                    let number = words.next().and_then(|number| number.parse().ok()).filter(|number| *number > 0);
                    options.seconds = number.context("--seconds: expected a number, at least 1")?;
                }
                _ if word.starts_with('-') => bail!("there is no option {word}; see cargo xtask help"),
                _ if options.target.is_some() => bail!("one target only, not also {word}"),
                _ => options.target = Some(word.into()),
            }
        }
        Ok(options)
    }
}

/// Runs one target or all of them.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let all = targets("")?;
    let chosen = match &options.target {
        None => all,
        Some(target) if all.contains(target) => vec![target.clone()],
        Some(target) => bail!("there is no target {target}, but {}", all.join(", ")),
    };
    check()?;
    Ok(if each(&chosen, options.seconds)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The targets whose name contains a text.
pub(crate) fn targets(filter: &str) -> Result<Vec<String>> {
    let dir = workspace().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let names =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned));
    let mut names: Vec<String> = names.filter(|name| name.contains(filter)).collect();
    names.sort_unstable();
    Ok(names)
}

/// Whether what runs them is installed.
pub(crate) fn check() -> Result<()> {
    let answer = cargo().args(["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if answer.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    bail!("cargo-fuzz is not installed: cargo install --locked cargo-fuzz")
}

/// Runs targets one after the other; false if one has found something.
pub(crate) fn each(targets: &[String], seconds: u32) -> Result<bool> {
    if !fuzz("build").status().context("cannot run cargo")?.success() {
        bail!("the fuzz targets do not compile");
    }
    let seed = env::var("CITYSTREAM_SEED").ok().and_then(|seed| seed.parse::<u32>().ok()).filter(|seed| *seed > 0);
    let seed = seed.unwrap_or(1);
    let mut passed = true;
    for target in targets {
        passed &= one(target, seconds, seed)?;
    }
    Ok(passed)
}

fn one(target: &str, seconds: u32, seed: u32) -> Result<bool> {
    eprintln!("xtask: fuzz target {target} for {seconds} s, CITYSTREAM_SEED={seed}");
    let dir = workspace().join("fuzz");
    let found = dir.join("target/corpus").join(target);
    fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
    let log = dir.join("target").join(format!("{target}.log"));
    let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = fuzz("run");
    // What is found goes into the first folder; the second one is read only.
    command.arg(target).args([&found, &seeds(&dir, target)]).arg("--").args(LIMITS);
    command.args([format!("-max_total_time={seconds}"), format!("-seed={seed}")]);
    let status = command.stdout(out.try_clone()?).stderr(out).status().context("cannot run cargo")?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if status.success() {
        let done = text.lines().rfind(|line| line.starts_with("Done ")).unwrap_or_default();
        eprintln!("xtask: fuzz target {target}: {done}");
    } else {
        eprintln!("{}\nxtask: fuzz target {target} failed; its output is in {}", last(&text, 40), log.display());
    }
    Ok(status.success())
}

fn seeds(dir: &Path, target: &str) -> PathBuf {
    dir.join("corpus").join(target)
}

/// What is never called would be most of a target, and its counters are looked at after each run.
fn fuzz(what: &str) -> Command {
    let mut cargo = cargo();
    cargo.args(["fuzz", what, "--sanitizer", "none", "--strip-dead-code"]);
    cargo
}

/// The last lines of a text.
fn last(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let options = Options::parse(&["hello", "--seconds", "5"]).unwrap();
        assert_eq!(options, Options { target: Some("hello".into()), seconds: 5 });
        assert_eq!(Options::parse(&[]).unwrap(), Options { target: None, seconds: SECONDS });
        for wrong in [&["--seconds"][..], &["--seconds", "0"], &["--second", "5"], &["a", "b"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn each_target_has_a_program_and_something_to_start_from() {
        let dir = workspace().join("fuzz");
        let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap();
        let targets = targets("").unwrap();
        for target in &targets {
            assert!(manifest.contains(&format!("\nname = \"{target}\"\n")), "{target}");
            assert!(fs::read_dir(seeds(&dir, target)).unwrap().count() > 0, "{target}");
        }
        assert_eq!(manifest.matches("[[bin]]").count(), targets.len());
    }

    #[test]
    fn a_part_of_a_long_text_is_its_end() {
        assert_eq!((last("a\nb\nc\n", 2).as_str(), last("a", 2).as_str()), ("b\nc", "a"));
    }
}
