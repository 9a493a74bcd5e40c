//! What an expression gives back: its normal form, its source, what it looks at.

use super::*;

#[test]
fn normal_form() {
    for (source, normal) in [
        ("attribute:a equals 'b'", "attribute:a == b"),
        (
            "attribute:a in ['b', \"c d\", \"it's\", 'and']",
            "attribute:a in [b, 'c d', \"it's\", 'and']",
        ),
        ("attribute:a == ''", "attribute:a == ''"),
        ("attribute:a =~ (x|y).*", "attribute:a =~ '(x|y).*'"),
        ("attribute:a not_matches g2.*", "attribute:a !~ g2.*"),
        ("attribute:a > 1.0", "attribute:a > 1"),
        ("attribute:a > 'x y'", "attribute:a > 'x y'"),
        ("agentVersion greater_than_equal 01.2.0", "agentVersion >= 1.2"),
        ("agentVersion != 0.0", "agentVersion != 0"),
        ("registeredAt < 2018-06-18", "registeredAt < 2018-06-18T00:00:00Z"),
        (
            "registeredAt < 2018-06-18T00:00:00+01:00",
            "registeredAt < 2018-06-17T23:00:00Z",
        ),
        ("runningTasksCount==007", "runningTasksCount == 7"),
        ("agentConnected not_in [true]", "agentConnected !in [true]"),
        ("ec2InstanceId matches i-.*", "ec2InstanceId =~ i-.*"),
        ("task:group not_exists", "task:group !exists"),
        (
            "((attribute:a exists)) && (attribute:b exists && attribute:c exists)",
            "attribute:a exists and attribute:b exists and attribute:c exists",
        ),
        (
            "attribute:a exists && (attribute:b exists || attribute:c exists)",
            "attribute:a exists and (attribute:b exists or attribute:c exists)",
        ),
        (
            "(attribute:a exists && attribute:b exists) || attribute:c exists",
            "attribute:a exists and attribute:b exists or attribute:c exists",
        ),
        (
            "!(attribute:a exists || !attribute:b exists)",
            "not (attribute:a exists or not attribute:b exists)",
        ),
    ] {
        let expression = parsed(source);
        assert_eq!(expression.to_string(), normal, "{source}");
        assert_eq!(parsed(normal), expression, "{source}");
        assert_eq!(expression.source(), source);
    }
}

#[test]
fn serde_keeps_the_source() {
    let source = "attribute:a   equals 'b'";
    let json = serde_json::to_string(&parsed(source)).unwrap();
    assert_eq!(json, format!("\"{source}\""));
    let read: Expression = serde_json::from_str(&json).unwrap();
    assert_eq!(read.source(), source);
    let error = serde_json::from_str::<Expression>("\"attribute:a ~ b\"").unwrap_err();
    assert!(error.to_string().contains("at character 13"), "{error}");
}

#[test]
fn mentions() {
    let expression = parsed("attribute:b == x and not (attribute:a exists or attribute:b == y)");
    assert_eq!(
        expression.mentions(),
        Mentions {
            attributes: ["a", "b"].into(),
            ..Mentions::default()
        }
    );
    assert!(parsed("agentVersion > 1").mentions().agent_version);
    assert!(!parsed("agentVersion > 1").mentions().per_instance);
    for own in [
        "agentConnected == true",
        "ec2InstanceId == x",
        "registeredAt > 2020-01-01",
        "runningTasksCount == 0",
        "task:group exists",
    ] {
        let expression = parsed(own);
        let mentions = expression.mentions();
        assert!(
            mentions.per_instance && !mentions.agent_version && mentions.attributes.is_empty(),
            "{own}"
        );
    }
}
