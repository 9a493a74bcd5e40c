//! Schedules, as far as `berth` can tell them from real ones.

#![expect(
    clippy::needless_pass_by_value,
    reason = "an operation takes its request whole, whether it uses it up or not"
)]

use berth_proto::ecs::v1::RunTaskRequest;
use berth_proto::v1::*;

use super::State;
use super::operations::{Answer, fault, last, page};
use super::state::ARN;

/// An ENABLED schedule that is due every day at three in Berlin and runs `backup`.
pub(crate) fn schedule(name: &str) -> Schedule {
    Schedule {
        arn: format!("{ARN}:schedule/default/{name}"),
        name: name.to_owned(),
        cluster_arn: format!("{ARN}:cluster/default"),
        schedule_expression: "cron(0 3 * * ? *)".to_owned(),
        schedule_expression_timezone: "Europe/Berlin".to_owned(),
        state: "ENABLED".to_owned(),
        action_after_completion: "NONE".to_owned(),
        overlap_policy: "ALLOW".to_owned(),
        retry_policy: Some(RetryPolicy {
            maximum_event_age_in_seconds: Some(86_400),
            maximum_retry_attempts: Some(185),
        }),
        target: Some(RunTaskRequest {
            task_definition: Some("backup".to_owned()),
            count: Some(1),
            group: Some("backups".to_owned()),
            ..Default::default()
        }),
        version: 3,
        ..Default::default()
    }
}

/// A run of one task, which has ended well.
pub(crate) fn schedule_run(number: u64, outcome: &str) -> ScheduleRun {
    ScheduleRun {
        number,
        // 2026-11-21 at three in Berlin.
        due: Some(1_795_226_400.0),
        at: 1_795_226_400.0,
        outcome: outcome.to_owned(),
        attempts: 1,
        task_arns: vec![format!("{ARN}:task/default/{number:032x}")],
        succeeded: 1,
        ended: Some(1_795_226_460.0),
        ..Default::default()
    }
}

impl State {
    fn schedule(&mut self, name: &str) -> Answer<&mut Schedule> {
        let name = last(name);
        let found = self.schedules.iter_mut().find(|it| it.name == name);
        found.ok_or_else(|| fault("ResourceNotFoundException", "Schedule ghost does not exist."))
    }

    pub(super) fn create_schedule(&mut self, request: CreateScheduleRequest) -> Answer<CreateScheduleResponse> {
        let created = schedule(request.name());
        self.new_schedules.push(request);
        self.schedules.push(created.clone());
        Ok(CreateScheduleResponse {
            schedule: Some(created),
        })
    }

    pub(super) fn update_schedule(&mut self, request: UpdateScheduleRequest) -> Answer<UpdateScheduleResponse> {
        let updated = self.schedule(request.name())?;
        if let Some(state) = &request.state {
            updated.state.clone_from(state);
        }
        let schedule = Some(updated.clone());
        self.schedule_updates.push(request);
        Ok(UpdateScheduleResponse { schedule })
    }

    pub(super) fn delete_schedule(&mut self, request: DeleteScheduleRequest) -> Answer<DeleteScheduleResponse> {
        let name = self.schedule(request.name())?.name.clone();
        self.schedules.retain(|it| it.name != name);
        Ok(DeleteScheduleResponse {})
    }

    pub(super) fn describe_schedule(&mut self, request: DescribeScheduleRequest) -> Answer<DescribeScheduleResponse> {
        let schedule = self.schedule(request.name())?.clone();
        let most = request
            .max_runs
            .map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(0));
        Ok(DescribeScheduleResponse {
            schedule: Some(schedule),
            runs: self.schedule_runs.iter().take(most).cloned().collect(),
            // 2026-11-22 and 2027-06-01, both at three in Berlin.
            upcoming: vec![1_795_312_800.0, 1_811_811_600.0],
        })
    }

    pub(super) fn list_schedules(&mut self, request: ListSchedulesRequest) -> Answer<ListSchedulesResponse> {
        let names = self.schedules.iter().map(|it| it.name.clone()).collect();
        let (names, next_token) = page(names, request.next_token)?;
        let schedules = self.schedules.iter().filter(|it| names.contains(&it.name));
        Ok(ListSchedulesResponse {
            schedules: schedules.cloned().collect(),
            next_token,
        })
    }

    pub(super) fn run_schedule(&mut self, request: RunScheduleRequest) -> Answer<RunScheduleResponse> {
        self.schedule(request.name())?;
        Ok(RunScheduleResponse {
            run: self.schedule_runs.first().cloned(),
        })
    }
}
