//! What the messages say, and where they point.

use super::*;

/// Each expression is refused at the character, with the message.
fn check(expressions: &[(&str, usize, &str)]) {
    for (expression, character, message) in expressions {
        let error = refused(expression);
        assert_eq!(error.reason().to_string(), *message, "{expression}");
        assert_eq!(error.character(), *character, "{expression}");
    }
}

fn refused(expression: &str) -> ParseError {
    match Expression::parse(expression) {
        Ok(read) => panic!("{expression} was read as {read}"),
        Err(error) => error,
    }
}

/// Each expression is refused, and the message suggests the word.
fn check_suggestion(expressions: &[(&str, Option<&str>)]) {
    for (expression, expected) in expressions {
        let message = refused(expression).to_string();
        match expected {
            Some(word) => assert!(message.ends_with(&format!("; did you mean '{word}'?")), "{message}"),
            None => assert!(!message.contains("did you mean"), "{message}"),
        }
    }
}

#[test]
fn subjects() {
    check(&[
        ("", 1, "the expression is empty"),
        (" \n ", 4, "the expression is empty"),
        (
            "stack == prod",
            1,
            "expected a subject (agentConnected, agentVersion, ec2InstanceId, registeredAt, runningTasksCount, task:group, attribute:<name>), found 'stack'",
        ),
        (
            "attribute: stack exists",
            1,
            "an attribute name has 1 to 128 characters of A-Z a-z 0-9 _ - / \\ . right behind 'attribute:', '' has 0",
        ),
    ]);
    let long = format!("attribute:{} exists", "n".repeat(129));
    assert!(matches!(refused(&long).reason(), Reason::AttributeName { .. }));
    assert!(Expression::parse(&format!("attribute:{} exists", "n".repeat(128))).is_ok());
    for expression in [
        "attribute:a exists and",
        "()",
        "not",
        "é == x",
        "== x",
        "attribute:a exists or or attribute:b exists",
    ] {
        assert!(
            matches!(refused(expression).reason(), Reason::Subject { .. }),
            "{expression}"
        );
    }
}

#[test]
fn operators() {
    check(&[
        (
            "agentVersion like 1",
            14,
            "expected an operator after agentVersion (==, !=, >, >=, <, <=), found 'like'",
        ),
        (
            "task:group",
            11,
            "expected an operator after task:group (==, !=, exists, !exists, in, !in, =~, !~), found the end",
        ),
        (
            "agentVersion =~ 1.*",
            14,
            "operator '=~' cannot be used with agentVersion, which takes ==, !=, >, >=, <, <=",
        ),
        (
            "registeredAt exists",
            14,
            "operator 'exists' cannot be used with registeredAt, which takes ==, !=, >, >=, <, <=",
        ),
        (
            "runningTasksCount not_in [1]",
            19,
            "operator '!in' cannot be used with runningTasksCount, which takes ==, !=, >, >=, <, <=",
        ),
        (
            "agentConnected > false",
            16,
            "operator '>' cannot be used with agentConnected, which takes ==, !=, in, !in, =~, !~",
        ),
        (
            "ec2InstanceId !exists",
            15,
            "operator '!exists' cannot be used with ec2InstanceId, which takes ==, !=, in, !in, =~, !~",
        ),
        (
            "task:group >= x",
            12,
            "operator '>=' cannot be used with task:group, which takes ==, !=, exists, !exists, in, !in, =~, !~",
        ),
    ]);
}

#[test]
fn suggestions() {
    check_suggestion(&[
        ("attribut:stack == prod", Some("attribute:stack")),
        ("Attribute:stack == prod", Some("attribute:stack")),
        ("attribute == prod", Some("attribute:")),
        ("ecs.os-type == linux", Some("attribute:ecs.os-type")),
        ("AgentVersion > 1", Some("agentVersion")),
        ("agentversoin > 1", Some("agentVersion")),
        ("tasks:group == x", Some("task:group")),
        ("runningTaskCount == 1", Some("runningTasksCount")),
        ("zone == a", None),
        ("attribute:a = b", Some("==")),
        ("attribute:a === b", Some("==")),
        ("attribute:a <> b", Some("!=")),
        ("attribute:a ~= b", Some("=~")),
        ("attribute:a equal b", Some("equals")),
        ("attribute:a match b", Some("matches")),
        ("attribute:a notin [b]", Some("not_in")),
        ("attribute:a not in [b]", Some("not_in")),
        ("attribute:a EXISTS", Some("exists")),
        ("attribute:a contains b", None),
        ("attribute:a exists AND attribute:b exists", Some("and")),
        ("attribute:a exists & attribute:b exists", Some("&&")),
        ("attribute:a exists | attribute:b exists", Some("||")),
        ("attribute:a exists attribute:b exists", None),
    ]);
}

