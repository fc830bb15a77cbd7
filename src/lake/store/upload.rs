//! Writes an object of any length without holding more than a part of it.

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};

use super::{Lake, parse_path};
use crate::lake::store::error::StoreError;

/// The length of a part; a shorter object is put at once.
const PART: usize = 8 << 20;

/// An object on its way. It replaces what is there once it is [finished](Upload::finish), and not before.
pub struct Upload {
    lake: Lake,
    path: String,
    held: Vec<u8>,
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Upload {
    /// Nothing is written yet.
    pub fn new(lake: &Lake, path: &str) -> Upload {
        Upload { lake: lake.clone(), path: path.to_owned(), held: Vec::new(), parts: None }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// The store's; what was uploaded is given up then.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.held.extend_from_slice(bytes);
        while self.held.len() >= PART {
            let rest = self.held.split_off(PART);
            let part = std::mem::replace(&mut self.held, rest);
            self.put_part(part.into()).await?;
        }
        Ok(())
    }

    /// All bytes have been taken.
    ///
    /// # Errors
    /// As above.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        let last = Bytes::from(std::mem::take(&mut self.held));
        if self.parts.is_none() {
            return self.lake.put(&self.path, last).await;
        }
        if !last.is_empty() {
            self.put_part(last).await?;
        }
        let Some(parts) = &mut self.parts else { return Ok(()) };
        let completed = parts.complete().await;
        self.or_give_up(completed.map(|_| ())).await
    }

    async fn put_part(&mut self, part: Bytes) -> Result<(), StoreError> {
        if self.parts.is_none() {
            let begun = self.lake.store().put_multipart(&parse_path(&self.path)?).await;
            self.parts = Some(begun.map_err(|error| self.lake.error("write", &self.path, error))?);
        }
        let Some(parts) = &mut self.parts else { return Ok(()) };
        let put = parts.put_part(PutPayload::from(part)).await;
        self.or_give_up(put).await
    }

    async fn or_give_up(&mut self, done: object_store::Result<()>) -> Result<(), StoreError> {
        if let (Err(_), Some(mut parts)) = (&done, self.parts.take_if(|_| done.is_err())) {
            // The store forgets it by itself, or by a rule of its bucket.
            let _ = parts.abort().await;
        }
        done.map_err(|error| self.lake.error("write", &self.path, error))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lake::StoreOptions;

    #[tokio::test]
    async fn an_object_of_any_length_is_written_whole() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        for length in [0, 7, PART, PART + 1, 2 * PART + 9] {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let mut upload = Upload::new(&lake, "some/object");
            for chunk in bytes.chunks(3_000_001) {
                upload.write(chunk).await.unwrap();
                assert!(upload.held.len() < PART);
            }
            upload.finish().await.unwrap();
            assert!(lake.get("some/object").await.unwrap().unwrap() == bytes, "{length}");
        }
        let mut given_up = Upload::new(&lake, "another");
        given_up.write(&vec![1; PART + 1]).await.unwrap();
        drop(given_up);
        assert_eq!(lake.get("another").await.unwrap(), None);
    }
}
