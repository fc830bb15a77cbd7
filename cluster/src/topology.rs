//! How many processes and workers there are, which of them this one is, and where the others listen.

use std::path::Path;

use crate::hostfile::{self, HostfileError};

/// The most processes, and the most workers a process: far above what fixed membership carries, far below overflow.
pub const MOST: usize = 1024;
/// The first port used without a hostfile, as in timely.
const FIRST_PORT: u16 = 2101;

/// N processes of W workers each, seen from one of them. Always consistent: it can only be built checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    processes: usize,
    workers: usize,
    index: usize,
    addresses: Vec<String>,
}

/// Why a topology cannot be: the user's to put right (exit code 2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// No processes, or too many.
    #[error("--processes is {0}: it must be between 1 and {MOST}")]
    Processes(usize),
    /// No workers, or too many.
    #[error("--workers is {0}: it must be between 1 and {MOST}")]
    Workers(usize),
    /// The index is not one of the processes.
    #[error("--process is {index}, but with --processes {processes} the last one is {}", processes - 1)]
    Index {
        /// The index that was given.
        index: usize,
        /// The number of processes.
        processes: usize,
    },
    /// The hostfile does not say where the processes are.
    #[error(transparent)]
    Hostfile(#[from] HostfileError),
}

impl Topology {
    /// One process with `workers` threads and no sockets.
    pub fn single(workers: usize) -> Result<Self, TopologyError> {
        Self::new(1, workers, 0, None)
    }

    /// The topology of `-n processes -w workers -p index -h hostfile`.
    ///
    /// Without a hostfile all processes are on this machine, on ports 2101 and up. One process needs no hostfile
    /// and reads none.
    pub fn new(processes: usize, workers: usize, index: usize, hostfile: Option<&Path>) -> Result<Self, TopologyError> {
        check(processes, workers, index)?;
        let addresses = match hostfile {
            _ if processes == 1 => Vec::new(),
            Some(path) => hostfile::read(path, processes)?,
            None => (0..processes).map(|i| format!("localhost:{}", usize::from(FIRST_PORT) + i)).collect(),
        };
        Ok(Topology { processes, workers, index, addresses })
    }

    /// A topology whose addresses are known already: one for each process.
    pub fn with_addresses(addresses: Vec<String>, workers: usize, index: usize) -> Result<Self, TopologyError> {
        check(addresses.len(), workers, index)?;
        Ok(Topology { processes: addresses.len(), workers, index, addresses })
    }

    /// The number of processes.
    pub fn processes(&self) -> usize {
        self.processes
    }

    /// The number of workers of each process.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// The index of this process.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The number of workers of all processes.
    pub fn peers(&self) -> usize {
        self.processes * self.workers
    }

    /// Where a process listens; empty when there is only one.
    pub fn address(&self, process: usize) -> &str {
        self.addresses.get(process).map_or("", String::as_str)
    }

    /// The first process that others than this machine may reach.
    pub(crate) fn exposed(&self) -> Option<usize> {
        self.addresses.iter().position(|address| !hostfile::is_loopback(address))
    }
}

fn check(processes: usize, workers: usize, index: usize) -> Result<(), TopologyError> {
    if !(1..=MOST).contains(&processes) {
        return Err(TopologyError::Processes(processes));
    }
    if !(1..=MOST).contains(&workers) {
        return Err(TopologyError::Workers(workers));
    }
    if index >= processes {
        return Err(TopologyError::Index { index, processes });
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn without_a_hostfile_all_are_local() {
        let topology = Topology::new(3, 2, 1, None).unwrap();
        assert_eq!(topology.address(0), "localhost:2101");
        assert_eq!(topology.address(2), "localhost:2103");
        assert_eq!((topology.processes(), topology.workers(), topology.index(), topology.peers()), (3, 2, 1, 6));
    }

    #[test]
    fn one_process_reads_no_hostfile() {
        let topology = Topology::new(1, 4, 0, Some(Path::new("/does/not/exist"))).unwrap();
        assert_eq!(topology.address(0), "");
        assert_eq!(topology, Topology::single(4).unwrap());
    }

    #[test]
    fn impossible_ones_are_refused() {
        assert_eq!(Topology::new(0, 1, 0, None), Err(TopologyError::Processes(0)));
        assert_eq!(Topology::new(1, 0, 0, None), Err(TopologyError::Workers(0)));
        assert_eq!(Topology::new(usize::MAX, 1, 0, None), Err(TopologyError::Processes(usize::MAX)));
        let error = Topology::new(2, 1, 2, None).unwrap_err();
        assert_eq!(error.to_string(), "--process is 2, but with --processes 2 the last one is 1");
    }
}
