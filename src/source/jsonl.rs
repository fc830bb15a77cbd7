//! tmp
use super::*; use std::path::PathBuf;
#[derive(Clone,Debug)] pub struct JsonlOptions; impl JsonlOptions { pub fn new(_: PathBuf, _: [String;5], _: bool)->Self{JsonlOptions} }
pub struct JsonlReader; impl JsonlReader { pub fn new(_: JsonlOptions)->Self{JsonlReader} }
pub struct JsonlCatalog; impl JsonlCatalog { pub fn new(_: JsonlOptions)->Self{JsonlCatalog} }
impl Reader for JsonlReader { fn add(&mut self, _: Partition, _: NextOffset) -> Result<(), SourceError> {Ok(())}
    fn poll( &mut self, _: Partition, _: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,) -> Result<(), SourceError> {Ok(())}
    fn drained(&mut self, _: Partition) -> bool {true} }
impl Catalog for JsonlCatalog { fn discover(&self) -> Result<Vec<Available>, SourceError> {Ok(vec![])}
    fn group_offsets(&self, _: &[Partition]) -> Result<Vec<(Partition, NextOffset)>, SourceError>{Ok(vec![])}
    fn report(&self, _: &[(Partition, NextOffset)]) -> Result<(), SourceError>{Ok(())} }
