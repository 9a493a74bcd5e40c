//! Which namespaces a container has of its own, which it takes from the host and which it shares with its task.

use berth_model::task_definition::{ContainerDefinition, NetworkMode};

use super::{CreateRequest, MIB};
use crate::name;
use crate::pause;
use crate::spec::TaskSpec;

/// Docker's network of tasks with an address of their own. The agent makes it when the first such task is created.
pub const TASK_NETWORK: &str = "berth";

/// The network mode that Docker is asked for.
pub(super) fn network_mode(spec: &TaskSpec, container: &ContainerDefinition) -> String {
    let mode = spec.definition.network_mode();
    match mode {
        NetworkMode::Awsvpc if pause::is_internal(&container.name) => TASK_NETWORK.to_owned(),
        NetworkMode::Awsvpc => of_pause(spec),
        // It has no use for a network where it does not hold the task's.
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None if pause::is_internal(&container.name) => {
            NetworkMode::None.name().to_owned()
        }
        NetworkMode::Bridge | NetworkMode::Host | NetworkMode::None => mode.name().to_owned(),
    }
}

/// Puts a container of the definition into the namespaces of its host or its task (ECS API, `pidMode` and `ipcMode`).
pub(super) fn join(spec: &TaskSpec, request: &mut CreateRequest) {
    let definition = &spec.definition;
    let shared = |shares: bool, mode: &Option<String>| {
        if shares { Some(of_pause(spec)) } else { mode.clone() }
    };
    let host = &mut request.host;
    host.pid_mode = shared(pause::shares_pid(definition), &definition.pid_mode);
    host.ipc_mode = shared(pause::shares_ipc(definition), &definition.ipc_mode);
    if definition.network_mode() == NetworkMode::Awsvpc {
        // What Docker writes for the network's owner holds for all who join it; for them it refuses the settings.
        host.dns.clear();
        host.dns_search.clear();
    }
    if pause::shares_ipc(definition) {
        host.shm_size = None;
    }
}

/// The pause container. It is told nothing, has no rights, writes nothing and logs nothing; its init ends it at SIGTERM, which process
/// 1 of a namespace ignores otherwise, and reaps what the task's containers leave in a shared process namespace.
pub(super) fn pause(spec: &TaskSpec, request: &mut CreateRequest) {
    request.environment.clear();
    let host = &mut request.host;
    let containers = || spec.containers().iter();
    if spec.definition.network_mode() == NetworkMode::Awsvpc {
        host.dns = each_once(containers().flat_map(|container| &container.dns_servers));
        host.dns_search = each_once(containers().flat_map(|container| &container.dns_search_domains));
    }
    if pause::shares_ipc(&spec.definition) {
        host.ipc_mode = Some("shareable".to_owned());
        for container in containers() {
            let parameters = container.linux_parameters.as_ref();
            let mib = parameters.and_then(|parameters| parameters.shared_memory_size);
            host.shm_size = host.shm_size.max(mib.map(|mib| i64::from(mib) * MIB));
        }
    }
    host.init = true;
    host.readonly_root_filesystem = true;
    host.capabilities_dropped = vec!["ALL".to_owned()];
    host.security_options = vec!["no-new-privileges".to_owned()];
    host.log = Some(("none".to_owned(), Default::default()));
}

/// By name, which follows from the task as Docker's id does not.
fn of_pause(spec: &TaskSpec) -> String {
    let at = spec.position(pause::NAME).unwrap_or(usize::MAX);
    format!("container:{}", name::container(spec, at))
}

fn each_once<'a>(values: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut each = Vec::new();
    for value in values {
        if !each.contains(value) {
            each.push(value.clone());
        }
    }
    each
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::create::{CreateRequest, create_request};
    use crate::machine::testing::spec_of;

    const PAUSE: &str = "container:ecs-web-3-internal.ecs.pause-0000000000000000000000000000002a";

    /// The requests of a task of two containers, and of its pause container where it has one.
    fn requests(members: &Value, app: &Value) -> Vec<CreateRequest> {
        let mut definition = json!({"family": "web", "containerDefinitions": [
            {"name": "app", "image": "busybox", "memory": 16}, {"name": "side", "image": "busybox", "memory": 16}]});
        for (member, value) in members.as_object().unwrap() {
            definition[member] = value.clone();
        }
        for (member, value) in app.as_object().unwrap() {
            definition["containerDefinitions"][0][member] = value.clone();
        }
        let spec = spec_of(definition);
        let all = (0..spec.containers().len()).map(|at| create_request(&spec, at).unwrap());
        all.collect()
    }

    #[test]
    fn containers_with_one_address_a_task_join_the_network_of_its_pause_container() {
        let app = json!({"dnsServers": ["10.0.0.2"], "dnsSearchDomains": ["a.example"],
            "portMappings": [{"containerPort": 80}]});
        let requests = requests(&json!({"networkMode": "awsvpc"}), &app);
        let [app, side, pause] = requests.as_slice() else {
            panic!("{requests:#?}")
        };
        for member in [app, side] {
            assert_eq!(member.host.network_mode, PAUSE);
            assert!(member.host.dns.is_empty() && member.host.dns_search.is_empty());
            assert!(member.host.ports.is_empty(), "nothing is published on the host");
            assert_eq!(member.host.pid_mode, None);
        }
        assert_eq!(pause.name, PAUSE.trim_start_matches("container:"));
        assert_eq!((pause.host.network_mode.as_str(), pause.host.init), ("berth", true));
        assert_eq!(pause.host.dns, ["10.0.0.2"]);
        assert_eq!(pause.host.dns_search, ["a.example"]);
        assert_eq!(pause.host.capabilities_dropped, ["ALL"]);
    }

    #[test]
    fn processes_and_memory_are_shared_through_the_pause_container() {
        let app = json!({"linuxParameters": {"sharedMemorySize": 8}});
        let requests = requests(&json!({"pidMode": "task", "ipcMode": "task"}), &app);
        let [app, side, pause] = requests.as_slice() else {
            panic!("{requests:#?}")
        };
        for member in [app, side] {
            assert_eq!(member.host.pid_mode.as_deref(), Some(PAUSE));
            assert_eq!(member.host.ipc_mode.as_deref(), Some(PAUSE));
            assert_eq!(member.host.network_mode, "bridge");
            assert_eq!(member.host.shm_size, None);
            assert!(!member.host.init, "the pause container's init reaps for all");
        }
        assert_eq!(pause.host.ipc_mode.as_deref(), Some("shareable"));
        assert_eq!(
            (pause.host.pid_mode.as_deref(), pause.host.shm_size),
            (None, Some(8 << 20))
        );
        assert_eq!(pause.host.network_mode, "none");
    }

    #[test]
    fn the_hosts_namespaces_need_no_pause_container() {
        let requests = requests(&json!({"pidMode": "host", "ipcMode": "none"}), &json!({}));
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].host.pid_mode.as_deref(), Some("host"));
        assert_eq!(requests[0].host.ipc_mode.as_deref(), Some("none"));
        assert!(!requests[0].host.init, "the host has an init");
    }

    #[test]
    fn an_init_that_is_asked_for_is_there_also_in_a_shared_process_namespace() {
        let asked = json!({"linuxParameters": {"initProcessEnabled": true}});
        assert!(requests(&json!({"pidMode": "task"}), &asked)[0].host.init);
    }
}
