//! What expressions select, subject by subject.

use super::*;

mod errors;
mod form;
mod properties;

/// A container instance with facts of one's choice.
#[derive(Debug, Clone)]
struct Instance {
    connected: bool,
    version: Option<String>,
    ec2: Option<String>,
    registered: Timestamp,
    running: u64,
    attributes: Vec<(String, Option<String>)>,
    groups: Vec<String>,
}

impl InstanceFacts for Instance {
    fn agent_connected(&self) -> bool {
        self.connected
    }

    fn agent_version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    fn ec2_instance_id(&self) -> Option<Cow<'_, str>> {
        self.ec2.as_deref().map(Cow::Borrowed)
    }

    fn registered_at(&self) -> Timestamp {
        self.registered
    }

    fn running_tasks_count(&self) -> u64 {
        self.running
    }

    fn attribute(&self, name: &str) -> Option<Option<&str>> {
        let (_, value) = self.attributes.iter().find(|(present, _)| present == name)?;
        Some(value.as_deref())
    }

    fn any_task_group(&self, test: &mut dyn FnMut(&str) -> bool) -> bool {
        self.groups.iter().any(|group| test(group))
    }
}

fn instance() -> Instance {
    let attribute = |(name, value): (&str, Option<&str>)| (name.to_owned(), value.map(str::to_owned));
    Instance {
        connected: true,
        version: Some("1.14.5".to_owned()),
        ec2: Some("i-abcd1234".to_owned()),
        // 2018-06-18T22:28:28.250Z
        registered: Timestamp::from_millis(1_529_360_908_250),
        running: 3,
        attributes: [
            ("ecs.instance-type", Some("g2.xlarge")),
            ("ecs.availability-zone", Some("us-east-1a")),
            ("ecs.os-type", Some("linux")),
            ("ecs.capability.selinux", None),
            ("memory-gb", Some("64")),
            ("kernel", Some("5.10.3")),
            ("note", Some("it's \"new\"")),
            ("rack", Some("b: 7 and up")),
            ("word", Some("and")),
        ]
        .map(attribute)
        .to_vec(),
        groups: vec!["service:production".to_owned(), "family:batch".to_owned()],
    }
}

