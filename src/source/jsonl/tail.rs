//! One open file: complete lines from a position on, in large blocks, and what has become of the file since.

use std::fs::{self, File};
use std::io::{self, BufRead};
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use citystream_dataflows::time::bindings::NextOffset;
use citystream_dataflows::time::{LOG_TIMES, Micros};

use super::envelope::{Format, Parsed};
use super::header::{self, Start};
use crate::source::ends::{End, Ends};
use crate::source::{Record, SourceError};

/// How much is read at once.
const BLOCK: usize = 64 << 10;
/// The longest line that is read whole: far above what a decoder accepts, far below what would endanger the process.
pub(super) const LONGEST: usize = 64 << 20;
/// What is kept of a longer one, which is a payload that nobody accepts.
pub(super) const KEPT: usize = 1 << 20;
/// How often the path is compared with the open file.
const LOOK: Duration = Duration::from_millis(500);
/// The id of topics of bare records, which have no header to hold one.
pub(super) const BARE_ID: &str = "bare";

/// A file that is being read.
pub(super) struct Tail {
    file: File,
    path: PathBuf,
    topic_id: String,
    first: i64,
    buffer: Vec<u8>,
    /// What of the buffer has not been handed out.
    unread: Range<usize>,
    /// How much of `unread` is known to hold no newline.
    searched: usize,
    /// Bytes of the first line that were dropped behind its first `KEPT`, as it is too long.
    dropped: usize,
    /// The file position of the end of `unread`.
    filled_to: u64,
    /// Up to where the file has been looked at: what lies between had no newline.
    seen_to: u64,
    last_log_time: Micros,
    looked: Instant,
    ends: Ends,
}

/// A file's identity, and where its records start.
pub(super) fn identity(file: &File, path: &Path, format: &Format) -> Result<Option<(String, i64)>, SourceError> {
    match (header::read(file).map_err(|e| unusable(path, &e))?, format) {
        (Start::Nothing, _) => Ok(None),
        (Start::Header { topic_id, first }, _) => Ok(Some((topic_id, first))),
        (Start::Other, Format::Bare(..)) => Ok(Some((BARE_ID.to_owned(), 0))),
        (Start::Other, Format::Envelopes) => Err(SourceError::Mistaken(format!(
            "{} does not start with a header {{\"topic_id\": ...}}; bare records are read with --log-clock event",
            path.display()
        ))),
    }
}

