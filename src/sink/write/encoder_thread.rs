//! One thread that encodes and uploads for one operator, so that no worker ever waits for either.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use arrow::array::RecordBatch;
use bytes::Bytes;
use citystream_dataflows::held::Held;
use citystream_dataflows::time::Epoch;
use futures::{StreamExt, TryStreamExt};

use super::encoder::{Encoder, EncoderOptions, Remainder};
use super::group::EncodedFile;
use crate::columns::tables::Table;
use crate::error::RunError;
use crate::lake::history::commit::File;
use crate::lake::history::layout;
use crate::lake::history::patience::patiently;
use crate::process::{LakeAccess, Mailbox};

/// Before an upload is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Files that one encoder uploads at a time.
const UPLOADS: usize = 16;

/// Work for the thread, done in order.
pub enum Job {
    /// Complete rows of one table, of the commit of this number.
    Rows(Table, RecordBatch, u64),
    /// What another worker had too little of.
    Few(Remainder),
    /// Make durable files of everything so far.
    Seal {
        /// The sealing epoch.
        epoch: Epoch,
        /// The number of the commit.
        seq: u64,
        /// Whether to send on what is too little, instead of making small files of it.
        send_few: bool,
    },
}

/// A sealed encoder's answer: the files are durable.
#[derive(Debug)]
pub struct Sealed {
    /// The sealing epoch.
    pub epoch: Epoch,
    /// The number of the commit.
    pub seq: u64,
    /// The files, by table.
    pub files: Vec<(Table, File)>,
    /// For another worker to write.
    pub few: Vec<Remainder>,
}

/// The sending end of the thread. Dropping it ends the thread once its work is done.
pub struct EncoderThread {
    jobs: mpsc::Sender<Job>,
    held: Arc<Held>,
}

impl Job {
    /// Bytes of changes, which are told no faster than they are written.
    fn bytes(&self) -> u64 {
        match self {
            Job::Rows(Table::Changes(_), rows, _) => rows.get_array_memory_size() as u64,
            _ => 0,
        }
    }
}

impl EncoderThread {
    /// Starts the thread. `number` is its own among the encoder threads of a run.
    pub fn start(
        access: LakeAccess,
        run: String,
        number: usize,
        mailbox: Mailbox<Result<Sealed, RunError>>,
    ) -> Result<Self, RunError> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (held, telling) = (Arc::clone(&access.held), Arc::clone(&access.held));
        let (defaults, target_bytes) = (EncoderOptions::default(), access.file_bytes);
        let options = EncoderOptions { target_bytes, small_bytes: defaults.small_bytes.min(target_bytes), ..defaults };
        let encoder = Encoder::new(options)?;
        let mut worker = Worker { encoder, access, run, number, files: 0, durable: Vec::new() };
        thread::spawn(move || {
            for job in inbox {
                let bytes = job.bytes();
                let done = worker.act(job);
                telling.written(bytes);
                match done {
                    Ok(None) => {}
                    Ok(Some(sealed)) => mailbox.send(Ok(sealed)),
                    Err(error) => return mailbox.send(Err(error)),
                }
            }
        });
        Ok(EncoderThread { jobs, held })
    }

    /// Hands over work. A thread that failed has said so through its mailbox.
    pub fn send(&self, job: Job) {
        self.held.hand_over(job.bytes());
        let _ = self.jobs.send(job);
    }
}

struct Worker {
    encoder: Encoder,
    access: LakeAccess,
    run: String,
    number: usize,
    files: u64,
    /// What is durable before the seal: complete files do not wait for it.
    durable: Vec<(Table, File)>,
}

impl Worker {
    fn act(&mut self, job: Job) -> Result<Option<Sealed>, RunError> {
        match job {
            Job::Rows(table, rows, seq) => {
                self.encoder.append(table, rows)?;
                let complete = self.encoder.take_files();
                if !complete.is_empty() {
                    self.upload(seq, complete)?;
                }
            }
            Job::Few(few) => self.encoder.append_remainder(few)?,
            Job::Seal { epoch, seq, send_few } => {
                let (encoded, few) = if send_few {
                    let sealed = self.encoder.seal()?;
                    (sealed.files, sealed.remainders)
                } else {
                    (self.encoder.seal_all()?, Vec::new())
                };
                self.upload(seq, encoded)?;
                return Ok(Some(Sealed { epoch, seq, files: std::mem::take(&mut self.durable), few }));
            }
        }
        Ok(None)
    }

    /// Makes files durable under names that no other run, commit or encoder uses.
    fn upload(&mut self, seq: u64, encoded: Vec<EncodedFile>) -> Result<(), RunError> {
        let mut puts = Vec::new();
        for encoded in encoded {
            self.files += 1;
            let path = layout::data_file(encoded.table.name(), &encoded.date, &self.run, seq, self.number, self.files);
            let file = encoded.describe(path, (seq, seq), 0);
            puts.push(put(&self.access, encoded.table, file, encoded.data));
        }
        let uploads = futures::stream::iter(puts).buffered(UPLOADS);
        self.durable.extend(self.access.runtime.block_on(uploads.try_collect::<Vec<_>>())?);
        Ok(())
    }
}

async fn put(access: &LakeAccess, table: Table, file: File, data: Bytes) -> Result<(Table, File), RunError> {
    // A store that stalls is waited for: the budget bounds what is read meanwhile.
    patiently(&access.lake, FIRST_PAUSE, || access.lake.put(&file.path, data.clone())).await?;
    Ok((table, file))
}
