//! What a run is to do: the one place that knows the program's flags.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::cluster::{self, Cluster};
use super::small_disk::{self, SmallDisk};
use super::{Lake, Servers, Topics};

/// A run's settings, and a folder for its logs and hostfiles. Clones share the folder.
#[derive(Debug)]
pub(crate) struct Plan {
    dir: TempDir,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
    lake: String,
    /// The process whose namespaces the program is to run in.
    within: Option<u32>,
}

impl Plan {
    /// From these topics into a fresh lake on S3.
    pub(crate) fn kafka_to_s3(servers: &Servers, topics: &Topics) -> Plan {
        Plan::new(String::new()).kafka(&servers.kafka, topics).into_s3(servers, topics.prefix())
    }

    /// From these topics into a fresh local lake.
    pub(crate) fn kafka_to_files(servers: &Servers, topics: &Topics) -> Plan {
        Plan::new(String::new()).local_lake().kafka(&servers.kafka, topics)
    }

    /// From a directory of JSON lines into a fresh local lake.
    pub(crate) fn files(source: &Path) -> Plan {
        Plan::new(String::new()).local_lake().flag("source", &format!("dir:{}", source.display()))
    }

    fn new(lake: String) -> Plan {
        let dir = TempDir::with_prefix("citystream-e2e-").expect("a temporary folder");
        let plan = Plan { dir, flags: Vec::new(), variables: Vec::new(), lake, within: None };
        // Most tests look at each commit.
        let plan = plan.flag("commit-interval", "1s").flag("publish-interval", "0s");
        // The oracle sums whole change logs, and some records are of the year 2000.
        plan.keep("changes=ever").flag("connect-timeout", "20s").flag("listen", "none")
    }

    fn local_lake(mut self) -> Plan {
        self.lake = self.dir.path().join("lake").display().to_string();
        self
    }

    fn kafka(self, bootstrap: &str, topics: &Topics) -> Plan {
        let mut plan = self;
        plan.flags.extend(topics.flags());
        plan.flag("bootstrap-servers", bootstrap)
    }

    /// Sets a flag; a later value replaces an earlier one.
    pub(crate) fn flag(mut self, name: &str, value: &str) -> Plan {
        let flag = format!("--{name}");
        self.flags.retain(|given| !given.starts_with(&format!("{flag}=")));
        self.flags.push(format!("{flag}={value}"));
        self
    }

    /// Leaves a flag to each process.
    pub(crate) fn without(mut self, name: &str) -> Plan {
        self.flags.retain(|given| !given.starts_with(&format!("--{name}=")));
        self
    }

    /// Adds a setting of the Kafka client.
    pub(crate) fn kafka_setting(mut self, key: &str, value: &str) -> Plan {
        self.flags.push(format!("--kafka={key}={value}"));
        self
    }

    /// Adds a rule of what is kept.
    pub(crate) fn keep(mut self, rule: &str) -> Plan {
        self.flags.push(format!("--keep={rule}"));
        self
    }

    /// Sets an environment variable of the program.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Plan {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Writes into another lake.
    pub(crate) fn into_lake(mut self, lake: &str) -> Plan {
        self.lake = lake.into();
        self
    }

    /// Writes into a fresh lake on S3.
    pub(crate) fn into_s3(self, servers: &Servers, name: &str) -> Plan {
        self.into_lake(&format!("s3://{}/{name}-{}", servers.bucket, fresh())).flag("s3-endpoint", &servers.s3)
    }

    /// Writes into a lake on this disk, which nobody else sees.
    pub(crate) fn on(mut self, disk: &SmallDisk) -> Plan {
        self.within = Some(disk.holder());
        self.into_lake(&disk.place().join("lake").display().to_string())
    }

    /// The lake, as its readers see it.
    pub(crate) fn lake(&self) -> Lake {
        Lake::at(&self.lake)
    }

    /// Where logs and hostfiles are.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A path in the plan's folder that is not used yet.
    pub(crate) fn fresh_path(&self, stem: &str) -> PathBuf {
        self.dir.path().join(format!("{stem}-{}", fresh()))
    }

    /// The program with these words and the plan's settings.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_citystream");
        let mut command =
            self.within.map_or_else(|| Command::new(program), |holder| small_disk::within(holder, program));
        command.args(words);
        if ["run", "launch", "check", "config"].contains(&words[0]) {
            command.args(&self.flags).arg(format!("--lake={}", self.lake));
        } else {
            // Other commands have the flags that concern them only; variables are of all.
            command.envs(self.as_variables());
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.dir.path());
        command
    }

    /// The flags as the environment gives them.
    pub(crate) fn as_variables(&self) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::from([("CITYSTREAM_LAKE".to_owned(), self.lake.clone())]);
        for (name, value) in self.flags.iter().filter_map(|flag| flag.strip_prefix("--")?.split_once('=')) {
            let variable =
                variables.entry(format!("CITYSTREAM_{}", name.to_uppercase().replace('-', "_"))).or_default();
            if ["kafka", "keep"].contains(&name) {
                let quoted = shlex::try_quote(value).expect("text");
                *variable = format!("{variable} {quoted}");
            } else {
                *variable = value.to_owned();
            }
        }
        variables
    }

    /// Starts `processes` processes of `workers` workers.
    pub(crate) fn start(&self, processes: usize, workers: usize) -> Cluster {
        Cluster::start(self, processes, workers, &[])
    }

    /// Runs until all that is there is committed; every process ends with 0.
    pub(crate) fn drain(&self, processes: usize, workers: usize) {
        Cluster::start(self, processes, workers, &["--until-drained"]).expect_success();
    }

    /// Runs one process, which is to end by itself, and gives its exit code and what it said.
    pub(crate) fn end_of_run(&self, flags: &[&str]) -> (i32, String) {
        let mut cluster = Cluster::start(self, 1, 1, flags);
        let codes = cluster.wait(cluster::LONG);
        (codes[0], cluster.said(0))
    }

    /// A command that looks after the lake or the topics, to its end.
    pub(crate) fn manage(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the program starts")
    }

    /// `lake init`: creates the lake, and its bucket where missing.
    pub(crate) fn init(&self) -> &Plan {
        let output = self.manage(&["lake", "init"]);
        assert!(output.status.success(), "lake init: {output:?}");
        self
    }

    /// `lake verify`: P2 and P4 from the lake alone.
    pub(crate) fn verify(&self) {
        let output = self.manage(&["lake", "verify"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "lake verify of {}: {said}\n{output:?}", self.lake);
    }
}

/// Text that no other test of this machine uses.
fn fresh() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
