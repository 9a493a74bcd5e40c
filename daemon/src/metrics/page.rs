//! What is answered to who asks for figures, and the text of it that Prometheus reads. Pure.

use std::fmt::Write as _;

use super::Histogram;

/// What the values of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They only grow, and begin at 0 with the process.
    Counter,
    /// They are the moment's.
    Gauge,
    /// How long something took, each time since the start of the process.
    Histogram,
}

/// Families of figures, as they were at one moment.
#[derive(Debug, Default)]
pub struct Page {
    families: Vec<Figures>,
}

/// The figures of one name, which differ in their labels.
#[derive(Debug)]
pub struct Figures {
    /// Ends in their unit, and in `_total` where they count.
    pub name: &'static str,
    /// What they are, in a sentence.
    pub help: String,
    /// What all of them are.
    pub kind: Kind,
    /// Each with its labels.
    pub values: Vec<(Labels, Figure)>,
}

/// Names with their texts.
pub type Labels = Vec<(String, String)>;

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram.
    Spread {
        /// How many took no longer than each bound, in seconds; without a bound: all.
        cumulated: Vec<(Option<f64>, u64)>,
        /// All of them together, in seconds.
        sum: f64,
    },
}

/// A family that is being told.
#[derive(Debug)]
pub struct Family<'p> {
    page: &'p mut Page,
}

impl Page {
    /// The content type of a page's text.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family. Its name ends in its unit, and in `_total` where it counts.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        self.families.push(Figures {
            name,
            help: help.to_owned(),
            kind,
            values: Vec::new(),
        });
        Family { page: self }
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
        self.family(Kind::Histogram, name, help)
    }

    /// All families.
    #[must_use]
    pub fn into_families(self) -> Vec<Figures> {
        self.families
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn into_text(self) -> String {
        let mut text = Text::default();
        self.families.iter().for_each(|figures| text.family(figures));
        text.0
    }
}

impl Family<'_> {
    /// The one value of a family without labels.
    pub fn only(mut self, value: f64) {
        self.value(&[], value);
    }

    /// The value with these labels.
    pub fn value(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.figure(labels, Figure::Number(value))
    }

    /// The count with these labels.
    pub fn count(&mut self, labels: &[(&str, &str)], count: u64) -> &mut Self {
        self.value(labels, count as f64)
    }

    /// The histogram with these labels.
    pub fn spread(&mut self, labels: &[(&str, &str)], histogram: &Histogram) -> &mut Self {
        let cumulated = histogram.cumulated().collect();
        let sum = histogram.sum();
        self.figure(labels, Figure::Spread { cumulated, sum })
    }

    fn figure(&mut self, labels: &[(&str, &str)], figure: Figure) -> &mut Self {
        let labels = labels
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        // The family that was begun last is this one: it has the page for as long as it is told.
        if let Some(family) = self.page.families.last_mut() {
            family.values.push((labels.collect(), figure));
        }
        self
    }
}

/// Prometheus' text format 0.0.4.
#[derive(Default)]
struct Text(String);

impl Text {
    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // A String takes whatever there is memory for.
        let _written = self.0.write_fmt(text);
    }

    fn family(&mut self, figures: &Figures) {
        let name = figures.name;
        let kind = match figures.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = escaped(&figures.help, false);
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (labels, figure) in &figures.values {
            match figure {
                Figure::Number(value) => self.line((name, ""), labels, None, *value),
                Figure::Spread { cumulated, sum } => {
                    let mut all = 0;
                    for (bound, count) in cumulated {
                        let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
                        self.line((name, "_bucket"), labels, Some(&bound), *count as f64);
                        all = *count;
                    }
                    self.line((name, "_sum"), labels, None, *sum);
                    self.line((name, "_count"), labels, None, all as f64);
                }
            }
        }
    }

    fn line(&mut self, (name, suffix): (&str, &str), labels: &Labels, bound: Option<&str>, value: f64) {
        let labels = labels.iter().map(|(label, text)| (label.as_str(), text.as_str()));
        self.write(format_args!("{name}{suffix}"));
        let mut separator = '{';
        for (label, text) in labels.chain(bound.map(|bound| ("le", bound))) {
            let text = escaped(text, true);
            self.write(format_args!("{separator}{label}=\"{text}\""));
            separator = ',';
        }
        let end = if separator == ',' { "}" } else { "" };
        if value.is_nan() {
            self.write(format_args!("{end} NaN\n"));
        } else if value.is_infinite() {
            let sign = if value > 0.0 { '+' } else { '-' };
            self.write(format_args!("{end} {sign}Inf\n"));
        } else {
            self.write(format_args!("{end} {value}\n"));
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
