//! The command line as a user meets it: help, what is refused, what the program says of itself.

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::json_log::JsonLog;

/// The program with these words and variables, in a folder of its own, without what the environment says of lakes and logs.
fn command(words: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_citystream"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CITYSTREAM_", "KAFKA_", "AWS_", "CLICOLOR"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&*name);
        }
    }
    command.args(words).envs(variables.iter().copied());
    command
}

fn citystream_with(words: &[&str], variables: &[(&str, &str)]) -> Output {
    let place = tempfile::tempdir().expect("a folder");
    command(words, variables).current_dir(&place).output().expect("the program")
}

fn citystream(words: &[&str]) -> Output {
    citystream_with(words, &[])
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
    assert!(refused.contains("--lateness is a flag of:") && refused.contains("run, launch, check"), "{refused}");
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

/// The last line that the program says, where it is to end with 2, and with no more said.
fn refused(words: &[&str], variables: &[(&str, &str)]) -> String {
    let output = citystream_with(words, variables);
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
    assert!(!said.contains("panicked"), "{words:?}: {said}");
    said
}

#[test]
fn a_wrong_value_is_named_as_the_user_gave_it() {
    let soon = "expected a time such as 250ms, 2s, 10m, 1h30m or 7d, at most 36500d";
    assert_eq!(refused(&["run", "--lateness", "soon"], &[]), format!("citystream: --lateness soon: {soon}\n"));
    let variable = refused(&["run"], &[("CITYSTREAM_LATENESS", "soon")]);
    assert_eq!(variable, format!("citystream: CITYSTREAM_LATENESS=soon: {soon}\n"));
    let topics = refused(&["run", "--gps-topic", "t"], &[("WEATHER_TOPIC", "t")]);
    assert!(topics.contains("WEATHER_TOPIC=t: the topics must differ, and --gps-topic t is the same"), "{topics}");
    let records = refused(&["simulate", "--to", "null"], &[("CITYSTREAM_SIMULATE_RECORDS", "10q")]);
    let number = "expected a number such as 500, 10k or 2M";
    assert_eq!(records, format!("citystream: CITYSTREAM_SIMULATE_RECORDS=10q: {number}\n"));
    let span = refused(&["simulate", "--to", "null", "--span", "long"], &[]);
    assert_eq!(span, format!("citystream: --span long: {soon}\n"));
}

#[test]
fn numbers_have_units() {
    let said = said(&["simulate", "--to", "null", "--records", "2k", "--vehicles", "1k", "--rate", "1M"], 0);
    assert!(said.contains("2000 records"), "{said}");
    let config = said_json(&["config", "--json", "--memory", "1.5GiB", "--lateness", "1h30m"], &[]);
    assert_eq!(config["memory"]["value"], "1.5GiB");
}

#[test]
fn one_of_several_processes_has_to_be_told_which_it_is() {
    let said = refused(&["run", "-n", "2"], &[]);
    assert!(said.contains("--processes 2: which of them is this?") && said.contains("-p, 0 to 1"), "{said}");
    assert!(said.contains("-h HOSTFILE"), "{said}");
}

fn said_json(words: &[&str], variables: &[(&str, &str)]) -> serde_json::Value {
    serde_json::from_slice(&citystream_with(words, variables).stdout).expect("JSON")
}

#[test]
fn each_value_that_is_in_force_has_its_origin() {
    let words = ["config", "--json", "--lateness", "20m"];
    let config = said_json(&words, &[("GPS_TOPIC", "pings"), ("CITYSTREAM_IDLE", "1m")]);
    assert_eq!(config["lateness"], json!({"value": "20m", "origin": "flag", "name": "--lateness"}));
    assert_eq!(config["gps-topic"], json!({"value": "pings", "origin": "variable", "name": "GPS_TOPIC"}));
    assert_eq!(config["idle"]["name"], "CITYSTREAM_IDLE");
    assert_eq!(config["commit-interval"], json!({"value": "2s", "origin": "default"}));
    assert_eq!(config["publish-interval"], json!({"value": "2s", "origin": "default"}));
    assert!(config.as_object().is_some_and(|all| all.len() > 30), "{config}");
}

#[test]
fn settings_that_differ_from_the_lakes_are_named_in_units() {
    let log = JsonLog::new();
    let plan = log.plan();
    plan.init();
    let output = plan.command(&["run", "--lateness", "20m", "--max-record", "1MiB"]).output().expect("the program");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("lateness: 10m there, 20m here; max-record: 256KiB there, 1MiB here; use"), "{said}");
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
}

