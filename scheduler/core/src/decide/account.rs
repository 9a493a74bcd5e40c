//! PutAccountSetting, PutAccountSettingDefault and DeleteAccountSetting.

use std::sync::Arc;

use berth_model::account::SettingName;
use berth_model::fault::Fault;

use crate::change::Change;
use crate::command::{Command, Decision, Env};
use crate::state::State;

/// Sets an account setting, or takes back what was set.
#[derive(Debug, Clone)]
pub struct SetAccountSetting {
    /// Which.
    pub name: SettingName,
    /// For whom; none for everybody of whom there is no other word.
    pub principal: Option<Arc<str>>,
    /// The value, checked; none to take it back.
    pub value: Option<Arc<str>>,
}

impl Command for SetAccountSetting {
    type Outcome = ();

    fn decide(&self, state: &State, _env: &mut Env<'_>) -> Result<Decision<()>, Fault> {
        let key = (self.name, self.principal.clone());
        if state.account_settings.get(&key) == self.value.as_ref() {
            return Ok(Decision::unchanged(()));
        }
        let set = Change::AccountSettingSet {
            name: self.name,
            principal: self.principal.clone(),
            value: self.value.clone(),
        };
        Ok(Decision {
            changes: vec![set],
            outcome: (),
        })
    }
}

#[cfg(test)]
mod tests {
    use berth_model::cluster::ContainerInsights;
    use berth_model::name::ClusterName;
    use berth_model::time::Timestamp;

    use super::*;
    use crate::command::Memory;
    use crate::decide::cluster::{CreateCluster, CreateConfiguredCluster};
    use crate::fold::fold;
    use crate::keys::Revision;
    use crate::snapshot::{Restoration, pieces};

    fn submit<C: Command>(state: &mut State, command: &C) -> usize {
        let mut memory = Memory::default();
        let mut env = Env::new(Timestamp::from_millis(1), 1, &mut memory);
        let decision = command.decide(state, &mut env).unwrap();
        decision.changes.iter().for_each(|change| fold(state, change));
        decision.changes.len()
    }

    fn set(state: &mut State, principal: Option<&str>, value: Option<&str>) -> usize {
        let command = SetAccountSetting {
            name: SettingName::ContainerInsights,
            principal: principal.map(Arc::from),
            value: value.map(Arc::from),
        };
        submit(state, &command)
    }

    #[test]
    fn what_is_set_for_a_principal_wins_over_what_is_set_for_all() {
        let mut state = State::default();
        let is = |state: &State, principal: &str| {
            state
                .account_setting(SettingName::ContainerInsights, &principal.into())
                .to_owned()
        };
        assert_eq!(is(&state, "me"), "disabled");
        assert_eq!(set(&mut state, None, Some("enabled")), 1);
        assert_eq!(set(&mut state, Some("me"), Some("enhanced")), 1);
        assert_eq!(set(&mut state, Some("me"), Some("enhanced")), 0, "it is so already");
        assert_eq!(
            (is(&state, "me"), is(&state, "you")),
            ("enhanced".to_owned(), "enabled".to_owned())
        );
        let mut restored = Restoration::default();
        pieces(&state).for_each(|piece| restored.add(piece));
        assert_eq!(restored.finish(Revision(0)), state);
        assert_eq!(set(&mut state, Some("me"), None), 1);
        assert_eq!(is(&state, "me"), "enabled");
    }

    #[test]
    fn a_new_cluster_is_looked_at_as_its_maker_wants_all() {
        let mut state = State::default();
        set(&mut state, Some("me"), Some("enhanced"));
        for (name, principal, insights) in [
            ("mine", "me", ContainerInsights::Enhanced),
            ("yours", "you", ContainerInsights::Disabled),
        ] {
            let name = ClusterName::parse(name).unwrap();
            let command = CreateConfiguredCluster {
                cluster: CreateCluster {
                    providers: Vec::new(),
                    strategy: Vec::new(),
                    name: name.clone(),
                    tags: Vec::new(),
                },
                settings: Default::default(),
                principal: principal.into(),
            };
            assert!(submit(&mut state, &command) > 0);
            assert_eq!(submit(&mut state, &command), 0, "it is there already");
            let known = state.cluster(&name).map(|known| known.settings.container_insights);
            assert_eq!(known, Some(insights));
        }
    }
}