#[test]
fn values() {
    check(&[
        (
            "attribute:a == [b, c]",
            16,
            "operator '==' takes one value, found a list; lists go with in and !in",
        ),
        (
            "agentVersion > [1]",
            16,
            "operator '>' takes one value, found a list; lists go with in and !in",
        ),
        (
            "attribute:a in b",
            16,
            "operator 'in' takes a list such as [a, b], found 'b'",
        ),
        (
            "attribute:a !in",
            16,
            "operator '!in' takes a list such as [a, b], found the end",
        ),
        (
            "attribute:a in []",
            17,
            "expected a value, found ']'; a value that is not a plain word stands in quotes",
        ),
        (
            "attribute:a in [b,]",
            19,
            "expected a value, found ']'; a value that is not a plain word stands in quotes",
        ),
        (
            "attribute:a in [b c]",
            19,
            "expected ',' or ']' in the list, found 'c]'",
        ),
        (
            "attribute:a in [b",
            18,
            "expected ',' or ']' in the list, found the end",
        ),
        (
            "attribute:a ==",
            15,
            "expected a value, found the end; a value that is not a plain word stands in quotes",
        ),
        (
            "attribute:a == and attribute:b exists",
            16,
            "expected a value, found 'and'; a value that is not a plain word stands in quotes",
        ),
        (
            "attribute:a == =b",
            16,
            "expected a value, found '=b'; a value that is not a plain word stands in quotes",
        ),
        ("attribute:a == 'b", 16, "the quote ' is never closed"),
        ("attribute:a in ['b', \"c]", 22, "the quote \" is never closed"),
        (
            "attribute:a == b, c",
            17,
            "expected 'and', 'or', ')' or the end, found ','",
        ),
        (
            "attribute:a == it's",
            18,
            "expected 'and', 'or', ')' or the end, found ''s'",
        ),
        (
            "agentConnected == yes",
            19,
            "agentConnected is compared with true or false, found 'yes'",
        ),
        (
            "agentConnected in [true, 1]",
            26,
            "agentConnected is compared with true or false, found '1'",
        ),
    ]);
    for version in [
        "1.x",
        "'1. 2'",
        "v1",
        "1.",
        ".1",
        "''",
        "-1",
        "+1",
        "1.14.5-rc1",
        "18446744073709551616",
    ] {
        let error = refused(&format!("agentVersion > {version}"));
        assert!(
            error
                .to_string()
                .contains("agentVersion is compared with a version of numbers and dots"),
            "{error}"
        );
    }
    for count in ["-1", "+1", "1.5", "''", "many", "18446744073709551616"] {
        let error = refused(&format!("runningTasksCount == {count}"));
        assert!(
            error
                .to_string()
                .contains("runningTasksCount is compared with a whole number"),
            "{error}"
        );
    }
    for date in [
        "2018-02-30",
        "2018-13-01",
        "2018-1-1",
        "18-01-01",
        "2018-01-01T25:00:00",
        "2018-01-01T10:00",
        "2018-01-01T10:00:00.5Z",
        "2018-01-01T10:00:00+0100",
        "2018-01-01Z",
        "0000-01-01T00:00:00+01:00",
        "yesterday",
        "'2018-01-01 10:00:00'",
    ] {
        let error = refused(&format!("registeredAt < {date}"));
        assert!(
            error
                .to_string()
                .contains("registeredAt is compared with a date such as"),
            "{error}"
        );
    }
}

#[test]
fn structure() {
    check(&[
        ("(attribute:a exists", 1, "the parenthesis '(' is never closed"),
        (
            "attribute:b exists or (attribute:a exists and attribute:b exists",
            23,
            "the parenthesis '(' is never closed",
        ),
        ("attribute:a exists)", 19, "the parenthesis ')' was never opened"),
        (
            "(attribute:a exists attribute:b exists)",
            21,
            "expected 'and', 'or', ')' or the end, found 'attribute:b'",
        ),
        (
            "attribute:a == b c",
            18,
            "expected 'and', 'or', ')' or the end, found 'c'",
        ),
        (
            "attribute:a == b(c)",
            17,
            "expected 'and', 'or', ')' or the end, found '(c'",
        ),
    ]);
}

#[test]
fn limits() {
    let fits = format!("attribute:a == {}", "é".repeat(MAX_LENGTH - 15));
    assert!(Expression::parse(&fits).is_ok());
    let error = refused(&format!("{fits}x"));
    assert_eq!(*error.reason(), Reason::TooLong { length: MAX_LENGTH + 1 });
    assert_eq!(error.character(), MAX_LENGTH + 1);

    for open in ["(", "!", "not "] {
        let close = if open == "(" { ")" } else { "" };
        let nested = |depth: usize| format!("{}agentVersion > 1{}", open.repeat(depth), close.repeat(depth));
        assert!(Expression::parse(&nested(MAX_DEPTH)).is_ok(), "{open}");
        let error = refused(&nested(MAX_DEPTH + 1));
        assert_eq!(*error.reason(), Reason::TooDeep, "{open}");
        assert_eq!(error.offset(), MAX_DEPTH * open.len());
    }
    assert_eq!(*refused(&"(".repeat(MAX_LENGTH)).reason(), Reason::TooDeep);
}

#[test]
fn patterns_point_at_what_is_wrong_in_them() {
    check(&[
        (
            "attribute:a =~ 'x(?=y)'",
            18,
            "pattern 'x(?=y)': lookahead cannot be matched in linear time, which patterns must be here",
        ),
        ("attribute:a =~ a)b", 17, "the parenthesis ')' was never opened"),
        ("attribute:a =~ (a", 16, "pattern '(a': the group is never closed"),
        (
            "attribute:a =~",
            15,
            "expected a value, found the end; a value that is not a plain word stands in quotes",
        ),
    ]);
}

#[test]
fn one_line_or_three() {
    let error = refused("attribute:a == größe nd");
    assert_eq!((error.offset(), error.character()), (23, 22));

    let error = refused("agentVersion > 1 nd task:group\texists");
    assert_eq!(
        error.to_string(),
        "at character 18: expected 'and', 'or', ')' or the end, found 'nd'; did you mean 'and'?"
    );
    assert_eq!(
        format!("{error:#}"),
        "at character 18: expected 'and', 'or', ')' or the end, found 'nd'; did you mean 'and'?
  agentVersion > 1 nd task:group exists
                   ^"
    );

    let error = refused(&format!("attribute:a == {} x {}", "é".repeat(100), "y".repeat(100)));
    let shown = format!("{error:#}");
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[1], format!("  {} x {}", "é".repeat(47), "y".repeat(46)));
    assert_eq!(lines[2], format!("  {}^", " ".repeat(48)));
}
