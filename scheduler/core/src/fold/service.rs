//! What happens to services, and to their lists of tasks.

use std::sync::Arc;

use berth_model::service::ServiceStatus;

use super::with_cluster;
use crate::change::Change;
use crate::keys::{ClusterKey, ServiceKey, TaskKey};
use crate::launch::{Launch, Placement};
use crate::state::{Service, State, Task};

/// Adds a change that is about a service; others are not its own.
pub(super) fn fold(state: &mut State, change: &Change) {
    let key = |cluster: &ClusterKey, service: &berth_model::name::ServiceName| ServiceKey {
        cluster: *cluster,
        service: service.clone(),
    };
    match change {
        Change::ServiceCreated {
            cluster,
            service,
            spec,
            deployment,
            client_token,
            at,
        } => {
            let created = Service::new(
                key(cluster, service),
                Arc::clone(spec),
                deployment.as_deref().cloned(),
                *at,
            );
            add_service(
                state,
                Service {
                    client_token: client_token.clone(),
                    ..created
                },
            );
        }
        Change::ServiceUpdated {
            cluster,
            service,
            spec,
            deployments,
        } => with_service(state, &key(cluster, service), |service| {
            service.spec = Arc::clone(spec);
            service.put_deployments(deployments);
        }),
        Change::ServiceStepped {
            cluster,
            service,
            deployments,
            accounted,
            events,
        } => with_service(state, &key(cluster, service), |service| {
            service.put_deployments(deployments);
            for task in accounted {
                service.ended.remove(task);
            }
            service.say(events);
        }),
        Change::ServiceScalingSet {
            cluster,
            service,
            scaling,
        } => with_service(state, &key(cluster, service), |service| {
            service.scaling.clone_from(scaling);
        }),
        Change::ServiceScaled {
            cluster,
            service,
            activity,
            event,
        } => with_service(state, &key(cluster, service), |service| {
            Arc::make_mut(&mut service.spec).desired = activity.did.to;
            service.note_activity(activity);
            service.say(std::slice::from_ref(event));
        }),
        Change::ServiceDeleted { cluster, service } => {
            set_status(state, &key(cluster, service), |service| {
                service.status = ServiceStatus::Draining;
                Arc::make_mut(&mut service.spec).desired = 0;
                service.scaling = None;
            });
        }
        Change::ServiceInactive { cluster, service, at } => set_status(state, &key(cluster, service), |service| {
            service.status = ServiceStatus::Inactive;
            service.inactive_at = Some(*at);
        }),
        Change::ServicesForgotten { cluster, services } => {
            if let Some(known) = state.services.get_mut(cluster) {
                for service in services {
                    known.remove(service);
                }
                if known.is_empty() {
                    state.services.remove(cluster);
                }
            }
        }
        Change::ClusterCreated { .. }
        | Change::ClusterUpdated { .. }
        | Change::ClusterDeleted { .. }
        | Change::AccountSettingSet { .. }
        | Change::CapacityProviderSet { .. }
        | Change::CapacityProviderDeleted { .. }
        | Change::ClusterProvidersSet { .. }
        | Change::DefinitionRegistered { .. }
        | Change::DefinitionDeregistered { .. }
        | Change::DefinitionDeletionRequested { .. }
        | Change::DefinitionsForgotten { .. }
        | Change::TagsSet { .. }
        | Change::InstanceRegistered { .. }
        | Change::InstanceConnection { .. }
        | Change::InstanceStatusSet { .. }
        | Change::InstanceAttributesSet { .. }
        | Change::TasksPlaced { .. }
        | Change::TasksQueued { .. }
        | Change::QueuedTasksPlaced { .. }
        | Change::QueuedTaskEnded { .. }
        | Change::TaskStopRequested { .. }
        | Change::TargetsRegistered { .. }
        | Change::TargetHealthSet { .. }
        | Change::TargetsDeregistered { .. }
        | Change::TaskObserved { .. }
        | Change::TaskProtectionSet { .. }
        | Change::TasksForgotten { .. }
        | Change::ScheduleCreated { .. }
        | Change::ScheduleUpdated { .. }
        | Change::ScheduleRan { .. }
        | Change::ScheduleRetried { .. }
        | Change::ScheduleDeleted { .. }
        | Change::SessionOpened { .. }
        | Change::SessionEnded { .. }
        | Change::EventsDelivered { .. }
        | Change::JoinTokenPut { .. }
        | Change::JoinTokenDeleted { .. }
        | Change::MemberEnrolled { .. }
        | Change::MemberRemoved { .. }
        | Change::OperatorCertified { .. }
        | Change::AccessKeyPut { .. }
        | Change::AccessKeyDeleted { .. } => {}
    }
}

/// Adds a service that has no tasks yet; its list of them follows from those that are added.
pub(crate) fn add_service(state: &mut State, service: Service) {
    let counts = u32::from(service.is_active());
    with_cluster(state, service.cluster, |cluster| cluster.services += counts);
    let services = state.services.entry(service.cluster).or_default();
    services.insert(service.name.clone(), Arc::new(service));
}

/// Notes tasks that were placed for a service.
pub(super) fn placed(state: &mut State, cluster: ClusterKey, launch: &Launch, placements: &[Placement]) {
    let Some(key) = launch.service_key(cluster) else {
        return;
    };
    with_service(state, &key, |service| {
        service.live.extend(placements.iter().map(|placement| placement.task));
    });
}

/// Notes that a task has stopped.
pub(super) fn ended(state: &mut State, key: TaskKey, task: &Task) {
    let Some(service) = task.launch.service_key(key.cluster) else {
        return;
    };
    with_service(state, &service, |service| {
        service.live.remove(&key.task);
        service.ended.insert(key.task);
    });
}

/// Notes that it is kept what a task that failed said last.
pub(super) fn quoted(state: &mut State, key: TaskKey, task: &Task) {
    let (Some(service), Some(launch)) = (task.launch.service_key(key.cluster), &task.launch.service) else {
        return;
    };
    with_service(state, &service, |service| service.count_log_tail(launch.deployment));
}

/// Notes that nothing is known of a task any more.
pub(super) fn forgotten(state: &mut State, key: TaskKey, task: &Task) {
    let Some(service) = task.launch.service_key(key.cluster) else {
        return;
    };
    if state
        .service(&service)
        .is_some_and(|service| service.ended.contains(&key.task))
    {
        with_service(state, &service, |service| {
            service.ended.remove(&key.task);
        });
    }
}

/// Edits a service, if there is one of the name.
pub(crate) fn with_service(state: &mut State, key: &ServiceKey, edit: impl FnOnce(&mut Service)) {
    let services = state.services.get_mut(&key.cluster);
    if let Some(service) = services.and_then(|services| services.get_mut(&key.service)) {
        edit(Arc::make_mut(service));
    }
}

/// Edits the status, and keeps the cluster's count true.
fn set_status(state: &mut State, key: &ServiceKey, edit: impl FnOnce(&mut Service)) {
    let is_active = |state: &State| state.service(key).is_some_and(Service::is_active);
    let before = is_active(state);
    with_service(state, key, edit);
    if before && !is_active(state) {
        with_cluster(state, key.cluster, |cluster| {
            cluster.services = cluster.services.saturating_sub(1);
        });
    }
}
