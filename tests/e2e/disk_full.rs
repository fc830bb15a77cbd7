//! A full disk holds the run until there is room; then it goes on and has lost nothing (P2).

use std::time::Duration;

use crate::common::json_log::JsonLog;
use crate::common::small_disk::SmallDisk;
use crate::common::{Cluster, Lake, Plan, endpoints, files, python, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// A log, and a run from it into a lake on a small disk.
pub(crate) struct OnSmallDisk {
    log: JsonLog,
    /// To start other runs on the same disk.
    pub(crate) plan: Plan,
    /// The disk.
    pub(crate) disk: SmallDisk,
}

impl OnSmallDisk {
    /// A run whose disk has become full while it had rows of all topics to write; `None` where there are no independent readers.
    pub(crate) fn full(listen: &str) -> Option<(OnSmallDisk, Cluster)> {
        if !python::available() {
            return None;
        }
        let log = JsonLog::new();
        log.minute(0, 500);
        let plan = log.plan().flag("listen", listen).flag("commit-interval", "500ms");
        let disk = SmallDisk::mount(plan.dir().join("small"));
        let plan = plan.on(&disk);
        let run = plan.start(1, 2);
        wait_until("a first commit", SOON, || pings(&plan) == 500);
        disk.fill();
        log.minute(1, 500);
        wait_until("the disk is full", SOON, || run.said(0).contains("No space left"));
        Some((OnSmallDisk { log, plan, disk }, run))
    }

    /// Every record is there, once, and all is sound.
    pub(crate) fn check(&self) {
        self.plan.verify();
        let copy = self.plan.dir().join("copy");
        self.disk.copy("lake", &copy);
        Lake::at(&copy.display().to_string()).contents_with(&files::ids(&self.plan, self.log.folder())).check_ids();
    }
}

/// Pings committed.
fn pings(plan: &Plan) -> u64 {
    let status = plan.manage(&["lake", "status", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap_or_default();
    status["tables"]["raw_gps"]["rows"].as_u64().unwrap_or_default()
}

#[test]
fn a_full_disk_holds_the_run_until_there_is_room_and_is_said_once() {
    let address = endpoints::fresh_address();
    let Some((on, run)) = OnSmallDisk::full(&address) else { return };
    let ready = || endpoints::ask(&address, "/readyz");
    for _ in 0..20 {
        let (why, code) = ready();
        assert!(why.starts_with("the lake's store does not take what is written: ") && code == 503, "{code} {why}");
        assert!(why.contains("No space left on device") && why.lines().count() == 1, "{why}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let said = run.said(0);
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("store") || line.contains("No space")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    on.disk.make_room();
    wait_until("it goes on", SOON, || pings(&on.plan) == 1000);
    wait_until("it is ready again", SOON, || ready() == ("ready\n".to_owned(), 200));
    run.interrupt();
    on.check();
}
