//! Documents that are refused, calls that are judged, and the judgement held against one that is made in the plainest way.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const ACTIONS: [&str; 5] = [
    "ecs:RunTask",
    "ecs:StopTask",
    "ecs:ListTasks",
    "application-autoscaling:PutScalingPolicy",
    "berth:History",
];

fn parse(document: &Value) -> Result<Policy, String> {
    Policy::parse(&document.to_string(), &ACTIONS).map_err(|fault| fault.message)
}

fn one(statement: &Value) -> Result<Policy, String> {
    parse(&json!({"Version": "2012-10-17", "Statement": [statement]}))
}

fn judge(policy: &Policy, action: &str, resource: &str, context: &Context) -> Verdict {
    policy.judge(&Access {
        action,
        resource,
        context,
    })
}

#[test]
fn a_policy_allows_what_it_says_and_nothing_else() {
    let policy = parse(&json!({
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["ecs:Run*", "ECS:stoptask"], "Resource": "arn:aws:ecs:*:*:task-definition/web:*"},
            {"Sid": "NoBatch", "Effect": "Deny", "Action": "ecs:*", "Resource": "*",
             "Condition": {"ArnEquals": {"ecs:cluster": "arn:aws:ecs:us-east-1:000000000000:cluster/batch"}}},
            {"Effect": "Deny", "NotAction": ["ecs:*", "berth:*"], "NotResource": "arn:aws:ecs:*:*:service/*"}
        ]
    }))
    .unwrap();
    let web = "arn:aws:ecs:us-east-1:000000000000:task-definition/web:3";
    let nothing = Context::default();
    let cluster = |name: &str| {
        Context::default().with(
            "ECS:Cluster",
            format!("arn:aws:ecs:us-east-1:000000000000:cluster/{name}"),
        )
    };
    assert_eq!(judge(&policy, "ecs:RunTask", web, &nothing), Verdict::Allowed);
    assert_eq!(judge(&policy, "ecs:StopTask", web, &cluster("prod")), Verdict::Allowed);
    assert_eq!(judge(&policy, "ecs:ListTasks", web, &nothing), Verdict::NotAllowed);
    assert_eq!(judge(&policy, "ecs:RunTask", "*", &nothing), Verdict::NotAllowed);
    let denied = Verdict::Denied("statement 'NoBatch'".into());
    assert_eq!(judge(&policy, "ecs:RunTask", web, &cluster("batch")), denied);
    let scaling = "application-autoscaling:PutScalingPolicy";
    assert_eq!(
        judge(&policy, scaling, web, &nothing),
        Verdict::Denied("statement 3".into())
    );
    let service = "arn:aws:ecs:us-east-1:000000000000:service/prod/web";
    assert_eq!(judge(&policy, scaling, service, &nothing), Verdict::NotAllowed);
    let everything = Policy::everything();
    assert_eq!(judge(&everything, scaling, "*", &nothing), Verdict::Allowed);
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let allow = |more: Value| {
        let mut statement = json!({"Effect": "Allow", "Action": "ecs:RunTask", "Resource": "*"});
        for (name, value) in more.as_object().unwrap() {
            match value.is_null() {
                true => drop(statement.as_object_mut().unwrap().remove(name)),
                false => statement[name] = value.clone(),
            }
        }
        statement
    };
    let when = |operator: &str, key: &str, value: Value| allow(json!({"Condition": {operator: {key: value}}}));
    for (statement, says) in [
        (
            allow(json!({"Action": "iam:PassRole"})),
            "statement 1: Action 'iam:PassRole' is no action",
        ),
        (
            allow(json!({"Action": ["ecs:RunTask", "ecs:Rum*"]})),
            "Action 'ecs:Rum*'",
        ),
        (allow(json!({"Action": []})), "Action must have at least one"),
        (allow(json!({"Action": null})), "exactly one of Action and NotAction"),
        (
            allow(json!({"NotAction": "ecs:*"})),
            "exactly one of Action and NotAction",
        ),
        (
            allow(json!({"Resource": null})),
            "exactly one of Resource and NotResource",
        ),
        (
            allow(json!({"Resource": "web"})),
            "Resource 'web' must be '*' or an ARN",
        ),
        (allow(json!({"Resource": "arn:aws:ecs:*"})), "six parts"),
        (
            allow(json!({"Resource": "arn:aws:s3:::bucket"})),
            "of a service that is not here",
        ),
        (
            allow(json!({"Resource": "arn:aws:ecs:*:*:task/${aws:username}"})),
            "policy variable",
        ),
        (allow(json!({"Sid": "a b", "Effect": "Deny"})), "Sid 'a b'"),
        (allow(json!({"Effect": "allow"})), "unknown variant `allow`"),
        (allow(json!({"Principal": "*"})), "unknown field `Principal`"),
        (
            when("NumericEquals", "ecs:cluster", json!("1")),
            "operator 'NumericEquals'",
        ),
        (
            when("ForAnyValue:Null", "ecs:cluster", json!("true")),
            "operator 'ForAnyValue:Null'",
        ),
        (when("StringEquals", "ecs:clusters", json!("x")), "key 'ecs:clusters'"),
        (
            when("StringEquals", "aws:ResourceTag/", json!("x")),
            "key 'aws:ResourceTag/'",
        ),
        (when("StringEquals", "ecs:cluster", json!([])), "must have a value"),
        (when("ArnEquals", "ecs:cluster", json!("prod")), "'prod' must be an ARN"),
        (
            when("IpAddress", "aws:SourceIp", json!("10.0.0.0/33")),
            "'10.0.0.0/33' must be an address",
        ),
        (
            when("Null", "ecs:cluster", json!("maybe")),
            "'maybe' must be true or false",
        ),
    ] {
        let wrong = one(&statement).unwrap_err();
        assert!(wrong.contains(says), "{statement}: {wrong}");
    }
    let fine = allow(json!({"Sid": "A"}));
    for (document, says) in [
        (
            json!({"Version": "2025", "Statement": fine}),
            "Version '2025' must be 2012-10-17",
        ),
        (json!({"Statement": []}), "at least one statement"),
        (json!({"Version": "2012-10-17"}), "missing field `Statement`"),
        (json!({"Statement": [fine, fine]}), "Sid 'A' stands twice"),
        (json!([]), "policy is no policy document"),
    ] {
        let wrong = parse(&document).unwrap_err();
        assert!(wrong.contains(says), "{document}: {wrong}");
    }
    let twice = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*",
        "Condition": {"StringEquals": {"ecs:cluster": "a"}, "StringEquals": {"ecs:cluster": "b"}}}}"#;
    let wrong = Policy::parse(twice, &ACTIONS).unwrap_err().message;
    assert!(wrong.contains("'StringEquals' stands twice"), "{wrong}");
    let long = Policy::parse(&" ".repeat(LONGEST + 1), &ACTIONS).unwrap_err().message;
    assert!(long.contains("10241 characters"), "{long}");
}

