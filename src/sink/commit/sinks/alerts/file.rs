//! A file of JSON lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Message, Target};

/// Appends each message as a line.
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
            let written = tokio::task::spawn_blocking(move || append(&path, lines));
            written.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        }
        .boxed()
    }
}

/// Appends lines, in one piece mostly: who reads along sees whole ones. What a full disk or a crash has left of a line stays one of
/// its own.
fn append(path: &Path, mut lines: String) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    // One that can be written only is taken to be whole.
    if last_byte(path).is_ok_and(|byte| byte != b'\n') {
        lines.insert(0, '\n');
    }
    file.write_all(lines.as_bytes())?;
    file.sync_data()
}

fn last_byte(path: &Path) -> io::Result<u8> {
    let mut byte = [b'\n'];
    let file = File::open(path)?;
    if let Some(last) = file.metadata()?.len().checked_sub(1) {
        file.read_exact_at(&mut byte, last)?;
    }
    Ok(byte[0])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_line_stays_a_line_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.jsonl");
        append(&path, "{\"id\":1}\n{\"id\":2}\n".to_owned()).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"{\"id\"").unwrap();
        append(&path, "{\"id\":3}\n".to_owned()).unwrap();
        append(&path, "{\"id\":4}\n".to_owned()).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"id\":1}\n{\"id\":2}\n{\"id\"\n{\"id\":3}\n{\"id\":4}\n"
        );
    }
}
