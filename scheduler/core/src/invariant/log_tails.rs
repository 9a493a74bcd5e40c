//! Of what failing tasks said last the journal keeps a few lines a deployment, and none of other tasks.

use std::collections::BTreeMap;

use crate::observation::has_log_tail;
use crate::service::Explained;
use crate::state::State;

pub(super) fn check(state: &State, wrong: &mut Vec<String>) {
    let mut quoted: BTreeMap<_, u32> = BTreeMap::new();
    for (key, task) in state.tasks.iter().filter(|(_, task)| has_log_tail(&task.containers)) {
        match (task.launch.service_key(key.cluster), &task.launch.service) {
            (Some(service), Some(launch)) => *quoted.entry((service, launch.deployment)).or_default() += 1,
            _ => wrong.push(format!("log lines of task {} are kept, it is of no service", task.id)),
        }
    }
    for ((service, id), tasks) in quoted {
        let known = state.service(&service).and_then(|service| service.deployment(id));
        let counted = known.map_or(Explained::MOST, |deployment| deployment.explained.log_tails);
        if tasks > counted || counted > Explained::MOST {
            wrong.push(format!(
                "log lines of {tasks} tasks of deployment {id} are kept, it counts {counted} and may have {}",
                Explained::MOST
            ));
        }
    }
}
