//! The log drivers that tasks may use.

use std::path::Path;

use crate::config::Config;
use crate::docker::DockerInfo;

/// The driver of CloudWatch, which nearly every task definition names that was written for AWS.
const AWSLOGS: &str = "awslogs";
/// Where Docker finds the host's journal.
const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// What the operator says of log drivers: their names, or nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogDrivers(Vec<String>);

impl LogDrivers {
    pub(crate) fn of(config: &Config) -> Self {
        Self(config.log_drivers.clone())
    }

    /// Those that tasks may name.
    pub(super) fn names<'a>(&'a self, docker: &'a DockerInfo) -> impl Iterator<Item = &'a str> {
        self.with_or_without_journal(docker, Path::new(JOURNAL_SOCKET).exists())
    }

    /// What the operator says, as far as Docker has it. Where he says nothing, none that needs an account with a cloud, which
    /// only he can know of, nor the journal where there is none; and CloudWatch's, whose place another takes.
    fn with_or_without_journal<'a>(&'a self, docker: &'a DockerInfo, journal: bool) -> impl Iterator<Item = &'a str> {
        let works = move |driver: &str| match driver {
            "gcplogs" => false,
            "journald" => journal,
            _ => true,
        };
        let is_wanted = move |driver: &&str| {
            if self.0.is_empty() {
                works(driver)
            } else {
                self.0.iter().any(|given| given == driver)
            }
        };
        // Docker always has `none` and seldom lists it.
        let listed = docker.log_drivers.iter().map(String::as_str);
        let listed = listed.filter(|driver| !["none", AWSLOGS].contains(driver));
        let has_own = docker.log_drivers.iter().any(|driver| driver == AWSLOGS);
        let awslogs = (has_own || self.0.is_empty()).then_some(AWSLOGS);
        listed.chain(awslogs).chain(["none"]).filter(is_wanted)
    }

    /// Whether Docker's default driver takes the place of the one that a task names: that of CloudWatch, which would not start a
    /// container without an account. An operator who names it says that Docker has one.
    pub(crate) fn replaces(&self, driver: &str) -> bool {
        driver == AWSLOGS && !self.0.iter().any(|given| given == AWSLOGS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::docker;

    fn given(names: &[&str]) -> LogDrivers {
        LogDrivers(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn log_drivers_are_those_that_work_here_or_those_that_the_operator_names() {
        let docker = docker();
        let names = |given: &LogDrivers, journal| -> Vec<String> {
            let names = given.with_or_without_journal(&docker, journal);
            names.map(str::to_owned).collect()
        };
        let nothing = given(&[]);
        assert_eq!(names(&nothing, false), ["json-file", "syslog", "awslogs", "none"]);
        assert_eq!(
            names(&nothing, true),
            ["journald", "json-file", "syslog", "awslogs", "none"]
        );
        assert_eq!(
            names(&given(&["awslogs", "splunk", "none"]), false),
            ["awslogs", "none"]
        );
        assert_eq!(names(&given(&["json-file"]), true), ["json-file"]);
    }

    #[test]
    fn the_driver_of_cloudwatch_is_replaced_unless_the_operator_names_it() {
        assert!(given(&[]).replaces("awslogs"));
        assert!(given(&["json-file"]).replaces("awslogs"));
        assert!(!given(&["awslogs"]).replaces("awslogs"));
        assert!(!given(&[]).replaces("splunk"));
    }
}