fn parsed(expression: &str) -> Expression {
    Expression::parse(expression).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Each expression gives the answer for [`instance`].
fn check(expressions: &[(&str, bool)]) {
    check_on(&instance(), expressions);
}

fn check_on(instance: &Instance, expressions: &[(&str, bool)]) {
    for (expression, expected) in expressions {
        assert_eq!(parsed(expression).matches(instance), *expected, "{expression}");
    }
}

#[test]
fn the_examples_of_the_guide() {
    check(&[
        ("attribute:ecs.instance-type == t2.small", false),
        ("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]", true),
        (
            "attribute:ecs.instance-type =~ g2.* and attribute:ecs.availability-zone != us-east-1d",
            true,
        ),
        ("task:group == service:production", true),
        ("not(task:group == database)", true),
        ("runningTasksCount == 1", false),
        ("agentVersion < 1.14.5", false),
        ("registeredAt < 2018-02-13", false),
        ("ec2InstanceId in ['i-abcd1234', 'i-wxyx7890']", true),
        ("attribute:stack != prod", true),
    ]);
}

#[test]
fn signs_and_words_mean_the_same() {
    for (sign, word) in [
        ("attribute:a == b", "attribute:a equals b"),
        ("attribute:a != b", "attribute:a not_equals b"),
        ("attribute:a > b", "attribute:a greater_than b"),
        ("attribute:a >= b", "attribute:a greater_than_equal b"),
        ("attribute:a < b", "attribute:a less_than b"),
        ("attribute:a <= b", "attribute:a less_than_equal b"),
        ("attribute:a !exists", "attribute:a not_exists"),
        ("attribute:a !in [b]", "attribute:a not_in [b]"),
        ("attribute:a =~ b", "attribute:a matches b"),
        ("attribute:a !~ b", "attribute:a not_matches b"),
        (
            "attribute:a exists && attribute:b exists",
            "attribute:a exists and attribute:b exists",
        ),
        (
            "attribute:a exists || attribute:b exists",
            "attribute:a exists or attribute:b exists",
        ),
        ("!attribute:a exists", "not attribute:a exists"),
    ] {
        assert_eq!(parsed(sign), parsed(word), "{sign}");
    }
    assert_ne!(parsed("attribute:a == b"), parsed("attribute:a != b"));
    assert_ne!(parsed("attribute:a =~ b"), parsed("attribute:a =~ c"));
}

#[test]
fn attributes() {
    check(&[
        ("attribute:ecs.os-type == linux", true),
        ("attribute:ecs.os-type == Linux", false),
        ("attribute:ecs.os-type != linux", false),
        ("attribute:ecs.os-type in [windows]", false),
        ("attribute:ecs.os-type !in [windows]", true),
        ("attribute:ecs.os-type exists", true),
        ("attribute:ecs.os-type !exists", false),
        // Absent.
        ("attribute:absent == x", false),
        ("attribute:absent != x", true),
        ("attribute:absent !in [x]", true),
        ("attribute:absent !~ .*", true),
        ("attribute:absent =~ .*", false),
        ("attribute:absent exists", false),
        ("attribute:absent !exists", true),
        // Present without a value.
        ("attribute:ecs.capability.selinux exists", true),
        ("attribute:ecs.capability.selinux == ''", false),
        ("attribute:ecs.capability.selinux =~ .*", false),
        ("attribute:ecs.capability.selinux != x", true),
        ("attribute:ecs.capability.selinux >= ''", false),
    ]);
}

#[test]
fn orders_of_attributes() {
    check(&[
        // As numbers: text would have 64 above 128.
        ("attribute:memory-gb < 128", true),
        ("attribute:memory-gb > 128", false),
        ("attribute:memory-gb >= 64", true),
        ("attribute:memory-gb <= 64.0", true),
        ("attribute:memory-gb > 64", false),
        ("attribute:kernel > 5.9", true),
        ("attribute:kernel >= '5.10.4'", false),
        // No number, so on neither side of one.
        ("attribute:ecs.os-type > 5", false),
        ("attribute:ecs.os-type <= 5", false),
        // As text.
        ("attribute:ecs.os-type > aix", true),
        ("attribute:ecs.os-type >= linux", true),
        ("attribute:ecs.os-type < linux", false),
        ("attribute:absent < zzz", false),
        ("attribute:absent >= 0", false),
    ]);
}

#[test]
fn agents() {
    check(&[
        ("agentConnected == true", true),
        ("agentConnected != true", false),
        ("agentConnected in [true, false]", true),
        ("agentConnected !in ['false']", true),
        ("agentConnected =~ t.*", true),
        ("agentConnected !~ 'true|false'", false),
        ("agentVersion == 1.14.5", true),
        ("agentVersion == 1.14.5.0", true),
        ("agentVersion < 1.14.10", true),
        ("agentVersion >= 1.9", true),
        ("agentVersion > 1.14", true),
        ("agentVersion <= 1", false),
        ("agentVersion != 1.14", true),
    ]);
    let agent = |version: Option<&str>| Instance {
        version: version.map(str::to_owned),
        ..instance()
    };
    check_on(
        &agent(Some("v1.80.0-rc1+x")),
        &[("agentVersion == 1.80", true), ("agentVersion > 1.80", false)],
    );
    for unknown in [None, Some("latest"), Some("")] {
        check_on(
            &agent(unknown),
            &[
                ("agentVersion != 1", true),
                ("agentVersion == 0", false),
                ("agentVersion >= 0", false),
                ("agentVersion < 99", false),
            ],
        );
    }
}

#[test]
fn instances() {
    check(&[
        ("ec2InstanceId == i-abcd1234", true),
        ("ec2InstanceId =~ i-[a-d]+\\d{4}", true),
        ("ec2InstanceId !in [i-1]", true),
        ("runningTasksCount >= 3", true),
        ("runningTasksCount > 3", false),
        ("runningTasksCount<=03", true),
        ("runningTasksCount < 18446744073709551615", true),
        ("runningTasksCount != 3", false),
    ]);
    let elsewhere = Instance {
        ec2: None,
        ..instance()
    };
    check_on(
        &elsewhere,
        &[
            ("ec2InstanceId == x", false),
            ("ec2InstanceId =~ .*", false),
            ("ec2InstanceId != x", true),
        ],
    );
}

#[test]
fn dates() {
    check(&[
        ("registeredAt == 2018-06-18T22:28:28+00:00", true),
        ("registeredAt == 2018-06-18T22:28:28Z", true),
        ("registeredAt == 2018-06-18T22:28:28", true),
        ("registeredAt == '2018-06-19T00:28:28+02:00'", true),
        ("registeredAt == 2018-06-18T17:58:28-04:30", true),
        ("registeredAt != 2018-06-18T22:28:28", false),
        ("registeredAt > 2018-06-18T22:28:28", false),
        ("registeredAt >= 2018-06-18T22:28:28", true),
        ("registeredAt < 2018-06-18T22:28:29", true),
        ("registeredAt > 2018-06-18", true),
        ("registeredAt <= 2018-06-18", false),
        ("registeredAt >= 0000-01-01", true),
        ("registeredAt < 9999-12-30", true),
    ]);
    let before_the_epoch = Instance {
        registered: Timestamp::from_millis(-1),
        ..instance()
    };
    check_on(&before_the_epoch, &[("registeredAt == 1969-12-31T23:59:59Z", true)]);
}

#[test]
fn task_groups() {
    check(&[
        ("task:group == family:batch", true),
        ("task:group != family:batch", false),
        ("task:group != service:other", true),
        ("task:group in [x, service:production]", true),
        ("task:group !in [x, y]", true),
        ("task:group =~ service:.*", true),
        ("task:group !~ service:.*", false),
        ("task:group exists", true),
    ]);
    let empty = Instance {
        groups: Vec::new(),
        ..instance()
    };
    check_on(
        &empty,
        &[
            ("task:group exists", false),
            ("task:group !exists", true),
            ("task:group != x", true),
            ("task:group =~ .*", false),
        ],
    );
}

#[test]
fn values_with_and_without_quotes() {
    check(&[
        ("attribute:rack == 'b: 7 and up'", true),
        ("attribute:rack == \"b: 7 and up\"", true),
        ("attribute:word == 'and'", true),
        ("attribute:note =~ \"it's .*\"", true),
        ("attribute:ecs.os-type in['windows',linux]", true),
        ("attribute:ecs.os-type in [ windows ,\tlinux\n]", true),
        ("attribute:ecs.os-type==linux", true),
        ("(attribute:ecs.os-type==linux)", true),
        (
            "attribute:ecs.os-type==linux&&runningTasksCount>2||runningTasksCount==0",
            true,
        ),
        ("  attribute:ecs.os-type\n==\tlinux ", true),
        ("attribute:ecs.os-type equals'linux'", true),
        // Patterns may have brackets, commas and pairs of parentheses without quotes.
        ("attribute:ecs.instance-type =~ (p[2,3]|g[2,3]).*", true),
        ("(attribute:ecs.instance-type =~ (p|g)2.(x)large)", true),
        ("attribute:ecs.instance-type =~ [g]2.* && runningTasksCount > 1", true),
        ("(attribute:ecs.instance-type !~ \\(.*)", true),
    ]);
}

#[test]
fn precedence() {
    // Each of the three names a truth value.
    check(&[
        (
            "attribute:t exists or attribute:word exists and attribute:f exists",
            false,
        ),
        (
            "attribute:word exists or attribute:f exists and attribute:f exists",
            true,
        ),
        (
            "(attribute:word exists or attribute:f exists) and attribute:f exists",
            false,
        ),
        ("not attribute:f exists or attribute:word exists", true),
        ("not (attribute:f exists or attribute:word exists)", false),
        ("not attribute:word exists and attribute:f exists", false),
        ("not (attribute:word exists and attribute:f exists)", true),
        ("not not attribute:word exists", true),
        ("!(!(attribute:word exists))", true),
    ]);
}
