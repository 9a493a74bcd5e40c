//! What was measured of services that are scaled, and what was made of it. In memory, bounded, and gone with the service.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use berth_model::scaling::Metric;
use berth_model::time::Timestamp;
use berth_scheduler_core::change::{Change, Record};
use berth_scheduler_core::decide::scaling::scale::Measured;
use berth_scheduler_core::keys::ServiceKey;
use berth_scheduler_core::scale::{PERIODS_IN, Sample};
use berth_scheduler_core::state::State;
use tokio::sync::Notify;

use super::SAMPLES;
use super::measure::Problem;
use crate::engine::Observer;

/// Samples of one metric that are kept: those that are looked at, and a period more.
const KEPT: usize = ((PERIODS_IN + 1) * SAMPLES) as usize;

/// What the driver knows, for those who ask.
#[derive(Debug)]
pub struct Watch {
    inner: Mutex<Inner>,
    wake: Notify,
    period: Duration,
    prometheus: bool,
}

#[derive(Debug, Default)]
struct Inner {
    services: BTreeMap<ServiceKey, Watched>,
    /// Services whose scaling was changed since they were looked at.
    changed: BTreeSet<ServiceKey>,
}

#[derive(Debug, Default)]
struct Watched {
    series: BTreeMap<Metric, Series>,
    /// How many requests gateways had counted, and when.
    requests: Option<(u64, Instant)>,
    looked: Option<Looked>,
}

#[derive(Debug, Default)]
struct Series {
    samples: VecDeque<Sample>,
    /// Why the last sample is missing.
    problem: Option<Problem>,
}

/// What is known of a metric.
#[derive(Debug, Default, Clone)]
pub(crate) struct Reading {
    pub(crate) newest: Option<Sample>,
    pub(crate) problem: Option<Problem>,
}

/// What was made of a service's metrics.
#[derive(Debug, Clone)]
pub(crate) struct Looked {
    pub(crate) at: Timestamp,
    pub(crate) verdict: Arc<str>,
}

impl Watch {
    /// Without samples; `prometheus` says whether queries can be asked.
    #[must_use]
    pub fn new(period: Duration, prometheus: bool) -> Self {
        Self {
            inner: Mutex::default(),
            wake: Notify::new(),
            period,
            prometheus,
        }
    }

    /// How long a period is.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Whether queries can be asked.
    pub(crate) fn has_prometheus(&self) -> bool {
        self.prometheus
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the scaling of a service was changed. Cancellation safe.
    pub(super) async fn changed(&self) {
        self.wake.notified().await;
    }

    pub(super) fn take_changed(&self) -> BTreeSet<ServiceKey> {
        std::mem::take(&mut self.lock().changed)
    }

    /// Keeps what is known of these services and metrics alone.
    pub(super) fn keep<'m>(&self, scaled: impl Iterator<Item = (ServiceKey, BTreeSet<&'m Metric>)>) {
        let mut inner = self.lock();
        let mut before = std::mem::take(&mut inner.services);
        for (key, metrics) in scaled {
            let mut watched = before.remove(&key).unwrap_or_default();
            watched.series.retain(|metric, _| metrics.contains(metric));
            inner.services.insert(key, watched);
        }
    }

    /// Adds a sample, or why there is none; says whether the problem is new.
    pub(super) fn put(&self, key: &ServiceKey, metric: &Metric, sample: Result<Sample, Problem>) -> bool {
        let mut inner = self.lock();
        let Some(watched) = inner.services.get_mut(key) else {
            return false;
        };
        let series = watched.series.entry(metric.clone()).or_default();
        match sample {
            Ok(sample) => {
                if series.samples.len() == KEPT {
                    series.samples.pop_front();
                }
                series.samples.push_back(sample);
                series.problem = None;
                false
            }
            Err(problem) => {
                let is_new = series.problem.as_ref() != Some(&problem);
                series.problem = Some(problem);
                is_new
            }
        }
    }

    /// Takes how many requests gateways have counted; gives how many come in a minute, once that can be told.
    pub(super) fn requests(&self, key: &ServiceKey, counted: u64) -> Result<f64, Problem> {
        let mut inner = self.lock();
        let now = Instant::now();
        let watched = inner.services.entry(key.clone()).or_default();
        let before = watched.requests.replace((counted, now));
        let rate = before.and_then(|(before, at)| {
            let more = counted.checked_sub(before)?;
            let seconds = now.duration_since(at).as_secs_f64();
            (seconds > 0.0).then(|| more as f64 * 60.0 / seconds)
        });
        rate.ok_or_else(|| "Requests have been counted once, which gives no rate.".into())
    }

    pub(super) fn measured(&self, key: &ServiceKey) -> Measured {
        let inner = self.lock();
        let series = inner.services.get(key).into_iter().flat_map(|watched| &watched.series);
        series
            .map(|(metric, series)| (metric.clone(), series.samples.iter().copied().collect()))
            .collect()
    }

    pub(super) fn looked_at(&self, key: &ServiceKey, at: Timestamp, verdict: Arc<str>) {
        let mut inner = self.lock();
        inner.services.entry(key.clone()).or_default().looked = Some(Looked { at, verdict });
    }

    /// What is known of a service's metric.
    pub(crate) fn reading(&self, key: &ServiceKey, metric: &Metric) -> Reading {
        let inner = self.lock();
        let series = inner.services.get(key).and_then(|watched| watched.series.get(metric));
        series.map_or_else(Reading::default, |series| Reading {
            newest: series.samples.back().copied(),
            problem: series.problem.clone(),
        })
    }

    /// What was last made of a service's metrics.
    pub(crate) fn looked(&self, key: &ServiceKey) -> Option<Looked> {
        self.lock().services.get(key)?.looked.clone()
    }
}

