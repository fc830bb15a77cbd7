//! Appends records to a directory of JSON lines: one writer of a log at a time, which an exclusive lock on each file
//! sees to. Going on with a file cuts off a torn last line, which no reader has seen.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use citystream_dataflows::time::bindings::{NextOffset, Partition, Topic};

use citystream_wire::PerTopic;

use super::envelope::Format;
use super::file_of;
use super::header::{self, Start};

/// A buffer that has grown to this is written out.
const BUFFER: usize = 64 << 10;

/// Why records cannot be appended.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file system said no.
    #[error("cannot write {path}: {error}")]
    Io {
        /// The file or directory.
        path: String,
        /// The system's words.
        error: io::Error,
    },
    /// Another process writes this log.
    #[error("another process writes {0}: stop it, or use another directory")]
    Locked(String),
    /// The file is something else.
    #[error("{0} is no log of citystream: it does not start with a header {{\"topic_id\": ...}}")]
    Foreign(String),
    /// The record would end its line early.
    #[error("a record with a newline cannot be a line")]
    Newline,
    /// There is no such partition in this log.
    #[error("topic {0} has no partition {1}")]
    NoPartition(&'static str, i32),
}

/// Appends to all partitions of a log. Records reach the files when a buffer is full, at `flush`, and when it is dropped.
pub struct JsonlWriter {
    /// By topic, then by partition.
    files: PerTopic<Vec<PartitionFile>>,
    /// The greatest log time of the last lines when it was opened.
    last_log_time_ms: Option<i64>,
}

struct PartitionFile {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    /// The position behind the buffer.
    end: i64,
}

impl JsonlWriter {
    /// Opens the log in `dir` with at least `partitions` partitions of each topic, and creates what is missing.
    pub fn open(dir: &Path, topics: &PerTopic<String>, partitions: u32) -> Result<JsonlWriter, WriteError> {
        let files = PerTopic::try_new(|topic| open_topic(&dir.join(&topics[topic]), partitions))?;
        let mut last_log_time_ms = None;
        for file in files.values().iter().flatten() {
            last_log_time_ms = last_log_time_ms.max(file.last_log_time_ms().map_err(|e| failed(&file.path, e))?);
        }
        Ok(JsonlWriter { files, last_log_time_ms })
    }

    /// The greatest log time found at the ends of the files when they were opened, in milliseconds since 1970.
    pub fn last_log_time_ms(&self) -> Option<i64> {
        self.last_log_time_ms
    }

    /// The number of partitions of a topic: those asked for, or more if more were there.
    pub fn partitions(&self, topic: Topic) -> u32 {
        self.files[topic].len() as u32
    }

    /// Where the next record of a partition will stand.
    pub fn end(&self, partition: Partition) -> Option<NextOffset> {
        self.files[partition.topic].get(partition.index as usize).map(|file| NextOffset(file.end))
    }

    /// Appends a record; `value` is JSON, or nothing for a null payload. Gives the next offset.
    pub fn append(
        &mut self,
        partition: Partition,
        ts_ms: i64,
        key: Option<&str>,
        value: Option<&[u8]>,
    ) -> Result<NextOffset, WriteError> {
        let Partition { topic, index } = partition;
        let file = self.files[topic].get_mut(index as usize);
        file.ok_or(WriteError::NoPartition(topic.name(), index))?.append(ts_ms, key, value)
    }

    /// Makes all appended records visible to readers.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.files.iter_mut().flat_map(|(_, files)| files).try_for_each(PartitionFile::flush)
    }

    /// As `flush`, and on disk.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        self.flush()?;
        let mut files = self.files.values().iter().flatten();
        files.try_for_each(|file| file.file.sync_data().map_err(|e| failed(&file.path, e)))
    }
}

impl Drop for JsonlWriter {
    fn drop(&mut self) {
        // Whoever must know calls `flush`.
        let _ = self.flush();
    }
}

