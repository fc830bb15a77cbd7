//! The command line as a user meets it: help, what is refused, what the program says of itself.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// The program with these words, in a folder of its own, without variables of its own.
fn citystream(words: &[&str]) -> Output {
    let place = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_citystream"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CITYSTREAM_") {
            command.env_remove(name);
        }
    }
    command.args(words).current_dir(&place).output().expect("the program")
}

/// What it printed and said, where it is to end with this code.
fn said(words: &[&str], code: i32) -> String {
    let output = citystream(words);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    assert_eq!(output.status.code(), Some(code), "{words:?}: {text}");
    text
}

#[test]
fn help_is_short_and_dash_h_is_help_where_it_is_no_hostfile() {
    let sql = said(&["lake", "sql", "--help"], 0);
    assert!(sql.lines().count() < 40 && sql.contains("--s3-endpoint") && !sql.contains("--lateness"), "{sql}");
    for words in [&["-h"][..], &["lake", "-h"], &["lake", "sql", "-h"], &["demo", "-h"], &["config", "-h"]] {
        let help = said(words, 0);
        assert!(help.contains("Usage:") && help.contains("Examples:"), "{help}");
        assert!(!help.contains("help is --help"), "{help}");
    }
    let run = said(&["run", "-h"], 2);
    assert!(run.ends_with("-h is the hostfile, as in timely; help is --help\n"), "{run}");
    assert!(said(&["run", "--help"], 0).contains("-h, --hostfile <FILE>"));
}

#[test]
fn a_flag_that_does_not_concern_a_command_is_refused() {
    for flags in [["--lake", "xx"], ["--source", "dir:xx"]] {
        let refused = said(&["demo", flags[0], flags[1]], 2);
        assert!(refused.contains(flags[0]) && refused.contains("under --dir"), "{refused}");
    }
    let refused = said(&["lake", "status", "--lateness", "5m"], 2);
    assert!(refused.contains("--lateness is a flag of:") && refused.contains("run, check"), "{refused}");
}

#[test]
fn the_version_says_what_the_program_is_made_of() {
    let version = said(&["--version"], 0);
    let lines: Vec<_> = version.lines().collect();
    assert_eq!(lines[0], format!("citystream {}", env!("CARGO_PKG_VERSION")));
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).expect("Cargo.lock");
    let locked = |name: &str| {
        let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).expect("a package");
        format!("{name} {}", rest.split('"').next().unwrap_or_default())
    };
    assert!(lines[1].starts_with("commit "), "{version}");
    assert_eq!(lines[2], locked("timely"));
    assert!(lines[3].starts_with(&locked("differential-dataflow")), "{version}");
}

/// Bash itself is asked: what it would offer behind these words.
#[test]
fn bash_completes_commands_and_flags() {
    let script = citystream(&["completions", "bash"]).stdout;
    let offered = |words: &str, last: usize| {
        let mut bash =
            Command::new("bash").arg("-s").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash");
        let mut typed = bash.stdin.take().expect("a pipe");
        typed.write_all(&script).expect("a script");
        let ask = format!(
            "\nCOMP_WORDS=({words}); COMP_CWORD={last}; _citystream citystream \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{}]}}\"\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            last - 1
        );
        typed.write_all(ask.as_bytes()).expect("a question");
        drop(typed);
        String::from_utf8(bash.wait_with_output().expect("an answer").stdout).expect("text")
    };
    assert_eq!(offered("citystream lake s", 2), "status\nsql\n");
    assert_eq!(offered("citystream lake sql --s3", 3), "--s3-endpoint\n--s3-region\n");
}
