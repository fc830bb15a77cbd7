//! The requests of the last day, in a file: so that a restart does not begin a new quota.
//!
//! One line a request, its time in milliseconds since 1970, written before the request is sent. The file is locked
//! while it is open: two programs do not share a quota unseen.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::moment::Moment;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
}

/// Why requests cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another program has it open.
    #[error("{0}: another program counts its requests here; give this one a state directory and a quota of its own")]
    Locked(PathBuf),
    /// The disk.
    #[error("{path}: requests cannot be counted here: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl Journal {
    /// Opens the journal of a feed in `dir`, or creates it, and tells the requests of the time `within` before `now`.
    /// Older ones are forgotten, and so is a line that was torn.
    ///
    /// # Errors
    /// What the disk or another program keeps us from.
    pub fn open(dir: &Path, feed: &str, now: Moment, within: Duration) -> Result<(Self, Vec<Moment>), JournalError> {
        let path = dir.join(format!("{feed}.requests"));
        let io = |error| JournalError::Io { path: path.clone(), error };
        std::fs::create_dir_all(dir).map_err(io)?;
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        file.try_lock().map_err(|_| JournalError::Locked(path.clone()))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let sent = recent(&String::from_utf8_lossy(&bytes), now, within);
        rewrite(&mut file, &sent).map_err(io)?;
        Ok((Journal { file, path }, sent))
    }

    /// Writes down a request that is about to be sent.
    ///
    /// # Errors
    /// What the disk keeps us from.
    pub fn note(&mut self, sent: Moment) -> Result<(), JournalError> {
        let noted = self.file.write_all(line(sent).as_bytes());
        noted.map_err(|error| JournalError::Io { path: self.path.clone(), error })
    }
}

fn recent(text: &str, now: Moment, within: Duration) -> Vec<Moment> {
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let sent = whole.filter_map(|line| line.parse().ok()).map(Moment::from_millis);
    sent.filter(|sent| *sent + within > now).collect()
}

/// Never shorter than what it says: the lines that stay are written over the old ones before the rest is cut off.
fn rewrite(file: &mut File, sent: &[Moment]) -> io::Result<()> {
    let text: String = sent.iter().map(|sent| line(*sent)).collect();
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

fn line(sent: Moment) -> String {
    format!("{}\n", sent.millis())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn at(millis: u64) -> Moment {
        Moment::from_millis(1_800_000_000_000 + millis)
    }

    #[test]
    fn requests_outlive_a_restart_and_old_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let open = |now| Journal::open(dir.path(), "a", now, DAY);
        let (mut journal, sent) = open(at(0)).unwrap();
        assert_eq!(sent, []);
        (0..5).for_each(|n| journal.note(at(n)).unwrap());
        drop(journal);
        // As after a crash in the middle of a line.
        let mut text = std::fs::read_to_string(dir.path().join("a.requests")).unwrap();
        text.push_str("18000");
        std::fs::write(dir.path().join("a.requests"), &text).unwrap();
        let (mut journal, sent) = open(at(2) + DAY).unwrap();
        assert_eq!(sent, [at(3), at(4)]);
        journal.note(at(9)).unwrap();
        drop(journal);
        assert_eq!(open(at(10)).unwrap().1, [at(3), at(4), at(9)]);
    }

    #[test]
    fn two_programs_do_not_share_a_quota_unseen() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Journal::open(dir.path(), "a", at(0), DAY).unwrap();
        let second = Journal::open(dir.path(), "a", at(0), DAY).unwrap_err();
        assert!(matches!(second, JournalError::Locked(_)), "{second}");
        Journal::open(dir.path(), "b", at(0), DAY).unwrap();
    }
}
