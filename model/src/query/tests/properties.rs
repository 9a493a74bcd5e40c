//! Random expressions against a naive reading of them, and random text against panics.

use proptest::prelude::*;

use super::*;

/// An expression as a test thinks of it: one step at a time, nothing shared with the code under test.
#[derive(Debug, Clone)]
enum Plain {
    Attribute {
        name: String,
        operator: &'static str,
        value: String,
    },
    Exists {
        name: String,
        operator: &'static str,
    },
    In {
        name: String,
        operator: &'static str,
        values: Vec<String>,
    },
    Group {
        operator: &'static str,
        value: String,
    },
    Count {
        operator: &'static str,
        count: u64,
    },
    Version {
        operator: &'static str,
        version: [u64; 2],
    },
    Not(&'static str, Box<Plain>),
    And(&'static str, Box<Plain>, Box<Plain>),
    Or(&'static str, Box<Plain>, Box<Plain>),
}

impl Plain {
    /// As text, with the parentheses that precedence asks for and no others.
    fn text(&self) -> String {
        match self {
            Self::Attribute { name, operator, value } => format!("attribute:{name} {operator} {value}"),
            Self::Exists { name, operator } => format!("attribute:{name} {operator}"),
            Self::In { name, operator, values } => format!("attribute:{name} {operator} [{}]", values.join(",")),
            Self::Group { operator, value } => format!("task:group {operator} '{value}'"),
            Self::Count { operator, count } => format!("runningTasksCount {operator} {count}"),
            Self::Version {
                operator,
                version: [major, minor],
            } => format!("agentVersion {operator} {major}.{minor}"),
            Self::Not(word, inner) if matches!(**inner, Self::And(..) | Self::Or(..)) => {
                format!("{word} ({})", inner.text())
            }
            Self::Not(word, inner) => format!("{word} {}", inner.text()),
            Self::And(word, left, right) => {
                let part = |part: &Self| {
                    let text = part.text();
                    if matches!(part, Self::Or(..)) {
                        format!("({text})")
                    } else {
                        text
                    }
                };
                format!("{} {word} {}", part(left), part(right))
            }
            Self::Or(word, left, right) => format!("{} {word} {}", left.text(), right.text()),
        }
    }

    fn holds(&self, instance: &Instance) -> bool {
        let value_of = |name: &str| {
            instance
                .attributes
                .iter()
                .find(|(present, _)| present == name)
                .map(|(_, value)| value.as_deref())
        };
        match self {
            Self::Attribute { name, operator, value } => {
                let equal = value_of(name) == Some(Some(value));
                equal == matches!(*operator, "==" | "equals")
            }
            Self::Exists { name, operator } => value_of(name).is_some() == (*operator == "exists"),
            Self::In { name, operator, values } => {
                let found = values.iter().any(|value| value_of(name) == Some(Some(value)));
                found == (*operator == "in")
            }
            Self::Group { operator, value } => instance.groups.contains(value) == (*operator == "=="),
            Self::Count { operator, count } => ordered(operator, &instance.running, count),
            Self::Version { operator, version } => {
                let reported: Vec<u64> = instance
                    .version
                    .iter()
                    .flat_map(|version| version.split('.'))
                    .map(|number| number.parse().unwrap())
                    .collect();
                match reported.as_slice() {
                    [] => matches!(*operator, "!=" | "not_equals"),
                    numbers => ordered(operator, &numbers, &version.as_slice()),
                }
            }
            Self::Not(_, inner) => !inner.holds(instance),
            Self::And(_, left, right) => left.holds(instance) && right.holds(instance),
            Self::Or(_, left, right) => left.holds(instance) || right.holds(instance),
        }
    }
}

fn ordered<T: PartialOrd>(operator: &str, left: &T, right: &T) -> bool {
    match operator {
        "==" | "equals" => left == right,
        "!=" | "not_equals" => left != right,
        ">" | "greater_than" => left > right,
        ">=" | "greater_than_equal" => left >= right,
        "<" | "less_than" => left < right,
        _ => left <= right,
    }
}

const ORDERS: [&str; 12] = [
    "==",
    "equals",
    "!=",
    "not_equals",
    ">",
    "greater_than",
    ">=",
    "greater_than_equal",
    "<",
    "less_than",
    "<=",
    "less_than_equal",
];

fn plain() -> impl Strategy<Value = Plain> {
    let name = "[a-c]";
    let value = "[x-z]";
    let order = prop::sample::select(&ORDERS[..]);
    let test = prop_oneof![
        (name, prop::sample::select(&ORDERS[..4]), value).prop_map(|(name, operator, value)| Plain::Attribute {
            name,
            operator,
            value
        }),
        (name, prop::sample::select(&["exists", "!exists", "not_exists"][..]))
            .prop_map(|(name, operator)| Plain::Exists { name, operator }),
        (
            name,
            prop::sample::select(&["in", "!in", "not_in"][..]),
            prop::collection::vec(value, 1..4)
        )
            .prop_map(|(name, operator, values)| Plain::In { name, operator, values }),
        (prop::sample::select(&["==", "!="][..]), value).prop_map(|(operator, value)| Plain::Group { operator, value }),
        (order.clone(), 0_u64..4).prop_map(|(operator, count)| Plain::Count { operator, count }),
        (order, prop::array::uniform2(0_u64..12)).prop_map(|(operator, version)| Plain::Version { operator, version }),
    ];
    test.prop_recursive(5, 32, 2, |inner| {
        prop_oneof![
            (prop::sample::select(&["!", "not"][..]), inner.clone())
                .prop_map(|(word, inner)| Plain::Not(word, Box::new(inner))),
            (prop::sample::select(&["&&", "and"][..]), inner.clone(), inner.clone())
                .prop_map(|(word, left, right)| Plain::And(word, Box::new(left), Box::new(right))),
            (prop::sample::select(&["||", "or"][..]), inner.clone(), inner).prop_map(|(word, left, right)| Plain::Or(
                word,
                Box::new(left),
                Box::new(right)
            )),
        ]
    })
}

fn any_instance() -> impl Strategy<Value = Instance> {
    let attributes = prop::collection::btree_map("[a-c]", prop::option::of("[x-z]"), 0..4);
    let version =
        prop::option::of(prop::array::uniform2(0_u64..12).prop_map(|[major, minor]| format!("{major}.{minor}")));
    (attributes, prop::collection::vec("[x-z]", 0..3), 0_u64..4, version).prop_map(
        |(attributes, groups, running, version)| Instance {
            version,
            running,
            attributes: attributes.into_iter().collect(),
            groups,
            ..instance()
        },
    )
}

/// Pieces of the language in any order.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(
        &[
            "attribute:a",
            "task:group",
            "agentConnected",
            "agentVersion",
            "registeredAt",
            "runningTasksCount",
            "ec2InstanceId",
            "==",
            "!=",
            ">=",
            "<",
            "=~",
            "!~",
            "in",
            "!in",
            "exists",
            "not",
            "!",
            "and",
            "&&",
            "or",
            "||",
            "(",
            ")",
            "[",
            "]",
            ",",
            "'",
            "\"",
            "x",
            "true",
            "1.2",
            "7",
            "2018-06-18",
            "a.*",
            "\\",
            "é",
            "(?i)",
            "{2}",
            "*",
            "+",
            "[a-z]",
            "\\d",
            "\\Q",
            " ",
            " ",
            " ",
            " ",
        ][..],
    );
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn reads_back(expression: &Expression) -> Result<(), TestCaseError> {
    let normal = expression.to_string();
    let again = Expression::parse(&normal).map_err(|error| TestCaseError::fail(format!("{normal}: {error}")))?;
    prop_assert_eq!(&again, expression);
    prop_assert_eq!(again.to_string(), normal);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn holds_as_a_naive_reading_does(plain in plain(), instances in prop::collection::vec(any_instance(), 1..8)) {
        let text = plain.text();
        let expression = Expression::parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        reads_back(&expression)?;
        for instance in instances {
            prop_assert_eq!(expression.matches(&instance), plain.holds(&instance), "{} on {:?}", text, instance);
        }
    }

    #[test]
    fn quoted_values_stay_what_they_are(value in "[^']{0,20}", other in "[^\"]{0,20}") {
        let expression = Expression::parse(&format!("attribute:a in ['{value}', \"{other}\"]")).map_err(|error| TestCaseError::fail(error.to_string()))?;
        reads_back(&expression)?;
        for value in [value, other] {
            let instance = Instance { attributes: vec![("a".to_owned(), Some(value))], ..instance() };
            prop_assert!(expression.matches(&instance));
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        points_into(&text)?;
    }

    #[test]
    fn no_order_of_pieces_panics(text in soup()) {
        points_into(&text)?;
    }

    #[test]
    fn escaped_patterns_match_themselves_only(text in "[ -~]{0,20}", other in "[ -~]{0,20}") {
        let escaped: String = text.chars().flat_map(|c| if c.is_ascii_alphanumeric() { vec![c] } else { vec!['\\', c] }).collect();
        let quoted = (!text.contains("\\E")).then(|| format!("\\Q{text}\\E"));
        for pattern in [Some(escaped), quoted].into_iter().flatten() {
            let compiled = pattern::Pattern::parse(&pattern).map_err(|error| TestCaseError::fail(format!("{pattern}: {error:?}")))?;
            prop_assert!(compiled.matches(&text), "{}", pattern);
            prop_assert_eq!(compiled.matches(&other), text == other, "{}", pattern);
        }
    }
}

/// The text is an expression that reads back, or the error points into it.
fn points_into(text: &str) -> Result<(), TestCaseError> {
    match Expression::parse(text) {
        Ok(expression) => reads_back(&expression),
        Err(error) => {
            prop_assert!(text.is_char_boundary(error.offset()), "{:?}", error);
            prop_assert_eq!(text[..error.offset()].chars().count() + 1, error.character());
            let shown = format!("{error:#}");
            prop_assert!(shown.ends_with('^'), "{}", shown);
            Ok(())
        }
    }
}
