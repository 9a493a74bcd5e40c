//! The cluster query language.

use std::borrow::Cow;
use std::cell::Cell;

use berth_model::query::{Expression, InstanceFacts, MAX_LENGTH};
use berth_model::time::Timestamp;

pub(crate) const TOKENS: &[&str] = &[
    "attribute:a",
    "attribute:ecs.instance-type",
    "task:group",
    "agentConnected",
    "agentVersion",
    "registeredAt",
    "runningTasksCount",
    "ec2InstanceId",
    " == ",
    " != ",
    " >= ",
    " < ",
    " =~ ",
    " !~ ",
    " in ",
    " !in ",
    " not_in ",
    " exists",
    " !exists",
    " equals ",
    " not_equals ",
    " matches ",
    " greater_than_equal ",
    " and ",
    " && ",
    " or ",
    " || ",
    "not ",
    "!",
    "(",
    ")",
    "[",
    "]",
    ",",
    "'",
    "\"",
    "true",
    "1.14.5",
    "2018-06-18T22:28:28+00:00",
    ".*",
    "\\d",
    "\\Q",
    "\\E",
    "\\p{L}",
    "\\p{Alpha}",
    "(?i)",
    "(?:",
    "(?<n>",
    "{1,40}",
    "{2}",
    "*",
    "+",
    "?",
    "[a-z&&[^b]]",
    "^",
    "$",
    "|",
];

/// An instance that counts how often it is asked.
struct Asked {
    times: Cell<usize>,
    attribute: Option<Option<&'static str>>,
    group: &'static str,
    version: Option<&'static str>,
}

impl Asked {
    fn tick(&self) {
        self.times.set(self.times.get() + 1);
    }
}

impl InstanceFacts for Asked {
    fn agent_connected(&self) -> bool {
        self.tick();
        true
    }

    fn agent_version(&self) -> Option<&str> {
        self.tick();
        self.version
    }

    fn ec2_instance_id(&self) -> Option<Cow<'_, str>> {
        self.tick();
        Some("i-0abc".into())
    }

    fn registered_at(&self) -> Timestamp {
        self.tick();
        Timestamp::from_millis(1_529_360_908_250)
    }

    fn running_tasks_count(&self) -> u64 {
        self.tick();
        3
    }

    fn attribute(&self, _name: &str) -> Option<Option<&str>> {
        self.tick();
        self.attribute
    }

    fn any_task_group(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        self.tick();
        test(self.group)
    }
}

fn instances() -> [Asked; 3] {
    let asked = |attribute, group, version| Asked {
        times: Cell::new(0),
        attribute,
        group,
        version,
    };
    [
        asked(Some(Some("g2.xlarge")), "service:web", Some("1.14.5")),
        asked(Some(None), "family:db", None),
        asked(None, "", Some("latest")),
    ]
}

/// What is read has a normal form that means the same and reads back; it asks an instance at most once a character. What
/// is refused points into the text.
pub(crate) fn check(text: &str) -> Result<bool, String> {
    let expression = match Expression::parse(text) {
        Ok(expression) => expression,
        Err(error) => {
            let before = text
                .get(..error.offset())
                .ok_or("the error is not at a character of the text")?;
            let character = before.chars().count() + 1;
            let lines = format!("{error:#}").lines().count();
            return match (character == error.character(), lines >= 3) {
                (true, true) => Ok(false),
                (false, _) => Err(format!("the error is at {character}, not at {}", error.character())),
                (true, false) => Err(format!("the message has {lines} lines")),
            };
        }
    };
    let normal = expression.to_string();
    let again = match Expression::parse(&normal) {
        Ok(again) => again,
        Err(_) if normal.chars().count() > MAX_LENGTH => return Ok(true),
        Err(error) => return Err(format!("its normal form is refused: {normal}: {error}")),
    };
    if again != expression || again.to_string() != normal {
        return Err(format!("its normal form means something else: {normal}"));
    }
    for instance in instances() {
        let matches = expression.matches(&instance);
        let asked = instance.times.get();
        if asked > text.len() {
            return Err(format!("it asks {asked} times"));
        }
        if again.matches(&instance) != matches {
            return Err(format!("its normal form selects other instances: {normal}"));
        }
    }
    Ok(true)
}
