//! What is decided, by explicit times: no clock, no request.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::apis::AnswerError;
use crate::budget::Limit;
use crate::cache::Ages;
use crate::place::Place;
use reqwest::StatusCode;

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> Policy {
    let ages = Ages { live: 10 * SECOND, cached: 60 * SECOND };
    Policy::new(ages, vec![Limit { requests: 20, within: 100 * SECOND }], 2)
}

fn decisions() -> Decisions<u32> {
    Decisions::new(policy(), true, Vec::new())
}

fn cell(n: u8) -> CellIndex {
    Place::new(f64::from(n), 0.0).unwrap().cell(h3o::Resolution::Five)
}

fn at(seconds: u64) -> Moment {
    Moment::from_millis(1_800_000_000_000 + seconds * 1000)
}

/// Wants, begins and ends a request.
fn ask(decisions: &mut Decisions<u32>, n: u8, now: Moment, outcome: Result<u32, FetchError>) {
    assert!(decisions.want(cell(n), now), "{n}");
    decisions.begin(now).unwrap();
    assert_eq!(decisions.permit(now), Permit::Granted);
    decisions.end(cell(n), outcome.as_ref().copied(), now);
}

#[test]
fn live_then_cached_then_nothing_and_each_is_counted_with_its_reason() {
    let mut decisions = decisions();
    assert_eq!(decisions.find(cell(1), at(0)), Err(Reason::Pending));
    ask(&mut decisions, 1, at(0), Ok(7));
    let mut found = |seconds| decisions.find(cell(1), at(seconds)).map(|found| (found.value, found.freshness));
    assert_eq!(found(10), Ok((7, Freshness::Live)));
    assert_eq!(found(60), Ok((7, Freshness::Cached)));
    assert_eq!(found(61), Err(Reason::Pending));
    let status = decisions.status("some", at(61));
    let Counts { live, cached, missing, requests, answers, .. } = status.counts;
    assert_eq!((live, cached, missing, requests, answers), (1, 1, 2, 1, 1));
    assert_eq!(status.counts.fallbacks.get(&Reason::Pending), Some(&3));
    assert_eq!((status.left, status.held), (Some(19), None));
}

#[test]
fn a_cell_is_asked_about_once_until_it_has_ended() {
    let mut decisions = decisions();
    assert!(decisions.want(cell(1), at(0)));
    assert!(!decisions.want(cell(1), at(9)));
    assert!(decisions.want(cell(2), at(9)));
    assert_eq!(decisions.pending(), 2);
    decisions.end(cell(1), Ok(1), at(9));
    assert_eq!(decisions.pending(), 1);
    assert!(!decisions.want(cell(1), at(19)), "it is live");
    assert!(decisions.want(cell(1), at(20)));
}

#[test]
fn what_has_failed_is_asked_about_again_after_a_pause() {
    let mut decisions = decisions();
    ask(&mut decisions, 1, at(0), Err(FetchError::Timeout(SECOND)));
    assert_eq!(decisions.find(cell(1), at(29)), Err(Reason::Down));
    assert!(!decisions.want(cell(1), at(29)) && decisions.want(cell(1), at(30)));
    ask(&mut decisions, 2, at(0), Err(FetchError::Unknown(StatusCode::NOT_FOUND)));
    assert_eq!(decisions.find(cell(2), at(3599)), Err(Reason::Unknown));
    assert!(!decisions.want(cell(2), at(3599)) && decisions.want(cell(2), at(3600)));
}

#[test]
fn without_a_key_nothing_is_asked() {
    let mut decisions: Decisions<u32> = Decisions::new(policy(), false, Vec::new());
    assert!(!decisions.want(cell(1), at(0)));
    assert_eq!(decisions.find(cell(1), at(0)), Err(Reason::NoKey));
    assert_eq!(decisions.held(at(0)), Some(Reason::NoKey));
}

#[test]
fn an_api_that_keeps_failing_is_left_alone_and_tried_by_one_request() {
    let mut decisions = decisions();
    for n in 0..5 {
        ask(&mut decisions, n, at(0), Err(FetchError::Answer(AnswerError::Incomplete)));
    }
    assert!(!decisions.want(cell(9), at(29)));
    assert_eq!(decisions.find(cell(9), at(29)), Err(Reason::BadAnswer));
    assert!(decisions.want(cell(8), at(30)) && decisions.want(cell(9), at(30)));
    assert_eq!(decisions.begin(at(30)), Ok(()));
    assert_eq!(decisions.begin(at(30)), Err(Reason::BadAnswer));
    decisions.end(cell(9), Err(&FetchError::Withheld(Reason::BadAnswer)), at(30));
    decisions.end(cell(8), Ok(1), at(31));
    assert!(decisions.want(cell(9), at(31)));
    assert_eq!(decisions.begin(at(31)), Ok(()));
}

#[test]
fn nobody_asks_or_repeats_before_the_time_that_the_api_has_told() {
    let mut decisions = decisions();
    assert!(decisions.want(cell(2), at(0)));
    decisions.begin(at(0)).unwrap();
    let told = |until| FetchError::ToldToWait { status: StatusCode::TOO_MANY_REQUESTS, until };
    ask(&mut decisions, 1, at(0), Err(told(Some(at(40)))));
    assert_eq!(decisions.permit(at(39)), Permit::Withheld(Reason::ToldToWait));
    assert!(!decisions.want(cell(3), at(39)) && decisions.want(cell(3), at(40)));
    decisions.begin(at(40)).unwrap();
    decisions.end(cell(3), Err(&told(None)), at(40));
    assert!(!decisions.want(cell(4), at(99)) && decisions.want(cell(4), at(100)));
    decisions.begin(at(100)).unwrap();
    decisions.end(cell(4), Err(&told(Some(Moment::NEVER))), at(100));
    assert!(decisions.want(cell(5), at(100 + 86_400)), "a day is the longest hold");
}

#[test]
fn a_refused_key_is_not_sent_again_soon() {
    let mut decisions = decisions();
    ask(&mut decisions, 1, at(0), Err(FetchError::KeyRefused(StatusCode::UNAUTHORIZED)));
    assert_eq!(decisions.find(cell(2), at(899)), Err(Reason::KeyRefused));
    assert!(!decisions.want(cell(2), at(899)) && decisions.want(cell(2), at(900)));
}

#[test]
fn over_quota_is_a_wait_beyond_patience() {
    let mut decisions = decisions();
    for n in 0..20 {
        ask(&mut decisions, n, at(0), Ok(1));
    }
    assert!(!decisions.want(cell(30), at(39)));
    assert_eq!(decisions.find(cell(30), at(39)), Err(Reason::OverQuota));
    assert_eq!(decisions.permit(at(39)), Permit::Withheld(Reason::OverQuota));
    assert!(decisions.want(cell(30), at(40)));
    assert_eq!(decisions.permit(at(40)), Permit::At(at(100)));
    assert_eq!(decisions.permit(at(100)), Permit::Granted);
}

#[test]
fn what_is_known_stays_bounded() {
    let mut decisions: Decisions<u32> = Decisions::new(Policy { cells: 3, ..policy() }, true, Vec::new());
    assert_eq!((0..9).filter(|n| decisions.want(cell(*n), at(0))).count(), 3);
    for n in 0..3 {
        decisions.end(cell(n), Err(&FetchError::Unknown(StatusCode::NOT_FOUND)), at(0));
    }
    assert!(!decisions.want(cell(7), at(1)), "three places are known to be unknown");
    assert!(decisions.want(cell(7), at(3600)));
}