#[test]
fn conditions_hold_as_iam_has_them() {
    let holds = |operator: &str, wanted: Value, values: &[&str]| {
        let condition = json!({operator: {"aws:TagKeys": wanted}});
        let policy = one(&json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition})).unwrap();
        let mut context = Context::default();
        for value in values {
            context.add("aws:TagKeys", *value);
        }
        judge(&policy, "ecs:RunTask", "*", &context) == Verdict::Allowed
    };
    for (operator, wanted, values, expected) in [
        ("StringEquals", json!(["a", "b"]), &["b"][..], true),
        ("StringEquals", json!("a"), &["A"], false),
        ("StringEquals", json!("a*"), &["ab"], false),
        ("StringEquals", json!("a"), &[], false),
        ("StringEqualsIfExists", json!("a"), &[], true),
        ("StringEqualsIfExists", json!("a"), &["b"], false),
        ("StringNotEquals", json!(["a", "b"]), &["b"], false),
        ("StringNotEquals", json!("a"), &[], true),
        ("StringEqualsIgnoreCase", json!("a"), &["A"], true),
        ("StringNotEqualsIgnoreCase", json!("a"), &["A"], false),
        ("StringLike", json!("a?c*"), &["abcd"], true),
        ("StringNotLike", json!("a*"), &["abcd"], false),
        (
            "ArnLike",
            json!("arn:aws:ecs:*:*:cluster/p*"),
            &["arn:aws:ecs:r:0:cluster/prod"],
            true,
        ),
        (
            "ArnLike",
            json!("arn:aws:*:*:*:*"),
            &["arn:aws:ecs:r:0:cluster/prod"],
            true,
        ),
        (
            "ArnNotLike",
            json!("arn:aws:ecs:*:*:cluster/p*"),
            &["arn:aws:ecs:r:0:cluster/test"],
            true,
        ),
        ("IpAddress", json!("10.1.0.0/16"), &["10.1.255.3"], true),
        ("IpAddress", json!("10.1.0.0/16"), &["::ffff:10.1.2.3"], true),
        ("IpAddress", json!("10.1.0.0/16"), &["10.2.0.1"], false),
        ("IpAddress", json!("0.0.0.0/0"), &["10.2.0.1"], true),
        ("IpAddress", json!("fd00::/8"), &["fd12::1"], true),
        ("NotIpAddress", json!("10.0.0.1"), &["10.0.0.2"], true),
        ("Null", json!("true"), &[], true),
        ("Null", json!(false), &[], false),
        ("Null", json!(false), &["a"], true),
        ("ForAllValues:StringEquals", json!(["a", "b"]), &["a", "b"], true),
        ("ForAllValues:StringEquals", json!(["a", "b"]), &["a", "c"], false),
        ("ForAllValues:StringEquals", json!("a"), &[], true),
        ("ForAnyValue:StringEquals", json!("a"), &["c", "a"], true),
        ("ForAnyValue:StringEquals", json!("a"), &[], false),
        ("ForAnyValue:StringNotEquals", json!("a"), &["a", "c"], true),
        ("ForAllValues:StringNotEquals", json!("a"), &["a", "c"], false),
    ] {
        assert_eq!(
            holds(operator, wanted.clone(), values),
            expected,
            "{operator} {wanted} {values:?}"
        );
    }
}

