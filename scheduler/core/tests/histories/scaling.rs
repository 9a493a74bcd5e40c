//! How histories scale their service.

use std::sync::Arc;

use berth_model::fault::Fault;
use berth_model::name::PolicyName;
use berth_model::scaling::{Metric, PredefinedMetric, RawTracking, TargetTracking};
use berth_model::time::Timestamp;
use berth_scheduler_core::decide::scaling::scale::{Measured, ScaleService, verdict};
use berth_scheduler_core::decide::scaling::{
    DeleteScalingPolicy, DeregisterScalableTarget, PutScalingPolicy, RegisterScalableTarget,
};
use berth_scheduler_core::scale::{PERIOD, PERIODS_IN, Sample};

use super::History;
use super::request::{cluster, service};

fn policy(name: bool) -> (PolicyName, Metric) {
    let (text, metric) = match name {
        true => ("cpu", PredefinedMetric::Cpu),
        false => ("memory", PredefinedMetric::Memory),
    };
    (PolicyName::parse(text).unwrap(), Metric::Predefined(metric))
}

impl History {
    pub(super) fn set_scaling(&mut self, bounds: (i64, i64), target: Option<f64>, name: bool) -> Result<(), Fault> {
        self.submit(&RegisterScalableTarget {
            cluster: cluster(),
            service: service().service,
            min: Some(bounds.0),
            max: Some(bounds.1),
            scale_in_suspended: None,
            scale_out_suspended: None,
            scheduled_suspended: None,
        })?;
        let Some(target) = target else { return Ok(()) };
        let raw = RawTracking {
            target: Some(target),
            scale_out_cooldown: Some(0),
            scale_in_cooldown: Some(0),
            ..RawTracking::default()
        };
        let (name, metric) = policy(name);
        self.submit(&PutScalingPolicy {
            cluster: cluster(),
            service: service().service,
            name,
            tracking: TargetTracking::checked(metric, &raw)?,
        })
        .map(drop)
    }

    pub(super) fn end_scaling(&mut self, name: Option<bool>) -> Result<(), Fault> {
        match name {
            None => self.submit(&DeregisterScalableTarget {
                cluster: cluster(),
                service: service().service,
            }),
            Some(name) => self.submit(&DeleteScalingPolicy {
                cluster: cluster(),
                service: service().service,
                name: policy(name).0,
            }),
        }
    }

    /// What was decided on the state as it is changes the count as decided, and asked for again does nothing.
    pub(super) fn measure(&mut self, value: f64) -> Result<(), Fault> {
        let periods = i64::from(PERIODS_IN);
        let period = i64::try_from(PERIOD.as_millis()).unwrap();
        let sample = |back: i64| Sample {
            at: Timestamp::from_millis(self.now - back * period),
            value,
            whole: true,
        };
        let samples: Vec<Sample> = (0..periods).map(sample).collect();
        let measured: Measured = [true, false].map(|name| (policy(name).1, samples.clone())).into();
        let known = self.state.service(&service());
        let Some(known) = known else { return Ok(()) };
        let now = Timestamp::from_millis(self.now);
        let Some((verdict, running)) = verdict(&self.state, known, &measured, PERIOD, now) else {
            return Ok(());
        };
        let Some(command) = ScaleService::by(known, &verdict, running) else {
            return Ok(());
        };
        let (before, deploying, capacity) = (known.spec.desired, known.is_deploying(), command.scaling.capacity);
        assert!(self.submit(&command)?, "nothing has changed meanwhile");
        let count = self.state.service(&service()).map(|service| service.spec.desired);
        assert_eq!(count, Some(verdict.desired));
        let count = verdict.desired;
        assert!(capacity.nearest(count) == count, "{count} is out of bounds");
        assert!(count > before || !deploying, "fewer tasks during a deployment");
        assert!(!self.submit(&command)?, "the same change twice");
        let other = ScaleService {
            from: count,
            to: count + 1,
            scaling: Arc::new(berth_scheduler_core::scaling::Scaling {
                id: command.scaling.id.wrapping_add(1),
                ..(*command.scaling).clone()
            }),
            ..command
        };
        assert!(!self.submit(&other)?, "the policies are others");
        Ok(())
    }
}
