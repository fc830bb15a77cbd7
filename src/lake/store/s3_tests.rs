//! Against a real S3 server: `AWS_ENDPOINT_URL` with its keys in the environment, as `cargo xtask test` sets them.
//! Without a server there is nothing to test here; `CITYSTREAM_REQUIRE_SERVERS` makes that a failure.

#![allow(clippy::unwrap_used)]

use crate::lake::history::{read, roots};
use crate::lake::store::StoreOptions;
use crate::lake::store::error::StoreError;
use crate::lake::store::{Lake, Put, probe};
use crate::lake::testing::data;
use crate::lake::{Committer, random_id};

fn server() -> Option<StoreOptions> {
    let endpoint = std::env::var("AWS_ENDPOINT_URL").ok();
    let required = std::env::var_os("CITYSTREAM_REQUIRE_SERVERS").is_some();
    assert!(endpoint.is_some() || !required, "AWS_ENDPOINT_URL names no server");
    endpoint.map(|endpoint| StoreOptions { endpoint: Some(endpoint), ..StoreOptions::default() })
}

fn unusable(result: Result<Lake, StoreError>) -> String {
    match result {
        Err(StoreError::Unusable(text)) => {
            assert_eq!(text.lines().count(), 1, "{text}");
            text
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn p2_a_lake_on_s3_is_created_checked_claimed_and_recovered() {
    let Some(options) = server() else { return };
    let bucket = format!("citystream-{}", random_id().unwrap());
    let location = format!("s3://{bucket}/a//b/");
    assert!(unusable(Lake::open(&location, &options).await).contains("lake init"));
    Lake::init(&location, &options).await.unwrap();
    let lake = Lake::init(&location, &options).await.unwrap();
    assert_eq!(lake.address("x"), format!("s3://{bucket}/a/b/x"));
    probe::check(&lake).await.unwrap();
    assert!(lake.list("probe", None).await.unwrap().is_empty());
    assert_eq!(roots::state(&lake).await.unwrap(), None);
    let (mut committer, state) = Committer::claim(&lake, "a").await.unwrap();
    committer.propose(data(&state, "a", 5, 1)).await.unwrap();
    assert_eq!(roots::state(&lake).await.unwrap().as_ref(), committer.state());
    assert_eq!(read::head(&lake, Some(0)).await.unwrap(), Some(1));
    assert_eq!(read::head(&lake, Some(1)).await.unwrap(), None);
    assert_eq!(lake.put_if_absent("once", "a".into()).await.unwrap(), Put::Created);
    assert_eq!(lake.put_if_absent("once", "b".into()).await.unwrap(), Put::Exists);
    let below = Lake::open(&format!("s3://{bucket}"), &options).await.unwrap();
    assert_eq!(below.get("a/b/once").await.unwrap(), Some("a".into()));
}

#[tokio::test]
async fn wrong_credentials_and_no_server_are_one_clear_line() {
    let Some(options) = server() else { return };
    let keys = Some(("nobody".into(), "hidden-secret".into()));
    let text = unusable(Lake::open("s3://any", &StoreOptions { keys, ..options.clone() }).await);
    assert!(text.contains("credentials") && !text.contains("hidden-secret"), "{text}");
    // Port 1 refuses.
    let nowhere = StoreOptions { endpoint: Some("http://127.0.0.1:1".into()), ..options };
    match Lake::open("s3://any", &nowhere).await {
        Err(StoreError::Transient(text)) => {
            assert!(text.contains("cannot reach") && text.lines().count() == 1, "{text}")
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn secrets_are_not_shown() {
    let options = StoreOptions { keys: Some(("id".into(), "hidden".into())), ..StoreOptions::default() };
    assert!(!format!("{options:?}").contains("hidden"));
}