#[test]
fn a_document_is_written_as_it_was_read() {
    let document = json!({
        "Version": "2012-10-17",
        "Id": "x",
        "Statement": {"Effect": "Allow", "NotAction": ["ecs:RunTask"], "NotResource": "*",
                      "Condition": {"Null": {"aws:RequestTag/team": "false"}}}
    });
    let policy = parse(&document).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&policy.to_json()).unwrap(), document);
    assert_eq!(serde_json::from_str::<Policy>(&policy.to_json()).unwrap(), policy);
}

/// The plainest way to match a pattern.
fn naive_glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            naive_glob(rest, text)
                || text
                    .split_first()
                    .is_some_and(|(_, behind)| naive_glob(pattern, behind))
        }
        (Some((b'?', rest)), Some((_, behind))) => naive_glob(rest, behind),
        (Some((one, rest)), Some((other, behind))) => one == other && naive_glob(rest, behind),
        _ => false,
    }
}

/// The plainest way to judge: from the JSON, as IAM's evaluation logic is written down.
fn naive_judge(document: &Value, action: &str, resource: &str, cluster: Option<&str>) -> Verdict {
    let glob = |pattern: &Value, text: &str| {
        let pattern = pattern.as_str().unwrap();
        naive_glob(pattern.as_bytes(), text.as_bytes())
    };
    let arn = |pattern: &Value, text: &str| {
        let pattern = pattern.as_str().unwrap();
        let parts = |text: &str| text.splitn(6, ':').map(str::to_owned).collect::<Vec<_>>();
        let (patterns, texts) = (parts(pattern), parts(text));
        pattern == "*"
            || (patterns.len() == texts.len()
                && patterns
                    .iter()
                    .zip(texts)
                    .all(|(pattern, text)| naive_glob(pattern.as_bytes(), text.as_bytes())))
    };
    let matching = |statement: &&Value| {
        let list = |name: &str| statement[name].as_array();
        let action = match list("Action") {
            Some(patterns) => patterns.iter().any(|pattern| glob(pattern, action)),
            None => !list("NotAction").unwrap().iter().any(|pattern| glob(pattern, action)),
        };
        let resource = match list("Resource") {
            Some(patterns) => patterns.iter().any(|pattern| arn(pattern, resource)),
            None => !list("NotResource")
                .unwrap()
                .iter()
                .any(|pattern| arn(pattern, resource)),
        };
        let like = &statement["Condition"]["StringLike"]["ecs:cluster"];
        let unlike = &statement["Condition"]["StringNotLike"]["ecs:cluster"];
        let like = like.is_null() || cluster.is_some_and(|cluster| glob(like, cluster));
        let unlike = unlike.is_null() || !cluster.is_some_and(|cluster| glob(unlike, cluster));
        action && resource && like && unlike
    };
    let statements = document["Statement"].as_array().unwrap();
    let effects = |effect: &'static str| move |statement: &&Value| statement["Effect"] == effect;
    let denying = statements
        .iter()
        .position(|statement| effects("Deny")(&statement) && matching(&statement));
    let allowing = statements
        .iter()
        .filter(effects("Allow"))
        .any(|statement| matching(&statement));
    match (denying, allowing) {
        (Some(at), _) => Verdict::Denied(format!("statement {}", at + 1)),
        (None, true) => Verdict::Allowed,
        (None, false) => Verdict::NotAllowed,
    }
}

