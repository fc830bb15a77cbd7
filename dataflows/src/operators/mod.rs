//! What acts on records: dispositions, the joins, the lives of incidents, windows, numbers for what they refer to, and what
//! drives them.

pub mod classify;
pub mod enrich;
pub mod incidents;
pub mod numbers;
pub mod references;
pub mod repeats;
pub mod stage;
pub mod timeline;
pub mod weather_join;
pub mod windows;