fn open_topic(dir: &Path, partitions: u32) -> Result<Vec<PartitionFile>, WriteError> {
    fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    let mut topic_id = None;
    let mut files = Vec::new();
    for index in 0.. {
        let path = file_of(dir, index);
        if index as u32 >= partitions && !path.exists() {
            break;
        }
        let file = open_locked(&path)?;
        match header::read(&file).map_err(|e| failed(&path, e))? {
            Start::Header { topic_id: found, .. } => topic_id = topic_id.or(Some(found)),
            Start::Nothing => {}
            Start::Other => return Err(WriteError::Foreign(path.display().to_string())),
        }
        files.push((file, path));
    }
    let topic_id = topic_id.map_or_else(header::random_id, Ok).map_err(|e| failed(dir, e))?;
    files.into_iter().map(|(file, path)| PartitionFile::go_on(file, path, &topic_id)).collect()
}

fn open_locked(path: &Path) -> Result<File, WriteError> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(|e| failed(path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(WriteError::Locked(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(failed(path, error)),
    }
}

impl PartitionFile {
    /// Cuts a torn last line, and writes the header of a new file.
    fn go_on(file: File, path: PathBuf, topic_id: &str) -> Result<PartitionFile, WriteError> {
        let io = |e| failed(&path, e);
        let end = end_of_lines(&file).map_err(io)?;
        file.set_len(end).map_err(io)?;
        let mut end = end as i64;
        if end == 0 {
            let header = header::line(topic_id);
            file.write_all_at(header.as_bytes(), 0).map_err(io)?;
            end = header.len() as i64;
        }
        Ok(PartitionFile { file, path, buffer: Vec::with_capacity(BUFFER + 4096), end })
    }

    /// The log time of the last line that has one, near the end.
    fn last_log_time_ms(&self) -> io::Result<Option<i64>> {
        let mut block = vec![0; (self.end as usize).min(BUFFER)];
        let start = self.end as u64 - block.len() as u64;
        self.file.read_exact_at(&mut block, start)?;
        let found = block.rsplit(|b| *b == b'\n').find_map(|line| Format::Envelopes.parse(line).log_time);
        Ok(found.map(|micros| micros / 1000))
    }

    fn append(&mut self, ts_ms: i64, key: Option<&str>, value: Option<&[u8]>) -> Result<NextOffset, WriteError> {
        let value = value.unwrap_or(b"null");
        if value.contains(&b'\n') {
            return Err(WriteError::Newline);
        }
        let before = self.buffer.len();
        // Writing to a buffer in memory cannot fail.
        let _ = write!(self.buffer, "{{\"ts\":{ts_ms},\"key\":");
        match key {
            None => self.buffer.extend(b"null"),
            Some(key) => write_key(&mut self.buffer, key),
        }
        self.buffer.extend(b",\"value\":");
        self.buffer.extend(value);
        self.buffer.extend(b"}\n");
        self.end += (self.buffer.len() - before) as i64;
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(NextOffset(self.end))
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        // After a failure the file may hold a part; the buffer is written again at its place.
        let start = self.end as u64 - self.buffer.len() as u64;
        self.file.write_all_at(&self.buffer, start).map_err(|e| failed(&self.path, e))?;
        self.buffer.clear();
        Ok(())
    }
}

fn write_key(buffer: &mut Vec<u8>, key: &str) {
    if key.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        buffer.push(b'"');
        buffer.extend(key.as_bytes());
        buffer.push(b'"');
    } else {
        // A string always has a JSON form, and memory takes it.
        let _ = serde_json::to_writer(buffer, key);
    }
}

/// The position after the last newline, or 0.
fn end_of_lines(file: &File) -> io::Result<u64> {
    super::catalog::end_of_lines(file, 0).map(|end| end as u64)
}

fn failed(path: &Path, error: io::Error) -> WriteError {
    WriteError::Io { path: path.display().to_string(), error }
}
