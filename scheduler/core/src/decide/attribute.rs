//! PutAttributes and DeleteAttributes: what operators say of container instances.
//!
//! What an agent says of its own host stays beneath it: it comes back when an operator's word on it is taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_model::attribute::MAX_GIVEN;
use berth_model::fault::{Fault, FaultClass};
use berth_model::id::InstanceId;
use berth_model::name::ClusterName;
use berth_model::status::InstanceStatus;

use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::keys::{ClusterKey, InstanceKey};
use crate::state::{Instance, State};

/// Attributes by name; some have no value.
pub type Attributes = BTreeMap<String, Option<String>>;

/// Gives instances attributes; one that is there gets the value.
#[derive(Debug, Clone)]
pub struct PutAttributes {
    /// Their cluster.
    pub cluster: ClusterName,
    /// What each instance gets.
    pub attributes: BTreeMap<InstanceId, Attributes>,
}

/// Takes back what operators have given.
#[derive(Debug, Clone)]
pub struct DeleteAttributes {
    /// Their cluster.
    pub cluster: ClusterName,
    /// What each instance loses: where a value is given, only if it is that.
    pub attributes: BTreeMap<InstanceId, Attributes>,
}

impl Command for PutAttributes {
    type Outcome = ();

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let cluster = state.active_cluster(&self.cluster)?.key;
        let mut changes = Vec::new();
        for (id, attributes) in &self.attributes {
            let instance = target(state, cluster, *id)?;
            let mut given = Attributes::clone(&instance.given_attributes);
            given.extend(attributes.clone());
            if given.len() > MAX_GIVEN {
                return Err(Fault::new(
                    FaultClass::AttributeLimitExceeded,
                    format!(
                        "Container instance {id} would have {} custom attributes, at most {MAX_GIVEN} are allowed.",
                        given.len()
                    ),
                ));
            }
            changes.extend(set(cluster, instance, given, env));
        }
        Ok(Decision { changes, outcome: () })
    }
}

impl Command for DeleteAttributes {
    /// What each instance has lost.
    type Outcome = Vec<(InstanceId, Attributes)>;

    fn decide(&self, state: &State, env: &mut Env<'_>) -> Result<Decision<Self::Outcome>, Fault> {
        let cluster = state.active_cluster(&self.cluster)?.key;
        let mut changes = Vec::new();
        let mut outcome = Vec::new();
        for (id, attributes) in &self.attributes {
            let instance = target(state, cluster, *id)?;
            let is_asked = |name: &String, value: &Option<String>| {
                let asked = attributes.get(name);
                asked.is_some_and(|asked| asked.is_none() || asked == value)
            };
            for name in attributes.keys() {
                let is_agents = instance.facts.attributes.contains_key(name);
                if is_agents && !instance.given_attributes.contains_key(name) {
                    return Err(Fault::invalid(format!(
                        "attribute '{name}' of container instance {id} is set by its agent: only the agent's configuration can remove it."
                    )));
                }
            }
            let (lost, kept): (Attributes, Attributes) = Attributes::clone(&instance.given_attributes)
                .into_iter()
                .partition(|(name, value)| is_asked(name, value));
            changes.extend(set(cluster, instance, kept, env));
            outcome.push((*id, lost));
        }
        Ok(Decision { changes, outcome })
    }
}

/// The instance that attributes are of.
fn target(state: &State, cluster: ClusterKey, id: InstanceId) -> Result<&Instance, Fault> {
    let known = state.instance(InstanceKey { cluster, instance: id });
    known
        .filter(|instance| instance.status != InstanceStatus::Inactive)
        .ok_or_else(|| Fault::target_not_found(&id.to_string()))
}

