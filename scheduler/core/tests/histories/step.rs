//! The steps of histories.

use berth_model::status::{InstanceStatus, TaskStatus};
use berth_scheduler_core::target::TargetHealth;
use proptest::prelude::*;

use super::capacity::{Act, act};
use super::queue::Rule;
use super::schedule::{Wish, wish};
use super::task_set;

/// One step of a history, over small sets of names so that steps meet.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Create,
    Delete,
    Register {
        cpu: u32,
        memory: u32,
        port: u16,
        gpus: u32,
    },
    Deregister {
        revision: u32,
    },
    DeleteDefinition {
        revision: u32,
    },
    ExpireDefinitions,
    Connect {
        instance: u128,
        cpu: u32,
        leaves: bool,
    },
    Leave {
        instance: u128,
        leaves: bool,
    },
    Disconnect {
        instance: u128,
    },
    Drain {
        instance: u128,
        status: InstanceStatus,
    },
    /// An operator marks the instance, or takes it back.
    Mark {
        instance: u128,
        marked: bool,
    },
    Remove {
        instance: u128,
        force: bool,
    },
    Run {
        count: u32,
        distinct: bool,
        pack: bool,
    },
    Queue {
        count: u32,
        rule: Rule,
        patience: u64,
    },
    Wake,
    Overdue,
    StopQueued {
        nth: usize,
    },
    Start {
        instances: Vec<u128>,
    },
    /// Something gets the tag, or loses it: a task of any kind, or else the instance, the cluster, the first revision.
    Tag {
        nth: usize,
        of: u8,
        set: bool,
    },
    Stop {
        nth: usize,
    },
    Protect {
        nth: usize,
        minutes: Option<u64>,
    },
    Report {
        nth: usize,
        status: TaskStatus,
        port: u16,
        own: bool,
    },
    Forget {
        age: u64,
    },
    CreateService {
        desired: u32,
        daemon: bool,
        breaker: bool,
        balanced: bool,
    },
    Update {
        desired: Option<i32>,
        force: bool,
        balanced: Option<bool>,
    },
    DeleteService,
    StopDeployment,
    /// What gateways say of a task; without a health, that they have no connection to it any more.
    Target {
        nth: usize,
        health: Option<TargetHealth>,
    },
    Reconcile {
        wait: i64,
    },
    CreateSchedule {
        wish: Wish,
    },
    UpdateSchedule {
        wish: Wish,
        enable: bool,
    },
    DeleteSchedule,
    /// A service gets bounds and, where a target is given, a policy; the name says which.
    SetScaling {
        bounds: (i64, i64),
        target: Option<f64>,
        name: bool,
    },
    /// The policy, or without a name all of it, is deleted.
    EndScaling {
        name: Option<bool>,
    },
    /// Its metric was measured, three times as often as it takes to add tasks.
    Measure {
        value: f64,
    },
    /// Time passes and the schedules that are due do what they have to.
    Fire {
        wait: i64,
    },
    RunSchedule,
    CreateAccessKey {
        user: bool,
    },
    /// Of the newest access key.
    RotateAccessKey {
        grace: u64,
    },
    UpdateAccessKey {
        nth: usize,
        active: Option<bool>,
        everything: bool,
    },
    DeleteAccessKey {
        nth: usize,
    },
    CreateJoinToken {
        uses: u32,
        lifetime: u64,
    },
    RevokeJoinToken,
    Enroll {
        nth: u8,
        key: u8,
        sends: bool,
    },
    Renew {
        nth: usize,
    },
    RemoveMember {
        nth: usize,
    },
    /// Something about capacity providers.
    Capacity(Act),
    /// A service is deployed by somebody else.
    Deploy(task_set::Act),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let instance = 1_u128..4;
    let status = prop_oneof![Just(InstanceStatus::Active), Just(InstanceStatus::Draining)];
    let seen = prop_oneof![
        Just(TaskStatus::Pending),
        Just(TaskStatus::Running),
        Just(TaskStatus::Stopping),
        Just(TaskStatus::Stopped),
    ];
    let health = prop_oneof![Just(TargetHealth::Healthy), Just(TargetHealth::Unhealthy)];
    let rule =
        prop_oneof![3 => Just(Rule::None), 2 => Just(Rule::Distinct), 1 => Just(Rule::Near), 2 => Just(Rule::Marked)];
    prop_oneof![
        1 => Just(Step::Create),
        1 => Just(Step::Delete),
        2 => (0_u32..600, 6_u32..600, 0_u16..3, 0_u32..3)
            .prop_map(|(cpu, memory, port, gpus)| Step::Register { cpu, memory, port, gpus }),
        1 => (1_u32..4).prop_map(|revision| Step::Deregister { revision }),
        1 => (1_u32..4).prop_map(|revision| Step::DeleteDefinition { revision }),
        1 => Just(Step::ExpireDefinitions),
        3 => (instance.clone(), 1_u32..3, prop::bool::weighted(0.1)).prop_map(|(instance, cpu, leaves)| Step::Connect {
            instance,
            cpu: cpu * 1024,
            leaves
        }),
        1 => (instance.clone(), any::<bool>()).prop_map(|(instance, leaves)| Step::Leave { instance, leaves }),
        1 => instance.clone().prop_map(|instance| Step::Disconnect { instance }),
        1 => (instance.clone(), status).prop_map(|(instance, status)| Step::Drain { instance, status }),
        2 => (instance.clone(), any::<bool>()).prop_map(|(instance, marked)| Step::Mark { instance, marked }),
        1 => (instance.clone(), any::<bool>()).prop_map(|(instance, force)| Step::Remove { instance, force }),
        6 => (1_u32..5, any::<bool>(), any::<bool>()).prop_map(|(count, distinct, pack)| Step::Run { count, distinct, pack }),
        4 => (1_u32..5, rule, 1_u64..600)
            .prop_map(|(count, rule, patience)| Step::Queue { count, rule, patience }),
        3 => Just(Step::Wake),
        1 => Just(Step::Overdue),
        1 => (0_usize..20).prop_map(|nth| Step::StopQueued { nth }),
        2 => prop::collection::vec(instance, 1..4).prop_map(|instances| Step::Start { instances }),
        2 => (0_usize..20, 0_u8..5, any::<bool>()).prop_map(|(nth, of, set)| Step::Tag { nth, of, set }),
        2 => (0_usize..20).prop_map(|nth| Step::Stop { nth }),
        1 => (0_usize..20, prop::option::of(1_u64..3)).prop_map(|(nth, minutes)| Step::Protect { nth, minutes }),
        8 => (0_usize..20, seen, 0_u16..4, prop::bool::weighted(0.9))
            .prop_map(|(nth, status, port, own)| Step::Report { nth, status, port, own }),
        1 => (0_u64..50).prop_map(|age| Step::Forget { age }),
        2 => (0_u32..5, prop::bool::weighted(0.3), any::<bool>(), any::<bool>())
            .prop_map(|(desired, daemon, breaker, balanced)| Step::CreateService { desired, daemon, breaker, balanced }),
        2 => (prop::option::of(0_i32..5), any::<bool>(), prop::option::of(any::<bool>()))
            .prop_map(|(desired, force, balanced)| Step::Update { desired, force, balanced }),
        1 => Just(Step::DeleteService),
        1 => Just(Step::StopDeployment),
        4 => (0_usize..20, prop::option::of(health)).prop_map(|(nth, health)| Step::Target { nth, health }),
        8 => prop_oneof![0_i64..100, 30_000_i64..90_000].prop_map(|wait| Step::Reconcile { wait }),
        2 => wish().prop_map(|wish| Step::CreateSchedule { wish }),
        1 => (wish(), prop::bool::weighted(0.7)).prop_map(|(wish, enable)| Step::UpdateSchedule { wish, enable }),
        1 => Just(Step::DeleteSchedule),
        2 => ((0_i64..4, 0_i64..6), prop::option::of(1.0..99.0), any::<bool>())
            .prop_map(|(bounds, target, name)| Step::SetScaling { bounds, target, name }),
        1 => prop::option::of(any::<bool>()).prop_map(|name| Step::EndScaling { name }),
        4 => (0.0..200.0).prop_map(|value| Step::Measure { value }),
        5 => prop_oneof![0_i64..2000, 30_000_i64..600_000].prop_map(|wait| Step::Fire { wait }),
        1 => Just(Step::RunSchedule),
        1 => any::<bool>().prop_map(|user| Step::CreateAccessKey { user }),
        1 => (0_u64..3000).prop_map(|grace| Step::RotateAccessKey { grace }),
        1 => (0_usize..5, prop::option::of(any::<bool>()), any::<bool>())
            .prop_map(|(nth, active, everything)| Step::UpdateAccessKey { nth, active, everything }),
        1 => (0_usize..5).prop_map(|nth| Step::DeleteAccessKey { nth }),
        2 => (1_u32..4, 1_u64..3000).prop_map(|(uses, lifetime)| Step::CreateJoinToken { uses, lifetime }),
        1 => Just(Step::RevokeJoinToken),
        3 => (0_u8..4, 0_u8..2, prop::bool::weighted(0.8))
            .prop_map(|(nth, key, sends)| Step::Enroll { nth, key, sends }),
        1 => (0_usize..3).prop_map(|nth| Step::Renew { nth }),
        1 => (0_usize..3).prop_map(|nth| Step::RemoveMember { nth }),
        6 => act().prop_map(Step::Capacity),
        4 => task_set::act().prop_map(Step::Deploy),
    ]
}
