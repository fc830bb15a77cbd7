//! What is asked of whoever holds the claim: `requests/<id>.json`. Nobody else commits, so whoever wants a lake tidied beside a
//! run asks it to.
//!
//! The holder marks a request as its own, and deletes it once what was asked for is in commits. One that a run has left behind
//! is taken by the next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::columns::whose::{Bound, Name};
use crate::lake::Lake;
use crate::lake::digest;
use crate::lake::history::layout;
use crate::lake::store::error::StoreError;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// 128 random bits in hex.
    pub id: String,
    /// What is wanted.
    pub wanted: Wanted,
    /// The run that has taken it.
    pub taken_by: Option<String>,
}

/// What can be wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// To have small files packed.
    Compact {
        /// Those of this table; of all.
        table: Option<String>,
        /// Those of this date; of all.
        date: Option<String>,
    },
    /// To have files dropped.
    Retain {
        /// By table: those of dates before, `YYYY-MM-DD`.
        before: BTreeMap<String, String>,
    },
    /// To have a vehicle's rows erased.
    Erase(Erase),
}

/// A vehicle that is to be forgotten. The request stays until nothing of it is left: it is the one place that may name it, and a
/// run that dies on the way leaves it to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erase {
    /// What it is called.
    pub vehicle: Name,
    /// 128 random bits in hex: with the name they give what commits say of it.
    pub salt: String,
    /// Which of its rows are meant, once a run has taken the request up.
    pub bound: Option<Bound>,
}

impl Erase {
    /// What commits say instead of the name.
    pub fn whose(&self) -> String {
        digest(format!("{}{}", self.salt, self.vehicle.as_str()).as_bytes())
    }
}

/// Makes a request, or says that it is taken.
///
/// # Errors
/// The store's.
pub async fn put(lake: &Lake, request: &Request) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(request).map_err(|error| StoreError::Unusable(format!("a request: {error}")))?;
    lake.put(&layout::request(&request.id), bytes.into()).await
}

/// How a request stands; `None`: it has been done, or taken back.
///
/// # Errors
/// The store's.
pub async fn get(lake: &Lake, id: &str) -> Result<Option<Request>, StoreError> {
    let bytes = lake.get(&layout::request(id)).await?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// All requests; what cannot be read is none.
///
/// # Errors
/// The store's.
pub async fn all(lake: &Lake) -> Result<Vec<Request>, StoreError> {
    let mut requests = Vec::new();
    for name in lake.names(layout::REQUESTS, None).await? {
        let Some(id) = name.strip_suffix(".json") else { continue };
        requests.extend(get(lake, id).await?.filter(|request| request.id == id));
    }
    Ok(requests)
}

/// Deletes a request.
///
/// # Errors
/// The store's.
pub async fn delete(lake: &Lake, id: &str) -> Result<(), StoreError> {
    lake.delete(vec![layout::request(id)]).await?;
    lake.delete_leftovers(layout::REQUESTS, |name| name.starts_with(id))
}
