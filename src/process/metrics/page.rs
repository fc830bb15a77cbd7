//! Samples that are taken when somebody asks.

use std::fmt::Display;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// A page of samples.
#[derive(Debug, Default)]
pub struct Page(Vec<MetricFamily>);

impl Page {
    /// A value that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(MetricType::GAUGE, name, help, [(Vec::new(), value)]);
    }

    /// A value that only grows.
    pub fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family(MetricType::COUNTER, name, help, [(Vec::new(), value)]);
    }

    /// Values that go up and down, by a label.
    pub fn gauges<L: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, f64)>,
    ) {
        let samples = values.into_iter().map(|(is, value)| (vec![pair(label, is)], value));
        self.family(MetricType::GAUGE, name, help, samples);
    }

    /// Values that only grow, by a label.
    pub fn counters<L: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, f64)>,
    ) {
        let samples = values.into_iter().map(|(is, value)| (vec![pair(label, is)], value));
        self.family(MetricType::COUNTER, name, help, samples);
    }

    /// What is told by labels alone.
    pub fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) {
        let labels = labels.iter().map(|(label, is)| pair(label, is)).collect();
        self.family(MetricType::GAUGE, name, help, [(labels, 1.0)]);
    }

    /// The families, for the library's encoder.
    pub fn families(self) -> Vec<MetricFamily> {
        self.0
    }

    fn family(
        &mut self,
        kind: MetricType,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Vec<LabelPair>, f64)>,
    ) {
        let metrics: Vec<Metric> = samples.into_iter().map(|(labels, value)| sample(kind, labels, value)).collect();
        // The encoder refuses a family without samples.
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }
}

fn sample(kind: MetricType, labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut metric = Metric::from_label(labels);
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

fn pair(label: &str, is: impl Display) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(label.to_owned());
    pair.set_value(is.to_string());
    pair
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_prometheus_text() {
        let mut page = Page::default();
        page.gauge("a", "What a is", 0.5);
        page.counters("b_total", "What b is", "x", [("1", 2.0), ("\"\\", 3.0)]);
        page.info("c_info", "What c is", &[("x", "1"), ("y", "2")]);
        let text = "# HELP a What a is\n# TYPE a gauge\na 0.5\n# HELP b_total What b is\n# TYPE b_total counter\n\
                    b_total{x=\"1\"} 2\nb_total{x=\"\\\"\\\\\"} 3\n# HELP c_info What c is\n# TYPE c_info gauge\n\
                    c_info{x=\"1\",y=\"2\"} 1\n";
        page.gauges("d", "What nobody has", "x", [("1", 1.0); 0]);
        assert_eq!(prometheus::TextEncoder::new().encode_to_string(&page.families()).ok().as_deref(), Some(text));
    }
}