fn set(cluster: ClusterKey, instance: &Instance, attributes: Attributes, env: &Env<'_>) -> Option<Change> {
    (attributes != *instance.given_attributes).then(|| Change::InstanceAttributesSet {
        cluster,
        instance: instance.id,
        attributes: Arc::new(attributes),
        at: env.now(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Memory;
    use crate::fold::fold;
    use crate::observation::InstanceFacts;
    use berth_model::time::Timestamp;

    const CLUSTER: ClusterKey = ClusterKey(1);
    const INSTANCE: InstanceId = InstanceId::from_bits(7);

    fn name() -> ClusterName {
        ClusterName::parse("here").unwrap()
    }

    fn attributes(of: &[(&str, Option<&str>)]) -> Attributes {
        let owned = of
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)));
        owned.collect()
    }

    /// An instance whose agent says that its rack is 1.
    fn state() -> State {
        let mut state = State::default();
        let facts = InstanceFacts {
            attributes: attributes(&[("rack", Some("1"))]),
            ..InstanceFacts::default()
        };
        let at = Timestamp::from_millis(1);
        for change in [
            Change::ClusterCreated {
                name: name(),
                key: CLUSTER,
                tags: Vec::new(),
            },
            Change::InstanceRegistered {
                cluster: CLUSTER,
                instance: INSTANCE,
                facts: Arc::new(facts),
                at,
            },
        ] {
            fold(&mut state, &change);
        }
        state
    }

    fn submit<C: Command>(state: &mut State, command: &C) -> Result<C::Outcome, Fault> {
        let mut memory = Memory::default();
        let decision = command.decide(state, &mut Env::new(Timestamp::from_millis(2), 1, &mut memory))?;
        decision.changes.iter().for_each(|change| fold(state, change));
        Ok(decision.outcome)
    }

    fn put(state: &mut State, of: &[(&str, Option<&str>)]) -> Result<(), Fault> {
        submit(
            state,
            &PutAttributes {
                cluster: name(),
                attributes: [(INSTANCE, attributes(of))].into(),
            },
        )
    }

    fn delete(state: &mut State, of: &[(&str, Option<&str>)]) -> Result<Attributes, Fault> {
        let command = DeleteAttributes {
            cluster: name(),
            attributes: [(INSTANCE, attributes(of))].into(),
        };
        submit(state, &command).map(|mut lost| lost.remove(0).1)
    }

    fn value<'s>(state: &'s State, name: &str) -> Option<Option<&'s str>> {
        let key = InstanceKey {
            cluster: CLUSTER,
            instance: INSTANCE,
        };
        state.instance(key).unwrap().attribute(name)
    }

    #[test]
    fn what_an_operator_says_wins_over_the_agent_until_it_is_taken_back() {
        let mut state = state();
        put(&mut state, &[("rack", Some("2")), ("fast", None)]).unwrap();
        assert_eq!(value(&state, "rack"), Some(Some("2")));
        assert_eq!(value(&state, "fast"), Some(None));
        assert_eq!(
            delete(&mut state, &[("rack", Some("9"))]).unwrap(),
            Attributes::new(),
            "another value"
        );
        assert_eq!(
            delete(&mut state, &[("rack", None)]).unwrap(),
            attributes(&[("rack", Some("2"))])
        );
        assert_eq!(value(&state, "rack"), Some(Some("1")), "the agent's own is back");
        let fault = delete(&mut state, &[("rack", None)]).unwrap_err();
        assert!(fault.message.contains("is set by its agent"), "{fault}");
        assert_eq!(delete(&mut state, &[("slow", None)]).unwrap(), Attributes::new());
    }

    #[test]
    fn what_is_there_already_changes_nothing() {
        let mut state = state();
        put(&mut state, &[("fast", None)]).unwrap();
        let before = state.clone();
        put(&mut state, &[("fast", None)]).unwrap();
        assert_eq!(state, before);
    }

    #[test]
    fn an_instance_has_ten_of_an_operator_at_most() {
        let mut state = state();
        let names: Vec<String> = (0..11).map(|at| format!("a{at}")).collect();
        let many: Vec<(&str, Option<&str>)> = names.iter().map(|name| (name.as_str(), None)).collect();
        let fault = put(&mut state, &many).unwrap_err();
        assert_eq!(fault.class, FaultClass::AttributeLimitExceeded, "{fault}");
        put(&mut state, &many[..10]).unwrap();
        put(&mut state, &many[..10]).unwrap();
        assert!(put(&mut state, &many[10..]).is_err());
    }

    #[test]
    fn only_instances_that_are_there_have_attributes() {
        let mut state = state();
        let nobody = PutAttributes {
            cluster: name(),
            attributes: [(InstanceId::from_bits(8), Attributes::new())].into(),
        };
        let fault = submit(&mut state, &nobody).unwrap_err();
        assert_eq!(fault.class, FaultClass::TargetNotFound);
        assert_eq!(fault.message, format!("Could not find {}", InstanceId::from_bits(8)));
    }
}
