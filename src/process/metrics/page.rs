//! Samples that are taken when somebody asks, in Prometheus's text format.

use std::fmt::{Display, Write as _};

/// A page of samples.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// A value that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family("gauge", name, help, [(String::new(), value)]);
    }

    /// A value that only grows.
    pub fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family("counter", name, help, [(String::new(), value)]);
    }

    /// Values that go up and down, by a label.
    pub fn gauges<L: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, f64)>,
    ) {
        self.family("gauge", name, help, values.into_iter().map(|(is, value)| (pair(label, is), value)));
    }

    /// Values that only grow, by a label.
    pub fn counters<L: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, f64)>,
    ) {
        self.family("counter", name, help, values.into_iter().map(|(is, value)| (pair(label, is), value)));
    }

    /// What is told by labels alone.
    pub fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) {
        let labels: Vec<String> = labels.iter().map(|(label, is)| pair(label, is)).collect();
        self.family("gauge", name, help, [(labels.join(","), 1.0)]);
    }

    /// The page.
    pub fn text(self) -> String {
        self.0
    }

    fn family(&mut self, kind: &str, name: &str, help: &str, samples: impl IntoIterator<Item = (String, f64)>) {
        // Writing to a text does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }
}

fn pair(label: &str, is: impl Display) -> String {
    let is = is.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{label}=\"{is}\"")
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
        assert_eq!(page.text(), text);
    }
}
