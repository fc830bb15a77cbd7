//! One thread on which everybody lives, and its time: whoever is polled next is drawn, and where all wait the time of the
//! first who does comes at once.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use citystream::parts::Clock;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::history::History;
use crate::rng::Rng;

/// What all share: time, chance, and what has become of the lake.
#[derive(Clone)]
pub(crate) struct World(Arc<Mutex<Inner>>);

pub(crate) struct Inner {
    pub(crate) rng: Rng,
    pub(crate) now_ms: i64,
    /// How often a call fails; never: nothing is slow or late either.
    pub(crate) fails: f64,
    pub(crate) history: History,
    /// Who waits for which time.
    waiting: BTreeMap<i64, Vec<Waker>>,
    /// Who comes besides.
    coming: Vec<BoxFuture<'static, ()>>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World")
    }
}

impl World {
    pub(crate) fn new(rng: Rng, now_ms: i64, history: History) -> World {
        World(Arc::new(Mutex::new(Inner {
            rng,
            now_ms,
            fails: 0.0,
            history,
            waiting: BTreeMap::new(),
            coming: Vec::new(),
        })))
    }

    pub(crate) fn look(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panicked")
    }

    pub(crate) fn below(&self, n: u64) -> u64 {
        self.look().rng.below(n)
    }

    pub(crate) fn chance(&self, share: f64) -> bool {
        self.look().rng.chance(share)
    }

    /// Somebody comes, who is nobody's.
    pub(crate) fn enter(&self, life: impl Future<Output = ()> + Send + 'static) {
        self.look().coming.push(life.boxed());
    }

    /// Waits until it is that time.
    pub(crate) fn until(&self, at_ms: i64) -> impl Future<Output = ()> + Send + 'static {
        let (world, mut is_known) = (self.clone(), false);
        std::future::poll_fn(move |context| {
            let mut inner = world.look();
            if inner.now_ms >= at_ms {
                return Poll::Ready(());
            }
            // One future is always polled with the same waker.
            if !std::mem::replace(&mut is_known, true) {
                inner.waiting.entry(at_ms).or_default().push(context.waker().clone());
            }
            Poll::Pending
        })
    }

    pub(crate) async fn wait_ms(&self, time: u64) {
        let now = self.look().now_ms;
        self.until(now + time as i64).await;
    }

    /// Lets others go first.
    pub(crate) async fn step_back(&self) {
        let mut was_here = false;
        std::future::poll_fn(move |context| {
            if std::mem::replace(&mut was_here, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// It becomes the time for which somebody waits; `false`: nobody does.
    fn pass(&self) -> bool {
        let mut inner = self.look();
        let Some((next, due)) = inner.waiting.pop_first() else { return false };
        inner.now_ms = inner.now_ms.max(next);
        drop(inner);
        due.into_iter().for_each(Waker::wake);
        true
    }
}

impl Clock for World {
    fn now_ms(&self) -> i64 {
        self.look().now_ms
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.now_ms() as u64)
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let (world, time) = (self.clone(), time.as_millis().max(1) as u64);
        async move { world.wait_ms(time).await }.boxed()
    }
}

/// Somebody.
struct Actor {
    life: Pin<Box<dyn Future<Output = ()>>>,
    /// So often it is polled before it dies.
    left: u64,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Those who live.
#[derive(Default)]
pub(crate) struct Stage(Vec<Actor>);

impl Stage {
    /// Somebody comes, who dies wherever it then is after so many polls.
    pub(crate) fn enter(&mut self, left: Option<u64>, life: impl Future<Output = ()> + 'static) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        self.0.push(Actor { life: Box::pin(life), left: left.unwrap_or(u64::MAX), woken });
    }

    /// Until all have ended.
    pub(crate) fn play(mut self, world: &World) {
        while !self.0.is_empty() {
            let coming = std::mem::take(&mut world.look().coming);
            coming.into_iter().for_each(|life| self.enter(None, life));
            let ready: Vec<usize> = (0..self.0.len()).filter(|n| self.0[*n].woken.0.load(Ordering::Relaxed)).collect();
            if ready.is_empty() {
                assert!(world.pass(), "all wait, and nothing will come");
                continue;
            }
            let next = ready[world.below(ready.len() as u64) as usize];
            let actor = &mut self.0[next];
            actor.woken.0.store(false, Ordering::Relaxed);
            actor.left -= 1;
            let waker = Waker::from(Arc::clone(&actor.woken));
            let is_over = actor.life.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
            if is_over || actor.left == 0 {
                drop(self.0.swap_remove(next));
            }
        }
    }
}

/// Runs somebody alone.
pub(crate) fn alone<T: 'static>(world: &World, life: impl Future<Output = T> + 'static) -> T {
    let result = Arc::new(Mutex::new(None));
    let mut stage = Stage::default();
    let place = Arc::clone(&result);
    stage.enter(None, async move {
        let done = life.await;
        *place.lock().expect("nobody panicked") = Some(done);
    });
    stage.play(world);
    let done = result.lock().expect("nobody panicked").take();
    done.expect("it has ended")
}
