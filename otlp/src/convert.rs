//! What a page says, in OpenTelemetry's terms. Pure.

use berth_daemon::metrics::{Figure, Figures, Kind, Labels, Page};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::Source;

/// When counting began, and the moment of the figures: nanoseconds since the epoch.
type Times = (u64, u64);

/// All figures of a page, as one request.
pub(crate) fn request(page: Page, source: &Source, times: Times) -> ExportMetricsServiceRequest {
    let whose = [
        ("service.name", Some(source.program)),
        ("service.version", Some(source.version)),
        ("service.instance.id", Some(source.instance.as_str())),
        ("berth.cluster", source.cluster.as_deref()),
    ];
    let attributes = whose.iter().filter_map(|(key, value)| Some(attribute(key, (*value)?)));
    let resource = Resource {
        attributes: attributes.collect(),
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "berth".to_owned(),
        version: source.version.to_owned(),
        ..InstrumentationScope::default()
    };
    let families = page.into_families().into_iter();
    let metrics = ScopeMetrics {
        scope: Some(scope),
        metrics: families.map(|figures| metric(figures, times)).collect(),
        ..ScopeMetrics::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource),
            scope_metrics: vec![metrics],
            ..ResourceMetrics::default()
        }],
    }
}

fn metric(figures: Figures, times: Times) -> Metric {
    let cumulative = i32::from(AggregationTemporality::Cumulative);
    let values = figures.values.iter();
    let data = match figures.kind {
        Kind::Counter => metric::Data::Sum(Sum {
            data_points: values.filter_map(|value| number(value, times)).collect(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        Kind::Gauge => metric::Data::Gauge(Gauge {
            data_points: values.filter_map(|value| number(value, times)).collect(),
        }),
        Kind::Histogram => metric::Data::Histogram(Histogram {
            data_points: values.filter_map(|value| spread(value, times)).collect(),
            aggregation_temporality: cumulative,
        }),
    };
    Metric {
        unit: unit(figures.name).to_owned(),
        name: figures.name.to_owned(),
        description: figures.help,
        data: Some(data),
        ..Metric::default()
    }
}

/// The unit that a name ends in, as UCUM writes it.
fn unit(name: &str) -> &'static str {
    match name.trim_end_matches("_total").rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        Some("ratio") => "1",
        Some("percent") => "%",
        Some(_) | None => "",
    }
}

fn number((labels, figure): &(Labels, Figure), (begun, now): Times) -> Option<NumberDataPoint> {
    let Figure::Number(value) = figure else { return None };
    Some(NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: begun,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsDouble(*value)),
        ..NumberDataPoint::default()
    })
}

fn spread((labels, figure): &(Labels, Figure), (begun, now): Times) -> Option<HistogramDataPoint> {
    let Figure::Spread { cumulated, sum } = figure else {
        return None;
    };
    let mut below = 0;
    let in_each = cumulated.iter().map(|(_, count)| {
        let more = count.saturating_sub(below);
        below = *count;
        more
    });
    Some(HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: begun,
        time_unix_nano: now,
        bucket_counts: in_each.collect(),
        count: cumulated.last().map_or(0, |(_, all)| *all),
        sum: Some(*sum),
        explicit_bounds: cumulated.iter().filter_map(|(bound, _)| *bound).collect(),
        ..HistogramDataPoint::default()
    })
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| attribute(name, value)).collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use berth_daemon::metrics::Histogram as Measured;

    use super::*;

    #[test]
    fn every_kind_of_figure_is_what_opentelemetry_has_for_it() {
        let mut page = Page::default();
        page.counter("berth_calls_total", "Calls.").count(&[("call", "x")], 3);
        page.gauge("berth_memory_bytes", "Memory.").only(0.5);
        let measured = Measured::new(&[0.001, 0.5]);
        measured.observe(Duration::from_millis(250));
        measured.observe(Duration::from_secs(2));
        page.histogram("berth_wait_seconds", "Time.").spread(&[], &measured);
        let source = Source {
            program: "berth-agent",
            version: "1",
            instance: "a".to_owned(),
            cluster: Some("prod".to_owned()),
        };
        let request = request(page, &source, (1, 2));
        let of = &request.resource_metrics[0];
        let whose = &of.resource.as_ref().unwrap().attributes;
        let keys: Vec<&str> = whose.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "service.name",
                "service.version",
                "service.instance.id",
                "berth.cluster"
            ]
        );
        let [calls, memory, wait] = &of.scope_metrics[0].metrics[..] else {
            panic!("{of:?}")
        };
        let Some(metric::Data::Sum(sum)) = &calls.data else {
            panic!("{calls:?}")
        };
        assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
        assert_eq!(sum.data_points[0].attributes, [attribute("call", "x")]);
        assert_eq!(sum.data_points[0].value, Some(number_data_point::Value::AsDouble(3.0)));
        assert!(matches!(&memory.data, Some(metric::Data::Gauge(_))) && memory.unit == "By");
        let Some(metric::Data::Histogram(spread)) = &wait.data else {
            panic!("{wait:?}")
        };
        let point = &spread.data_points[0];
        assert_eq!((point.count, point.sum), (2, Some(2.25)));
        assert_eq!(
            (&point.bucket_counts[..], &point.explicit_bounds[..]),
            (&[0, 1, 1][..], &[0.001, 0.5][..])
        );
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1, 2));
        assert_eq!(wait.unit, "s");
    }
}