impl Observer for Watch {
    fn published(&self, state: &State, record: &Record, _bytes: usize) {
        if !state.has_services() {
            return;
        }
        let changes = record.entries.iter().flat_map(|entry| &entry.changes);
        let scaling_set = |change: &Change| {
            let Change::ServiceScalingSet { cluster, service, .. } = change else {
                return None;
            };
            Some(ServiceKey {
                cluster: *cluster,
                service: service.clone(),
            })
        };
        let keys: Vec<ServiceKey> = changes.filter_map(scaling_set).collect();
        if !keys.is_empty() {
            self.lock().changed.extend(keys);
            self.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_model::name::ServiceName;
    use berth_model::scaling::PredefinedMetric;
    use berth_scheduler_core::keys::ClusterKey;

    use super::*;

    const CPU: Metric = Metric::Predefined(PredefinedMetric::Cpu);

    fn key(name: &str) -> ServiceKey {
        ServiceKey {
            cluster: ClusterKey(1),
            service: ServiceName::parse(name).unwrap(),
        }
    }

    fn sample(value: f64) -> Result<Sample, Problem> {
        Ok(Sample {
            at: Timestamp::from_millis(0),
            value,
            whole: true,
        })
    }

    #[test]
    fn samples_are_kept_of_what_is_looked_at_and_no_more_than_that() {
        let watch = Watch::new(Duration::from_secs(60), false);
        watch.put(&key("web"), &CPU, sample(1.0));
        assert!(watch.measured(&key("web")).is_empty(), "nothing scales it");
        let keep = |metrics: &[&Metric]| {
            let metrics = metrics.iter().copied().collect();
            watch.keep([(key("web"), metrics)].into_iter());
        };
        keep(&[&CPU]);
        for value in 0..200 {
            watch.put(&key("web"), &CPU, sample(f64::from(value)));
        }
        let measured = watch.measured(&key("web"));
        let samples = &measured[&CPU];
        assert_eq!((samples.len(), samples[KEPT - 1].value), (KEPT, 199.0));
        keep(&[&CPU]);
        assert_eq!(watch.measured(&key("web")), measured);
        keep(&[]);
        assert!(watch.measured(&key("web")).is_empty());
    }

    #[test]
    fn a_problem_is_told_once_until_there_was_a_sample() {
        let watch = Watch::new(Duration::from_secs(60), false);
        watch.keep([(key("web"), BTreeSet::from([&CPU]))].into_iter());
        let put = |sample| watch.put(&key("web"), &CPU, sample);
        let problem = || Err("No task runs.".into());
        assert_eq!([put(problem()), put(problem())], [true, false]);
        assert_eq!(
            watch.reading(&key("web"), &CPU).problem.as_deref(),
            Some("No task runs.")
        );
        assert!(!put(sample(1.0)));
        assert!(put(problem()));
        assert_eq!(
            watch.reading(&key("web"), &CPU).newest.map(|sample| sample.value),
            Some(1.0)
        );
    }

    #[test]
    fn requests_have_a_rate_once_they_were_counted_twice() {
        let watch = Watch::new(Duration::from_secs(60), false);
        let count = |counted| watch.requests(&key("web"), counted);
        assert!(count(1000).is_err());
        std::thread::sleep(Duration::from_millis(2));
        assert!(count(1001).unwrap() > 0.0);
        assert!(count(5).is_err(), "fewer than before are others");
    }
}