/// Nobody listens on the first port; behind the second one somebody takes connections and says nothing.
#[test]
fn a_broker_that_cannot_be_reached_is_reported_soon_and_once() {
    let [nobody] = xtask::process::free_ports().expect("a free port");
    let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let servers = [format!("127.0.0.1:{nobody}"), mute.local_addr().expect("an address").to_string()];
    let commands: [&[&str]; 4] = [
        &["run", "--lake", "lake", "--listen", "none"],
        &["topics", "status"],
        &["topics", "create"],
        &["simulate", "--records", "10"],
    ];
    std::thread::scope(|scope| {
        for words in commands {
            let servers = &servers[0];
            scope.spawn(move || {
                let began = Instant::now();
                let output = citystream_with(words, &[("KAFKA_BOOTSTRAP_SERVERS", servers)]);
                let (said, took) = (String::from_utf8(output.stderr).expect("text"), began.elapsed());
                assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
                assert!(took < Duration::from_secs(6), "{words:?} took {took:?}: {said}");
                assert!(said.lines().count() <= 2, "{words:?}: {said}");
                let last = said.lines().last().unwrap_or_default();
                for part in [servers, "Connection refused", "check KAFKA_BOOTSTRAP_SERVERS"] {
                    assert!(last.contains(part), "{words:?}: {said}");
                }
            });
        }
        let mut waits = command(commands[0], &[("KAFKA_BOOTSTRAP_SERVERS", &servers[1])]);
        scope.spawn(move || {
            let said = String::from_utf8(waits.output().expect("the program").stderr).expect("text");
            assert!(said.contains("has not answered yet: waiting up to 10 s"), "{said}");
            assert!(said.lines().count() <= 3 && said.contains("check KAFKA_BOOTSTRAP_SERVERS"), "{said}");
        });
    });
}

#[test]
fn a_store_without_credentials_is_one_line() {
    let nobody = "http://127.0.0.1:1/credentials";
    for variables in [&[][..], &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", nobody)], &[("AWS_PROFILE", "nobodys")]] {
        let said =
            refused(&["lake", "status", "--lake", "s3://city/x", "--s3-endpoint", "http://127.0.0.1:1"], variables);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("no S3 credentials") && said.contains("set AWS_ACCESS_KEY_ID"), "{said}");
        assert!(said.len() < 400 && !said.contains(['{', '(']) | said.contains("(un"), "{said}");
    }
}

/// What the program shows on a terminal.
fn on_a_terminal(words: &str, variables: &[(&str, &str)]) -> String {
    let line = format!("{} {words}", env!("CARGO_BIN_EXE_citystream"));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
    script.envs(variables.iter().copied()).stdin(Stdio::null());
    String::from_utf8(script.output().expect("script, of util-linux").stdout).expect("text")
}

#[test]
fn colours_are_for_terminals_whose_user_wants_them() {
    for words in ["run --help", "run --lateness soon", "check --source dir:nowhere --listen none --lake nowhere"] {
        assert!(on_a_terminal(words, &[]).contains("\u{1b}["), "{words}");
        for without in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let shown = on_a_terminal(words, &[without, ("CI", "true")]);
            assert!(!shown.contains('\u{1b}') && shown.len() > 40, "{words} {without:?}: {shown}");
        }
        let words: Vec<&str> = words.split(' ').collect();
        let piped = citystream_with(&words, &[]);
        assert!(![piped.stdout, piped.stderr].concat().contains(&0x1b), "{words:?}");
    }
}

#[test]
fn a_run_says_as_much_as_is_wanted_in_the_form_that_is_wanted() {
    let log = JsonLog::new();
    log.minute(0, 10);
    let said = |flags: &[&str]| {
        let plan = log.plan();
        let output = plan.command(&[&["run", "--until-drained"], flags].concat()).output().expect("the program");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    assert_eq!(said(&["--quiet"]), "");
    assert!(said(&[]).contains("commit 1  50 records"));
    let more = said(&["-v"]);
    assert!(more.contains("--until-drained true") && more.contains("is durable after"), "{more}");
    let lines = said(&["--log-format", "json"]);
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()), "{lines:?}");
    let last = lines.last().expect("progress");
    assert_eq!((&last["message"], &last["records_committed"]), (&json!("progress"), &json!(50)));

    let wrong = refused(&["run", "--lateness", "soon"], &[("CITYSTREAM_LOG_FORMAT", "json")]);
    let wrong: serde_json::Value = serde_json::from_str(&wrong).expect("JSON");
    assert_eq!(wrong["level"], "ERROR");
    assert!(wrong["message"].as_str().is_some_and(|text| text.starts_with("--lateness soon")), "{wrong}");
    for (variable, value) in [("CITYSTREAM_LOG_FORMAT", "xml"), ("CITYSTREAM_LOG", "a=b=c")] {
        let said = refused(&["config"], &[(variable, value)]);
        assert!(said.contains(&format!("{variable}={value}: expected")), "{said}");
    }
}
