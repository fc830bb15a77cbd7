//! The store check: of several concurrent puts-if-absent exactly one may win. A store that fails is refused, for
//! P2 rests on it. Some stores look right one put after another and fail only in a race, so this races.

use bytes::Bytes;
use futures::future::join_all;

use crate::lake::random_id;
use crate::lake::store::error::{StoreError, unusable};
use crate::lake::store::{Lake, Put};

/// Writers of a round.
const WRITERS: usize = 4;

/// Races for new keys below `probe/`, and deletes them.
pub async fn check(lake: &Lake) -> Result<(), StoreError> {
    let rounds = if lake.local_root().is_some() { 3 } else { 20 };
    let id = random_id()?;
    let keys: Vec<_> = (0..rounds).map(|round| format!("probe/{id}-{round:02}")).collect();
    let result = race(lake, &keys).await;
    if let Err(error) = lake.delete(keys).await {
        tracing::warn!("objects of the store check remain: {error}");
    }
    if let Some(root) = lake.local_root() {
        // Not empty while another process checks too: then that one removes it.
        let _ = std::fs::remove_dir(root.join("probe"));
    }
    result
}

async fn race(lake: &Lake, keys: &[String]) -> Result<(), StoreError> {
    let mut clear = 0;
    for key in keys {
        let writers = (0..WRITERS).map(|writer| async move {
            let bytes = Bytes::from(format!("{key} writer {writer}\n"));
            lake.put_if_absent(key, bytes.clone()).await.map(|put| (put, bytes))
        });
        let puts = join_all(writers).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let found = lake.get(key).await?;
        match judge(&puts, found.as_ref()) {
            Round::Clear => clear += 1,
            Round::Unclear => {}
            Round::Broken(why) => {
                let place = lake.location();
                return Err(unusable(format!(
                    "{place} cannot hold a lake: {why}; use a store whose `If-None-Match: *` is atomic"
                )));
            }
        }
    }
    if clear * 2 < keys.len() {
        let place = lake.location();
        return Err(StoreError::Transient(format!("{place} answered too few puts of the store check; try again")));
    }
    Ok(())
}

/// What a round of the race says.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    Clear,
    /// A reply was lost, so the winner is not known.
    Unclear,
    Broken(String),
}

fn judge(puts: &[(Put, Bytes)], found: Option<&Bytes>) -> Round {
    let winners: Vec<_> = puts.iter().filter(|(put, _)| *put == Put::Created).collect();
    match (winners.as_slice(), found) {
        ([], _) => Round::Unclear,
        ([(_, bytes)], Some(found)) if found == bytes => Round::Clear,
        ([_], Some(_)) => Round::Broken("it overwrote what a put-if-absent had written".into()),
        ([_], None) => Round::Broken("what it confirmed as written cannot be read".into()),
        (many, _) => {
            Round::Broken(format!("{} of {} concurrent puts-if-absent of one key won", many.len(), puts.len()))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lake::StoreOptions;
    use crate::lake::testing::{Fault, Faulty};

    #[test]
    fn p2_rounds_are_judged() {
        let put = |put: Put, bytes: &'static str| (put, Bytes::from(bytes));
        let (won, lost) = (put(Put::Created, "a"), put(Put::Exists, "b"));
        let (a, b) = (Bytes::from("a"), Bytes::from("b"));
        assert_eq!(judge(&[lost.clone(), won.clone()], Some(&a)), Round::Clear);
        assert_eq!(judge(std::slice::from_ref(&lost), Some(&a)), Round::Unclear);
        for (puts, found) in [
            (vec![won.clone(), lost.clone()], Some(&b)),
            (vec![won.clone(), lost], None),
            (vec![won, put(Put::Created, "b")], Some(&b)),
        ] {
            assert!(matches!(judge(&puts, found), Round::Broken(_)), "{puts:?}");
        }
    }

    #[tokio::test]
    async fn a_local_directory_passes_and_nothing_remains() {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(&dir.path().to_string_lossy(), &StoreOptions::default()).await.unwrap();
        check(&lake).await.unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let silent = lake.wrap(Faulty::wrap(lake.store(), |_| Some(Fault::Failed)));
        assert!(matches!(check(&silent).await, Err(StoreError::Transient(_))));
    }
}
