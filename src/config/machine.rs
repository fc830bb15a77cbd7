//! How much memory there is.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Bytes that this process may have: the machine's, or less where its control group, or one above it, has less, as those of
/// a container or a systemd unit. Where nothing says it, no bound.
pub fn memory() -> u64 {
    let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).filter_map(|path| read_to_string(path).ok()?.trim().parse().ok());
    let machine = read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    limits.chain(machine).min().unwrap_or(u64::MAX)
}

/// Where the control groups of `/proc/self/cgroup` say how much memory they have, and those above them: version 2 (`0::/a/b`)
/// and version 1 (`7:memory:/a/b`).
fn limit_files(groups: &str) -> impl Iterator<Item = PathBuf> {
    let files = groups.lines().filter_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (controllers, group) = line.split_once(':')?;
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let above = Path::new(group.trim_start_matches('/')).ancestors();
        Some(above.map(move |group| Path::new(root).join(group).join(file)).collect::<Vec<_>>())
    });
    files.flatten()
}

/// Of the form `MemTotal:  16384 kB`.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_have_what_those_above_it_may() {
        let files = |groups| limit_files(groups).map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(files("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
        assert_eq!(
            files("0::/system.slice/city.service\n"),
            [
                "/sys/fs/cgroup/system.slice/city.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(
            files("9:cpu,cpuacct:/a\n7:memory:/a\n"),
            ["/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        );
    }

    #[test]
    fn a_machine_says_how_much_memory_it_has() {
        assert_eq!(total("MemTotal:       24576000 kB\nMemFree: 1 kB\n"), Some(24_576_000 * 1024));
        assert_eq!(total("MemFree: 1 kB"), None);
        assert!(memory() > 64 << 20, "{}", memory());
    }
}
