//! Makes metrics that are told as things happen, each of which is scraped from then on.

use prometheus::core::Collector;
use prometheus::{
    Counter, Error, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// All metrics that were made.
#[derive(Debug, Default)]
pub struct Families(pub Registry);

impl Families {
    /// A value that goes up and down.
    pub fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.keep(IntGauge::new(name, help)?)
    }

    /// Values that go up and down, by labels.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    /// A value that only grows.
    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.keep(IntCounter::new(name, help)?)
    }

    /// Seconds that only grow.
    pub fn seconds(&self, name: &str, help: &str) -> Result<Counter, Error> {
        self.keep(Counter::new(name, help)?)
    }

    /// Values that only grow, by labels.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    /// A distribution, up to these bounds.
    pub fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Result<Histogram, Error> {
        self.keep(Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))?)
    }

    fn keep<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, Error> {
        self.0.register(Box::new(metric.clone())).map(|()| metric)
    }
}