impl Tail {
    /// Opens a file at the start of a line.
    pub(super) fn open(path: PathBuf, next: NextOffset, format: &Format) -> Result<Tail, SourceError> {
        let file = File::open(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => lost(&path, "it is not there any more"),
            _ => unusable(&path, &e),
        })?;
        let (topic_id, first) = identity(&file, &path, format)?.ok_or_else(|| lost(&path, "it lost its header"))?;
        let tail = Tail {
            file,
            path,
            topic_id,
            first,
            buffer: Vec::new(),
            unread: 0..0,
            searched: 0,
            dropped: 0,
            filled_to: next.0.max(0) as u64,
            seen_to: next.0.max(0) as u64,
            last_log_time: LOG_TIMES.start,
            looked: Instant::now(),
            ends: Ends::default(),
        };
        tail.check_start(next)?;
        let last_log_time = tail.log_time_before(next.0 as u64, format)?;
        Ok(Tail { last_log_time, ..tail })
    }

    /// Hands out complete lines until `take` breaks or none is left.
    pub(super) fn poll(
        &mut self,
        format: &Format,
        take: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        loop {
            while let Some(line) = self.next_line() {
                if self.hand_out(line, format, take).is_break() {
                    return Ok(());
                }
            }
            if !self.fill()? {
                self.forget_torn_line();
                return self.look();
            }
        }
    }

    /// Whether the file ends here, save for a line without newline.
    pub(super) fn drained(&mut self) -> bool {
        self.next_line().is_none() && self.file.metadata().is_ok_and(|m| m.len() == self.seen_to)
    }

    /// Whether all has been handed out that was there within the last 2 s.
    pub(super) fn caught_up(&mut self) -> bool {
        let asked = Instant::now();
        if let Ok(metadata) = self.file.metadata() {
            self.ends.tell(End { at: metadata.len() as i64, asked, answered: asked });
        }
        // Behind the last complete line may be a part of one, which is not there yet.
        let at = if self.next_line().is_none() { self.seen_to } else { self.next_start() };
        self.ends.reached(at as i64, asked)
    }

    /// How long the file was when that was last looked at.
    pub(super) fn end(&self) -> Option<NextOffset> {
        self.ends.latest().map(|end| NextOffset(end.at))
    }

    /// The file position of the first line that has not been handed out.
    fn next_start(&self) -> u64 {
        self.filled_to - (self.unread.len() + self.dropped) as u64
    }

    /// A line without newline is not there yet: its writer may come back and cut it off.
    fn forget_torn_line(&mut self) {
        self.filled_to = self.next_start();
        self.unread = 0..0;
        (self.searched, self.dropped) = (0, 0);
    }

    /// The next complete line in the buffer, without its newline; does not hand it out.
    fn next_line(&mut self) -> Option<Range<usize>> {
        let from = self.unread.start + self.searched;
        let mut rest = &self.buffer[from..self.unread.end];
        // Reading from a slice copies nothing and cannot fail.
        let length = rest.skip_until(b'\n').unwrap_or(0);
        if length > 0 && self.buffer[from + length - 1] == b'\n' {
            // The next search starts at the line itself, so that asking twice gives the same line.
            return Some(self.unread.start..from + length - 1);
        }
        self.searched += length;
        None
    }

    fn hand_out(
        &mut self,
        line: Range<usize>,
        format: &Format,
        take: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (end, length) = (line.end + 1, line.len() + self.dropped);
        let next = self.filled_to as i64 - (self.unread.end - end) as i64;
        let offset = next - (length + 1) as i64;
        // By its length alone, so that it does not matter in which blocks it came.
        let is_cut = length > LONGEST;
        let parsed = if is_cut {
            Parsed { log_time: None, key: None, payload: Some(&self.buffer[line.start..line.start + KEPT]) }
        } else {
            format.parse(&self.buffer[line])
        };
        let log_time = parsed.log_time.unwrap_or(self.last_log_time);
        if LOG_TIMES.contains(&log_time) {
            self.last_log_time = log_time;
        }
        self.unread.start = end;
        (self.searched, self.dropped) = (0, 0);
        let (key, payload) = (parsed.key.as_deref(), parsed.payload);
        take(Record { offset, next: NextOffset(next), log_time, key, payload, length: is_cut.then_some(length) })
    }

    /// Reads another block behind what is left; `false` at the end of the file.
    fn fill(&mut self) -> Result<bool, SourceError> {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        if self.unread.len() + self.dropped > LONGEST {
            self.drop_rest();
        }
        if self.buffer.len() < self.unread.end + BLOCK {
            self.buffer.resize((self.unread.end + BLOCK).max(self.buffer.len() * 2), 0);
        }
        let read = self.file.read_at(&mut self.buffer[self.unread.end..], self.filled_to);
        let read = read.map_err(|e| unusable(&self.path, &e))?;
        self.unread.end += read;
        self.filled_to += read as u64;
        self.seen_to = self.filled_to;
        Ok(read > 0)
    }

    /// Of a line that is too long, and all that is unread, the beginning is kept.
    fn drop_rest(&mut self) {
        self.dropped += self.unread.len() - KEPT;
        self.unread.end = KEPT;
        self.searched = KEPT;
        self.buffer.truncate(KEPT);
        self.buffer.shrink_to(2 * KEPT);
    }

    /// At the end of the file, now and then: whether it still is the file, and still as long.
    fn look(&mut self) -> Result<(), SourceError> {
        if self.looked.elapsed() < LOOK {
            return Ok(());
        }
        self.looked = Instant::now();
        let open = self.file.metadata().map_err(|e| unusable(&self.path, &e))?;
        if open.len() < self.filled_to {
            return Err(lost(&self.path, &format!("it shrank to {} bytes, {} were read", open.len(), self.filled_to)));
        }
        let named = fs::metadata(&self.path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => lost(&self.path, "it was removed"),
            _ => unusable(&self.path, &e),
        })?;
        if (named.dev(), named.ino()) != (open.dev(), open.ino()) {
            return Err(lost(&self.path, "another file has taken its place"));
        }
        match header::read(&self.file).map_err(|e| unusable(&self.path, &e))? {
            Start::Header { topic_id, .. } if topic_id != self.topic_id => {
                Err(lost(&self.path, &format!("its topic id was {}, now it is {topic_id}", self.topic_id)))
            }
            _ => Ok(()),
        }
    }

    /// Whether `next` can be a position of this file: behind the header, at the start of a line.
    fn check_start(&self, next: NextOffset) -> Result<(), SourceError> {
        let length = self.file.metadata().map_err(|e| unusable(&self.path, &e))?.len();
        if next.0 < self.first {
            return Err(lost(&self.path, &format!("offset {} is before its first record at {}", next.0, self.first)));
        }
        if next.0 as u64 > length {
            return Err(lost(&self.path, &format!("it shrank to {length} bytes, {} were read", next.0)));
        }
        let mut before = [b'\n'];
        if next.0 > 0 {
            self.file.read_exact_at(&mut before, next.0 as u64 - 1).map_err(|e| unusable(&self.path, &e))?;
        }
        if before == [b'\n'] {
            return Ok(());
        }
        Err(lost(&self.path, &format!("no line starts at {}: it is not the file that was read before", next.0)))
    }

    /// The log time of the last line before `end` that has one in [`LOG_TIMES`]: what the reader would hold if it had not started
    /// again. Usually that of the last line.
    fn log_time_before(&self, end: u64, format: &Format) -> Result<Micros, SourceError> {
        let first = self.first as u64;
        let mut size = BLOCK as u64 / 4;
        loop {
            let start = end.saturating_sub(size).max(first);
            let mut block = vec![0; (end - start) as usize];
            self.file.read_exact_at(&mut block, start).map_err(|e| unusable(&self.path, &e))?;
            // Unless it is the first one, the first line of the block may be a part of one.
            let whole = if start == first { 0 } else { position(&block, b'\n').map_or(block.len(), |i| i + 1) };
            let found = block[whole..]
                .rsplit(|b| *b == b'\n')
                .filter(|line| line.len() <= LONGEST)
                .find_map(|line| format.parse(line).log_time.filter(|time| LOG_TIMES.contains(time)));
            match found {
                Some(log_time) => return Ok(log_time),
                None if start == first => return Ok(LOG_TIMES.start),
                None => size *= 4,
            }
        }
    }
}

fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|b| *b == wanted)
}

pub(super) fn unusable(path: &Path, error: &io::Error) -> SourceError {
    SourceError::Unusable(format!("cannot read {}: {error}", path.display()))
}

fn lost(path: &Path, what: &str) -> SourceError {
    SourceError::Lost(format!("the log file {} cannot be gone on with: {what}", path.display()))
}
