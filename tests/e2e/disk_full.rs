//! A full disk holds the run until there is room; then it goes on and has lost nothing (P2).

use std::process::Command;

use crate::common::{Plan, files, python};

/// In a mount namespace of its own: a disk of 16 MiB with 1 MiB left, where room is made after some seconds.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs -o size=16m tmpfs "$SMALL"
head -c 15728640 /dev/zero > "$SMALL/ballast"
(sleep 6; rm "$SMALL/ballast") &
"$PROGRAM" run --source "dir:$LOG" --lake "$SMALL/lake" --commit-interval 500ms --listen none --until-drained
"$PROGRAM" lake verify --lake "$SMALL/lake"
cp -r "$SMALL/lake" "$OUT"
"#;

#[test]
fn a_full_disk_holds_the_run_until_there_is_room() {
    if !python::available() {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a folder");
    let [log, small, out] = ["log", "small", "lake"].map(|name| folder.path().join(name));
    std::fs::create_dir(&small).expect("a folder");
    let plan = Plan::files(&log).into_lake(&out.display().to_string());
    let made = files::simulate(&plan, &log, &["--records", "40000"]).wait().expect("the simulator");
    assert!(made.success());
    let namespace = ["--mount", "--map-root-user", "sh", "-c", SCRIPT];
    let ran = Command::new("unshare")
        .args(namespace)
        .env("PROGRAM", env!("CARGO_BIN_EXE_citystream"))
        .envs([("LOG", &log), ("SMALL", &small), ("OUT", &out)])
        .output()
        .expect("unshare, of util-linux");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("No space left"), "the disk was never full: {said}");
    plan.lake().contents_with(&files::ids(&plan, &log)).check_ids();
}
