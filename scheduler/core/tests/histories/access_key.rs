//! How histories make, change and delete access keys.

use std::sync::Arc;
use std::time::Duration;

use berth_model::fault::Fault;
use berth_model::name::UserName;
use berth_model::policy::Policy;
use berth_scheduler_core::access_key::AccessKeyStatus;
use berth_scheduler_core::decide::access_key::{CreateAccessKey, DeleteAccessKey, RotateAccessKey, UpdateAccessKey};

use super::History;

fn policy(everything: bool) -> Arc<Policy> {
    let nothing = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}"#;
    Arc::new(match everything {
        true => Policy::everything(),
        false => Policy::parse(nothing, &["ecs:RunTask"]).unwrap(),
    })
}

impl History {
    pub(super) fn create_access_key(&mut self, user: bool) -> Result<(), Fault> {
        let command = CreateAccessKey {
            user: UserName::parse(if user { "ci" } else { "ops" })?,
            policy: policy(user),
            master: "0123456789abcdef".into(),
        };
        self.submit(&command).map(drop)
    }

    pub(super) fn rotate_access_key(&mut self, grace: u64) -> Result<(), Fault> {
        let command = RotateAccessKey {
            id: self.nth_access_key(usize::MAX),
            master: "fedcba9876543210".into(),
            grace: Duration::from_millis(grace),
        };
        self.submit(&command).map(drop)
    }

    pub(super) fn update_access_key(
        &mut self,
        nth: usize,
        active: Option<bool>,
        everything: bool,
    ) -> Result<(), Fault> {
        let status = active.map(|active| match active {
            true => AccessKeyStatus::Active,
            false => AccessKeyStatus::Inactive,
        });
        let command = UpdateAccessKey {
            id: self.nth_access_key(nth),
            status,
            policy: Some(policy(everything)),
        };
        let key = self.submit(&command)?;
        assert_eq!(self.state.access_key(key.id.as_str()), Some(&key));
        Ok(())
    }

    pub(super) fn delete_access_key(&mut self, nth: usize) -> Result<(), Fault> {
        let id = self.nth_access_key(nth);
        self.submit(&DeleteAccessKey { id })
    }

    /// The one of the number, the last where there are fewer; of no key where there is none.
    fn nth_access_key(&self, nth: usize) -> String {
        let keys: Vec<_> = self.state.access_keys().collect();
        let key = keys.get(nth).or_else(|| keys.last());
        key.map_or_else(|| "AKIANONE".to_owned(), |key| key.id.to_string())
    }
}
