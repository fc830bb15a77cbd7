//! A file of JSON lines.

use std::io::Write;
use std::path::PathBuf;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Message, Target};

/// Appends each message as a line. What breaks off within a line, as a disk that is full does, is written again after it.
pub struct LogFile(pub PathBuf);

impl Target for LogFile {
    fn name(&self) -> String {
        format!("the file {}", self.0.display())
    }

    fn at_once(&self) -> usize {
        1000
    }

    fn tell<'a>(&'a self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), String>> {
        let lines: String = messages.iter().map(|message| format!("{}\n", message.body)).collect();
        let path = self.0.clone();
        async move {
            let written = tokio::task::spawn_blocking(move || {
                let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
                // In one piece, mostly: who reads along sees whole lines.
                file.write_all(lines.as_bytes())?;
                file.sync_data()
            });
            written.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        }
        .boxed()
    }
}
