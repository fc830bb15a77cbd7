//! P2, F1, T1 to T3: at each point of what a run does to its store all its processes are killed, before the effect and after it;
//! whoever goes on, at another width, has sealed each row once, and nothing lies about in the end.

mod list;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use citystream::parts::{Collection, Lake as Store, collect_garbage};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::retention::{compare, cutoffs, horizon, keeping};
use crate::aged;
use crate::common::growing::{A_DAY, batch, while_growing};
use crate::common::json_log::JsonLog;
use crate::common::live::now_ms;
use crate::common::store_proxy::{Fate, StoreProxy};
use crate::common::{Plan, Rng, Servers, python, sized};
use list::{POINTS, Seen, Visit, WITH_A_ROOT, visits};

/// A batch is appended so often.
const PACE: Duration = Duration::from_millis(250);
/// Six days of batches are there when the first run starts: then dates are dropped soon.
const BEFORE: u32 = 6 * A_DAY;
const SHAPES: [(usize, usize); 4] = [(1, 1), (1, 2), (2, 1), (2, 2)];
/// A run that comes to no point that is wanted makes so many commits.
const MOST: u32 = 40;
const LIMIT: Duration = Duration::from_secs(120);

/// A lake on S3 that is filled from a log, through a proxy.
struct World {
    log: JsonLog,
    plan: Plan,
    proxy: StoreProxy,
    /// The same lake past the proxy.
    lake: Store,
    runtime: Runtime,
}

impl World {
    fn new(servers: &Servers) -> World {
        let log = JsonLog::new();
        (0..BEFORE).for_each(|n| batch(&log, n));
        let plan = keeping(log.plan().into_s3(servers, "points"));
        let proxy = StoreProxy::start(&servers.s3, plan.lake().place());
        let plan = plan.flag("s3-endpoint", &proxy.url()).flag("epoch", "50ms").flag("commit-interval", "150ms");
        let plan = plan.flag("publish-interval", "400ms").flag("grace", "1s");
        plan.init();
        let runtime = Runtime::new().expect("a runtime");
        let lake = runtime.block_on(aged::open(plan.lake().place(), &servers.s3));
        runtime.block_on(aged::make(&lake, aged::A_PACK));
        World { log, plan, proxy, lake, runtime }
    }

    /// Starts a run, which is killed at one of these points, or after so many commits without one: which it was.
    fn meet(&self, (processes, workers): (usize, usize), wanted: &[Visit]) -> Option<Visit> {
        let mut run = self.plan.start(processes, workers);
        let (tell, told) = channel();
        let (mut seen, wanted) = (Seen::default(), wanted.to_vec());
        self.proxy.watch((0..processes).map(|index| run.pid(index)).collect(), move |asked| {
            let visit = seen.find(asked, &wanted);
            let fate = visit.map_or(Fate::KilledBefore, |(_, fate)| fate);
            if seen.is_met || visit.is_none() && seen.commits < MOST {
                return Fate::Served;
            }
            seen.is_met = true;
            tell.send(visit).expect("somebody waits");
            fate
        });
        let began = Instant::now();
        let visit = loop {
            if let Ok(visit) = told.recv_timeout(Duration::from_millis(100)) {
                break visit;
            }
            assert!(run.running() && began.elapsed() < LIMIT, "a run ended by itself, or stands still");
        };
        let codes = run.wait(Duration::from_secs(20));
        let at = visit.map_or("nowhere".to_owned(), |(point, fate)| format!("{}, {fate:?}", POINTS[point].name));
        println!("{processes} x {workers}, after {:.1} s: {at}", began.elapsed().as_secs_f64());
        // 4: it learned of the others' end before its own.
        assert!(codes.iter().all(|code| [-9, 4].contains(code)), "{codes:?}");
        let versions = self.plan.lake().versions();
        let shown = versions["commits"];
        assert!(versions.values().all(|version| *version >= shown), "who takes version {shown:?}: {versions:?}");
        visit
    }

