//! Which events are wanted.

use berth_model::arn::Namespace;
use berth_model::fault::{Fault, shortened};
use berth_model::name::ClusterName;
use berth_scheduler_core::event::DetailType;

use super::Told;

/// Which events are wanted: all of them, or those that are all that is named.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    cluster: Option<ClusterName>,
    /// Any of these; all kinds where there is none.
    kinds: Vec<DetailType>,
    resource: Option<String>,
    group: Option<String>,
}

impl Filter {
    /// Reads what a request names; what is empty counts as absent.
    ///
    /// # Errors
    /// `InvalidParameterException` for a cluster that cannot be one, or a kind that there is not.
    pub fn read(
        namespace: &Namespace,
        cluster: Option<&str>,
        kinds: &[String],
        resource: Option<&str>,
        group: Option<&str>,
    ) -> Result<Self, Fault> {
        let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let kind = |name: &String| {
            DetailType::from_name(name).ok_or_else(|| {
                let names = DetailType::ALL.map(|kind| format!("{} ({})", kind.short(), kind.name()));
                Fault::invalid(format!(
                    "detail-type '{}' should be one of [{}].",
                    shortened(name),
                    names.join(", ")
                ))
            })
        };
        Ok(Self {
            cluster: match given(cluster) {
                Some(cluster) => Some(namespace.parse_cluster(Some(&cluster))?),
                None => None,
            },
            kinds: kinds.iter().map(kind).collect::<Result<_, _>>()?,
            resource: given(resource),
            group: given(group),
        })
    }

    /// Whether the event is wanted.
    #[must_use]
    pub fn wants(&self, event: &Told) -> bool {
        let is_about = |resource: &String| {
            let ends = event.resource.strip_suffix(resource.as_str());
            ends.is_some_and(|before| before.is_empty() || before.ends_with('/'))
        };
        self.cluster.as_ref().is_none_or(|cluster| *cluster == event.cluster)
            && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.resource.as_ref().is_none_or(is_about)
            && self
                .group
                .as_ref()
                .is_none_or(|group| event.group.as_ref() == Some(group))
    }
}
