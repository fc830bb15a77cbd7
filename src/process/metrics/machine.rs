//! What Linux knows of this process, under the names that all programs use: memory, CPU, open files; and the CPU of each worker.

use std::collections::BTreeMap;
use std::fs::{read_dir, read_link, read_to_string};
use std::path::{Path, PathBuf};

use super::page::Page;

/// Clock ticks a second, as `/proc` counts: the same on every Linux that this is built for.
const TICKS: f64 = 100.0;

/// Writes what can be known, also of the threads of workers; elsewhere than on Linux that is little.
pub fn write(page: &mut Page, started: f64, workers: &BTreeMap<usize, PathBuf>) {
    page.gauge("process_start_time_seconds", "When the process began, seconds since 1970", started);
    if let Some(cpu) = cpu_of(Path::new("/proc/self")) {
        page.counter("process_cpu_seconds_total", "Seconds of CPU, all threads together", cpu);
    }
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    for (line, name, help) in [
        ("VmRSS:", "process_resident_memory_bytes", "Memory that is resident"),
        ("VmSize:", "process_virtual_memory_bytes", "Memory that is mapped"),
    ] {
        if let Some(kilobytes) = number(&status, line) {
            page.gauge(name, help, kilobytes * 1024.0);
        }
    }
    if let Some(threads) = number(&status, "Threads:") {
        page.gauge("process_threads", "Threads", threads);
    }
    if let Ok(open) = read_dir("/proc/self/fd") {
        page.gauge("process_open_fds", "Files and sockets that are open", open.count() as f64);
    }
    let limits = read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(most) = number(&limits, "Max open files") {
        page.gauge("process_max_fds", "Files and sockets that may be open", most);
    }
    page.counters(
        "citystream_worker_cpu_seconds_total",
        "Seconds of CPU of each worker: its rate is the share of time in which it is busy",
        "worker",
        busy(workers),
    );
}

fn cpu_of(place: &Path) -> Option<f64> {
    cpu(&read_to_string(place.join("stat")).ok()?)
}

/// Seconds of CPU of each worker.
pub fn busy(workers: &BTreeMap<usize, PathBuf>) -> BTreeMap<usize, f64> {
    workers.iter().filter_map(|(worker, thread)| Some((*worker, cpu_of(thread)?))).collect()
}

/// Bytes that are resident.
pub fn resident() -> Option<f64> {
    Some(number(&read_to_string("/proc/self/status").ok()?, "VmRSS:")? * 1024.0)
}

/// The thread that calls this, as `/proc` knows it.
pub fn this_thread() -> Option<PathBuf> {
    Some(Path::new("/proc").join(read_link("/proc/thread-self").ok()?))
}

/// Seconds of CPU of a process or thread, of which `/proc` says this. A name in it may hold anything, also a parenthesis.
fn cpu(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: Vec<f64> = fields.split(' ').skip(11).take(2).map_while(|field| field.parse().ok()).collect();
    let [user, system] = ticks[..] else { return None };
    Some((user + system) / TICKS)
}

/// The number behind a name, in the line that begins with it.
fn number(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_read() {
        let stat =
            "12 (timely:work-3) S 1 1 1 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 9 0 77 1000 20 18446744073709551615";
        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!(cpu("12 (a) b) S 1 1 1 0 -1 4 9 0 0 0 1 1 0"), Some(0.02));
        assert_eq!(cpu("nothing"), None);
        assert_eq!(number("VmSize:\t  10 kB\nVmRSS:\t  8 kB\n", "VmRSS:"), Some(8.0));
        assert_eq!(
            number("Max open files            1024                 4096  files", "Max open files"),
            Some(1024.0)
        );
    }

    #[test]
    fn a_process_knows_what_it_takes() {
        let busy = std::thread::spawn(|| {
            let begun = std::time::Instant::now();
            while begun.elapsed().as_millis() < 300 {}
            let mut page = Page::default();
            write(&mut page, 1.5, &BTreeMap::from([(7, this_thread().unwrap())]));
            prometheus::TextEncoder::new().encode_to_string(&page.families()).unwrap()
        });
        let text = busy.join().unwrap();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
        };
        assert!((value("process_start_time_seconds") - 1.5).abs() < 0.01);
        assert!(value("process_resident_memory_bytes") > 1e6 && value("process_threads") >= 2.0);
        assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") > value("process_open_fds"));
        let worker = value("citystream_worker_cpu_seconds_total{worker=\"7\"}");
        assert!(worker > 0.02 && worker <= value("process_cpu_seconds_total") + 0.02, "{worker}");
    }
}