    /// Somebody wants files packed; and a root is due when the next run starts, where only that is waited for.
    fn prepare(&self, wanted: &[Visit]) {
        let id = format!("{:032x}", now_ms());
        let request = json!({"id": id, "wanted": {"compact": {"table": "raw_gps", "date": null}}, "taken_by": null});
        let path = format!("requests/{id}.json");
        self.runtime.block_on(self.lake.put(&path, request.to_string().into())).expect("a request");
        if wanted.iter().all(|(point, _)| *point < WITH_A_ROOT) {
            self.runtime.block_on(aged::lengthen(&self.lake));
        }
    }

    /// Runs without being killed until all is done that is due.
    fn end(&self, batches: u32) {
        self.proxy.pass();
        for (n, (processes, workers)) in SHAPES.into_iter().enumerate().skip(1) {
            batch(&self.log, batches + A_DAY + 2 * n as u32);
            self.plan.drain(processes, workers);
        }
    }

    /// Nothing is left but what the newest version has, once what killed runs have left is old enough to be nobody's.
    fn sweep(&self) {
        let output = self.plan.manage(&["lake", "gc", "--dry-run", "--json"]);
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        println!("gc --dry-run: {found}");
        assert_eq!(found["orphans"]["files"], 0, "what is young may still be named");
        // The last run may have packed what it had no commit left to name: that is nobody's once it holds the lake no longer.
        self.runtime.block_on(aged::claim(&self.lake));
        let later = Collection { now_ms: now_ms() + 2 * 3_600_000, grace_ms: 0, is_dry: false };
        let swept = self.runtime.block_on(collect_garbage(&self.lake, later)).expect("the store").expect("a history");
        println!("two hours later: {swept:?}");
        self.plan.verify();
    }

    /// What readers find that know nothing of citystream, against a lake of the same log whose runs nobody killed.
    fn check(&self) {
        let copy = self.plan.fresh_path("copy");
        self.plan.lake().copy_to(&copy);
        let kept = self.log.plan().into_lake(&copy.display().to_string());
        print!("{}", python::run("only_live.py", &[kept.lake().place()]));
        let whole = self.log.plan();
        whole.drain(1, 2);
        print!("{}", python::run("../oracle/compare.py", &[whole.lake().place()]));
        compare(&kept, &whole, &["--now"], &cutoffs(horizon(&kept.lake().commits())));
    }
}

/// Any so many visits, what comes seldom first; all of them with `--full`.
fn chosen(rng: &mut Rng) -> Vec<Visit> {
    let mut all = visits();
    for last in (1..all.len()).rev() {
        all.swap(last, rng.below(last as u64 + 1) as usize);
    }
    all.truncate(sized(8, usize::MAX));
    all.sort();
    all
}

#[test]
fn runs_that_are_killed_at_every_point_seal_each_row_once() {
    let Some(servers) = Servers::find() else { return };
    let mut rng = Rng::from_environment();
    let began = Instant::now();
    let world = World::new(&servers);
    println!("an old lake after {:.1} s", began.elapsed().as_secs_f64());
    let mut left = chosen(&mut rng);
    let batches = while_growing(&world.log, BEFORE, PACE, || {
        let (mut shape, mut nowhere) = (0, 0);
        while !left.is_empty() {
            world.prepare(&left);
            shape = (shape + 1 + rng.below(3) as usize) % SHAPES.len();
            let visit = world.meet(SHAPES[shape], &left);
            left.retain(|wanted| Some(*wanted) != visit);
            nowhere += u32::from(visit.is_none());
            assert!(nowhere < 20, "never visited: {left:?}");
        }
    });
    println!("all visited after {:.1} s", began.elapsed().as_secs_f64());
    world.end(batches);
    world.sweep();
    world.check();
    println!("all checked after {:.1} s", began.elapsed().as_secs_f64());
}