fn a_statement() -> impl Strategy<Value = Value> {
    let action = prop::sample::select(vec![
        "*",
        "ecs:*",
        "ecs:Run*",
        "ecs:?topTask",
        "*Task",
        "ecs:ListTasks",
        "berth:*",
    ]);
    let resource = "(\\*|arn:(aws|\\*):(ecs|\\*):[ab*?]{0,2}:[01*?]{0,2}:[ab/*?:]{0,4})";
    let actions = prop::collection::vec(action, 1..3);
    let resources = prop::collection::vec(resource, 1..3);
    let cluster = prop::option::of("[ab*?]{1,3}");
    (any::<[bool; 3]>(), actions, resources, cluster.clone(), cluster).prop_map(
        |([deny, not_action, not_resource], actions, resources, like, unlike)| {
            let mut statement = json!({
                "Effect": if deny { "Deny" } else { "Allow" },
                (if not_action { "NotAction" } else { "Action" }): actions,
                (if not_resource { "NotResource" } else { "Resource" }): resources,
            });
            for (operator, pattern) in [("StringLike", like), ("StringNotLike", unlike)] {
                if let Some(pattern) = pattern {
                    statement["Condition"][operator]["ecs:cluster"] = json!(pattern);
                }
            }
            statement
        },
    )
}

proptest! {
    #[test]
    fn judgements_are_those_of_the_plainest_way(
        statements in prop::collection::vec(a_statement(), 1..5),
        action in prop::sample::select(ACTIONS.to_vec()),
        resource in "(\\*|arn:aws:ecs:[ab]{0,2}:[01]{0,2}:[ab/:]{0,4})",
        cluster in prop::option::of("[ab]{1,3}"),
    ) {
        let document = json!({"Version": "2012-10-17", "Statement": statements});
        let policy = parse(&document).unwrap();
        let mut context = Context::default();
        if let Some(cluster) = &cluster {
            context.add("ecs:cluster", cluster);
        }
        let expected = naive_judge(&document, action, &resource, cluster.as_deref());
        prop_assert_eq!(judge(&policy, action, &resource, &context), expected);
    }

    #[test]
    fn patterns_match_what_they_match_in_the_plainest_way(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
        prop_assert_eq!(glob::matches(&pattern, &text), naive_glob(pattern.as_bytes(), text.as_bytes()));
    }
}
