//! The summary in words.

use std::fmt::{self, Display};

use super::{Cause, Explanation};
use crate::place::Misfit;

impl Explanation {
    /// One sentence in the words of ECS's service events, for "was unable to place a task because ..." (ECS Developer
    /// Guide, "Viewing Amazon ECS service event messages").
    #[must_use]
    pub fn summary(&self) -> String {
        const NONE_MET: &str = "no container instance met all of its requirements.";
        let Some(closest) = &self.closest else {
            return format!("{NONE_MET} Reason: No Container Instances were found in your cluster.");
        };
        let Some(misfit) = closest.misfits.first() else {
            return NONE_MET.to_owned();
        };
        let lacks = match misfit {
            Misfit::Cpu { .. } => "has insufficient CPU units available".to_owned(),
            Misfit::Memory { .. } => "has insufficient memory available".to_owned(),
            Misfit::Port { .. } => "is already using a port required by your task".to_owned(),
            Misfit::Attribute(_) => "is missing an attribute required by your task".to_owned(),
            Misfit::NotActive(_)
            | Misfit::Agent
            | Misfit::Provider(_)
            | Misfit::MemberOf(_)
            | Misfit::Distinct
            | Misfit::Gpu { .. } => {
                format!("encountered error \"{}\"", misfit.reason())
            }
        };
        let id = closest.instance;
        format!("{NONE_MET} The closest matching (container-instance {id}) {lacks}.")
    }
}

/// The whole of it, without a full stop: what is in the way, on how many instances, and where the least is missing.
impl Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.candidates {
            0 => f.write_str("there is no ACTIVE container instance")?,
            1 => f.write_str("1 container instance was considered")?,
            many => write!(f, "{many} container instances were considered")?,
        }
        let (clauses, rooms): (Vec<&Cause>, Vec<&Cause>) =
            self.causes.iter().partition(|cause| cause.misfit.is_of_clause());
        let mut separator = ": ";
        for cause in &clauses {
            write!(f, "{separator}{cause}")?;
            separator = "; ";
        }
        if !clauses.is_empty() && !rooms.is_empty() {
            write!(f, "; of the other {}:", self.eligible)?;
            separator = " ";
        }
        for cause in &rooms {
            write!(f, "{separator}{cause}")?;
            separator = "; ";
        }
        match self.draining {
            0 => Ok(()),
            1 => f.write_str("; 1 more is DRAINING"),
            many => write!(f, "; {many} more are DRAINING"),
        }
    }
}

/// `12 lack 512 MiB of memory, the closest, ID, lacks 40`.
impl Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, nearest) = (self.instances, self.nearest);
        let does = |one: &'static str, many: &'static str| if count == 1 { one } else { many };
        let lacks = |f: &mut fmt::Formatter<'_>, what: fmt::Arguments<'_>| {
            let missing = self.misfit.missing().unwrap_or(0);
            let lack = does("lacks", "lack");
            write!(f, "{lack} {what}, the closest, {nearest}, lacks {missing}")
        };
        write!(f, "{count} ")?;
        match &self.misfit {
            Misfit::NotActive(status) => write!(f, "{} {status}", does("is", "are")),
            Misfit::Agent => write!(f, "{} no connected agent", does("has", "have")),
            Misfit::Provider(name) => write!(f, "{} not of capacity provider {name}", does("is", "are")),
            Misfit::Attribute(name) => write!(f, "{} the attribute {name}", does("lacks", "lack")),
            Misfit::MemberOf(expression) => write!(f, "{} not satisfy {expression}", does("does", "do")),
            Misfit::Distinct => write!(f, "{} a task of the group already", does("has", "have")),
            Misfit::Cpu { needed, .. } => lacks(f, format_args!("{needed} CPU units")),
            Misfit::Memory { needed, .. } => lacks(f, format_args!("{needed} MiB of memory")),
            Misfit::Gpu { needed, .. } => lacks(f, format_args!("{needed} GPUs")),
            Misfit::Port { port, reserved } => {
                let has = does("has", "have");
                write!(f, "{has} port {}/{} ", port.port, port.protocol.name())?;
                match (reserved, self.holder) {
                    (true, _) => f.write_str("reserved by the host"),
                    (false, Some(task)) => write!(f, "taken, {nearest} by task {task}"),
                    (false, None) => f.write_str("taken"),
                }
            }
        }
    }
}
