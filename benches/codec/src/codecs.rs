//! The encodings, each as an exchange would use it.

use std::io::Write;

use abomonation::Abomonation;
use columnar::bytes::indexed;
use columnar::{Borrow, BorrowedOf, Clear, Columnar, ContainerBytes, FromBytes, Index, Len, Push};

use crate::rows::{GpsRow, GpsRowReference, Ping, PingReference, Sample, numbers_digest, text_digest};

/// One encoding of batches of one kind of row.
pub trait Codec<R>: Default {
    /// Collects the rows as an operator's output buffer does.
    fn build(&mut self, rows: &[R]);
    /// Encodes what was built.
    fn encode(&mut self);
    /// Decodes what was encoded and reads all of it.
    fn read(&mut self) -> u64;
    /// The length of what was encoded.
    fn bytes(&self) -> usize;
}

fn digest<R: Sample>(rows: &[R]) -> u64 {
    rows.iter().fold(0, |sum, row| sum.wrapping_add(row.digest()))
}

/// Memory as it is. Unsound: it writes padding, and makes values out of bytes.
pub struct Abomonated<R> {
    rows: Vec<R>,
    bytes: Vec<u8>,
}

impl<R> Default for Abomonated<R> {
    fn default() -> Self {
        Abomonated { rows: Vec::new(), bytes: Vec::new() }
    }
}

impl Abomonation for GpsRow {
    unsafe fn entomb<W: Write>(&self, write: &mut W) -> std::io::Result<()> {
        // SAFETY: the caller's, as for each field.
        unsafe {
            self.id.entomb(write)?;
            self.device_id.entomb(write)?;
            self.vehicle_type.entomb(write)
        }
    }

    unsafe fn exhume<'b>(&mut self, bytes: &'b mut [u8]) -> Option<&'b mut [u8]> {
        // SAFETY: the caller's, as for each field.
        unsafe {
            let bytes = self.id.exhume(bytes)?;
            let bytes = self.device_id.exhume(bytes)?;
            self.vehicle_type.exhume(bytes)
        }
    }

    fn extent(&self) -> usize {
        self.id.extent() + self.device_id.extent() + self.vehicle_type.extent()
    }
}

impl Abomonation for Ping {}

impl<R: Sample + Abomonation> Codec<R> for Abomonated<R> {
    fn build(&mut self, rows: &[R]) {
        self.rows.clear();
        self.rows.extend_from_slice(rows);
    }

    fn encode(&mut self) {
        self.bytes.clear();
        // SAFETY: none in general, which is why this is a baseline only; these rows were made here.
        unsafe { abomonation::encode(&self.rows, &mut self.bytes) }.expect("memory takes all writes");
    }

    fn read(&mut self) -> u64 {
        // SAFETY: the bytes are what `encode` wrote for this type, in this process.
        let decoded = unsafe { abomonation::decode::<Vec<R>>(&mut self.bytes) };
        digest(decoded.expect("whole").0)
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// What timely does with rows that are not columnar.
pub struct Bincoded<R> {
    rows: Vec<R>,
    bytes: Vec<u8>,
}

impl<R> Default for Bincoded<R> {
    fn default() -> Self {
        Bincoded { rows: Vec::new(), bytes: Vec::new() }
    }
}

impl<R: Sample + serde::Serialize + serde::de::DeserializeOwned> Codec<R> for Bincoded<R> {
    fn build(&mut self, rows: &[R]) {
        self.rows.clear();
        self.rows.extend_from_slice(rows);
    }

    fn encode(&mut self) {
        self.bytes.clear();
        bincode::serialize_into(&mut self.bytes, &self.rows).expect("memory takes all writes");
    }

    fn read(&mut self) -> u64 {
        digest(&bincode::deserialize::<Vec<R>>(&self.bytes).expect("whole"))
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// A container of columns, read in place.
pub struct Columns<R: Columnar> {
    columns: R::Container,
    words: Vec<u64>,
}

impl<R: Columnar> Default for Columns<R> {
    fn default() -> Self {
        Columns { columns: R::Container::default(), words: Vec::new() }
    }
}

/// A row read in place.
pub trait Digest {
    /// As [`Sample::digest`].
    fn digest(self) -> u64;
}

impl Digest for columnar::Ref<'_, GpsRow> {
    fn digest(self) -> u64 {
        let GpsRowReference { id, device_id, vehicle_type, .. } = self;
        [id, device_id, vehicle_type].into_iter().map(text_digest).sum::<u64>()
            + (self.event_time + self.log_time + self.offset) as u64
            + *self.partition as u64
            + numbers_digest(&[*self.lat, *self.lon, *self.speed_kmh, self.bearing_deg.copied().unwrap_or(-1.0)])
    }
}

impl Digest for columnar::Ref<'_, Ping> {
    fn digest(self) -> u64 {
        let PingReference { cell, vehicle, .. } = self;
        (cell + vehicle)
            .wrapping_add((self.event_time + self.offset) as u64)
            .wrapping_add(*self.partition as u64 + numbers_digest(&[*self.lat, *self.lon, *self.speed_kmh]))
    }
}

impl<R> Codec<R> for Columns<R>
where
    R: Columnar,
    R::Container: ContainerBytes + for<'a> Push<&'a R>,
    for<'a> columnar::Ref<'a, R>: Digest,
{
    fn build(&mut self, rows: &[R]) {
        self.columns.clear();
        rows.iter().for_each(|row| self.columns.push(row));
    }

    fn encode(&mut self) {
        self.words.clear();
        indexed::encode(&mut self.words, &self.columns.borrow());
    }

    fn read(&mut self) -> u64 {
        let columns = BorrowedOf::<'_, R>::from_bytes(&mut indexed::decode(&self.words));
        (0..columns.len()).fold(0, |sum: u64, row| sum.wrapping_add(columns.get(row).digest()))
    }

    fn bytes(&self) -> usize {
        8 * self.words.len()
    }
}
