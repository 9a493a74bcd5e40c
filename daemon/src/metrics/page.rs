//! The text that Prometheus reads. Pure.

use std::fmt::Write as _;

use super::Histogram;

/// What the values of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They only grow, and begin at 0 with the process.
    Counter,
    /// They are the moment's.
    Gauge,
}

/// What is answered to who asks for figures: families, one after the other.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

/// A family of one name, whose values differ in their labels.
#[derive(Debug)]
pub struct Family<'p> {
    page: &'p mut Page,
    name: &'static str,
}

impl Page {
    /// The content type of a page.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family. Its name ends in its unit, and in `_total` where it counts.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.begin(kind, name, help)
    }

    /// Begins a family of counters.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(Kind::Counter, name, help)
    }

    /// Begins a family of gauges.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(Kind::Gauge, name, help)
    }

    /// Begins a family of histograms.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.begin("histogram", name, help)
    }

    fn begin(&mut self, kind: &str, name: &'static str, help: &str) -> Family<'_> {
        self.write(format_args!(
            "# HELP {name} {}\n# TYPE {name} {kind}\n",
            escaped(help, false)
        ));
        Family { page: self, name }
    }

    /// The text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // A String takes whatever there is memory for.
        let _written = self.text.write_fmt(text);
    }
}

impl Family<'_> {
    /// The one value of a family without labels.
    pub fn only(mut self, value: f64) {
        self.line("", &[], None, value);
    }

    /// The value with these labels.
    pub fn value(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// The count with these labels.
    pub fn count(&mut self, labels: &[(&str, &str)], count: u64) -> &mut Self {
        self.value(labels, count as f64)
    }

    /// The histogram with these labels.
    pub fn spread(&mut self, labels: &[(&str, &str)], histogram: &Histogram) -> &mut Self {
        let mut all = 0;
        for (bound, count) in histogram.cumulated() {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
            self.line("_bucket", labels, Some(&bound), count as f64);
            all = count;
        }
        self.line("_sum", labels, None, histogram.sum());
        self.line("_count", labels, None, all as f64);
        self
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>, value: f64) {
        let name = self.name;
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        self.page.write(format_args!("{name}{suffix}"));
        let mut separator = '{';
        for (label, text) in all {
            let text = escaped(text, true);
            self.page.write(format_args!("{separator}{label}=\"{text}\""));
            separator = ',';
        }
        let end = if separator == ',' { "}" } else { "" };
        if value.is_nan() {
            self.page.write(format_args!("{end} NaN\n"));
        } else if value.is_infinite() {
            let sign = if value > 0.0 { '+' } else { '-' };
            self.page.write(format_args!("{end} {sign}Inf\n"));
        } else {
            self.page.write(format_args!("{end} {value}\n"));
        }
    }
}

/// As the format has it: labels stand in quotation marks, help does not.
fn escaped(text: &str, quoted: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quoted => escaped.push_str("\\\""),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Page::default();
        page.counter("berth_a_total", "Counts \\ a\nthing.").only(3.0);
        let mut gauge = page.gauge("berth_b_ratio", "A part.");
        gauge.value(&[("cluster", "a\"b\\c\nd"), ("service", "web")], 0.25);
        gauge.value(&[], f64::NAN).value(&[("at", "end")], f64::INFINITY);
        let spread = Histogram::new(&[0.001, 0.5]);
        spread.observe(Duration::from_millis(250));
        spread.observe(Duration::from_secs(2));
        page.histogram("berth_c_seconds", "Time.")
            .spread(&[("call", "x")], &spread);
        assert_eq!(
            page.into_text(),
            "# HELP berth_a_total Counts \\\\ a\\nthing.\n\
             # TYPE berth_a_total counter\n\
             berth_a_total 3\n\
             # HELP berth_b_ratio A part.\n\
             # TYPE berth_b_ratio gauge\n\
             berth_b_ratio{cluster=\"a\\\"b\\\\c\\nd\",service=\"web\"} 0.25\n\
             berth_b_ratio NaN\n\
             berth_b_ratio{at=\"end\"} +Inf\n\
             # HELP berth_c_seconds Time.\n\
             # TYPE berth_c_seconds histogram\n\
             berth_c_seconds_bucket{call=\"x\",le=\"0.001\"} 0\n\
             berth_c_seconds_bucket{call=\"x\",le=\"0.5\"} 1\n\
             berth_c_seconds_bucket{call=\"x\",le=\"+Inf\"} 2\n\
             berth_c_seconds_sum{call=\"x\"} 2.25\n\
             berth_c_seconds_count{call=\"x\"} 2\n"
        );
    }
}
