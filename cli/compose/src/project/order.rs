//! Which service waits for which.

use std::collections::{BTreeMap, BTreeSet};

use crate::Error;
use crate::service::Draft;
use crate::translation::Condition;

/// The services, those that others wait for first.
#[derive(Debug)]
pub(super) struct Order {
    names: Vec<String>,
    jobs: BTreeSet<String>,
}

impl Order {
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Those whose success others wait for: they run once.
    pub(super) const fn jobs(&self) -> &BTreeSet<String> {
        &self.jobs
    }
}

/// Orders the services; needs that may be missing and are go.
pub(super) fn order(drafts: &mut [(String, Draft)], inactive: &BTreeSet<String>) -> Result<Order, Error> {
    let names: BTreeSet<String> = drafts.iter().map(|(name, _)| name.clone()).collect();
    let mut jobs = BTreeSet::new();
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, draft) in drafts.iter_mut() {
        for need in &draft.depends_on {
            if names.contains(&need.service) || !need.required {
                continue;
            }
            let other = berth_model::fault::shortened(&need.service);
            let rule = match inactive.contains(&need.service) {
                true => format!("no active profile has the service '{other}'"),
                false => format!("there is no service '{other}'"),
            };
            return Err(Error::new(&need.place, rule));
        }
        draft.depends_on.retain(|need| names.contains(&need.service));
        let completed = draft
            .depends_on
            .iter()
            .filter(|need| need.condition == Condition::Completed);
        jobs.extend(completed.map(|need| need.service.clone()));
        needs.insert(
            name.clone(),
            draft.depends_on.iter().map(|need| need.service.clone()).collect(),
        );
    }
    let mut ordered: Vec<String> = Vec::new();
    let mut done = BTreeSet::new();
    // Round by round, in the order of the files: a service whose needs are there comes next.
    while ordered.len() < drafts.len() {
        let before = ordered.len();
        for (name, _) in drafts.iter() {
            let ready = needs
                .get(name)
                .is_none_or(|needs| needs.iter().all(|need| done.contains(need)));
            if ready && !done.contains(name) {
                done.insert(name.clone());
                ordered.push(name.clone());
            }
        }
        if ordered.len() == before {
            let stuck: Vec<&str> = names.difference(&done).map(String::as_str).collect();
            let rule = format!("they wait for one another in a circle: {}", stuck.join(", "));
            return Err(Error::new("services", rule));
        }
    }
    Ok(Order { names: ordered, jobs })
}
