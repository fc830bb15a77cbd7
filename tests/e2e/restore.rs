//! A lake that is copied while a run writes it, as docs/operations.md says, is a lake: whoever goes on from it comes to the same.

use std::process::Command;
use std::time::Duration;

use crate::common::json_log::JsonLog;
use crate::common::{document, files, python, wait_until};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn p2_a_backup_of_a_lake_in_use_is_restored_elsewhere_and_goes_on() {
    if !python::available() {
        return;
    }
    let log = JsonLog::new();
    let plan = log.plan().flag("commit-interval", "200ms").flag("epoch", "50ms");
    let run = plan.start(1, 2);
    log.minute(0, 200);
    wait_until("a first commit", SOON, || plan.lake().read() == 1000);
    let backup = plan.fresh_path("backup").display().to_string();
    let script = document::block("tests/e2e/restore.rs runs")
        .replace("/var/lib/citystream/lake", plan.lake().place())
        .replace("/backup/lake", &backup)
        .replace("citystream lake", &format!("{} lake", env!("CARGO_BIN_EXE_citystream")));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for minute in 1..60 {
                log.minute(minute, 20);
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        wait_until("it commits meanwhile", SOON, || plan.lake().read() > 1000);
        let done = Command::new("sh").args(["-e", "-c", &script]).output().expect("a shell");
        assert!(done.status.success(), "{script}: {done:?}");
    });
    run.interrupt();

    let all = plan.lake().commits();
    let plan = plan.into_lake(&backup);
    let copied = plan.lake().commits();
    assert!(
        !copied.is_empty() && copied.len() < all.len() && copied[..] == all[..copied.len()],
        "a beginning of the history"
    );
    println!("{} of {} commits were copied", copied.len(), all.len());
    plan.drain(2, 1);
    plan.verify();
    plan.lake().contents_with(&files::ids(&plan, log.folder())).check_ids();
    assert_eq!(plan.lake().published(), plan.lake().commits().last().map(|commit| commit.seq));
}
