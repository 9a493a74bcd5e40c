use proptest::prelude::*;

use super::*;

fn variables() -> Variables {
    let values = [("A", "1"), ("EMPTY", ""), ("long_Name2", "x y")];
    Variables::new(values.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
}

#[test]
fn variables_are_replaced_as_compose_says() {
    for (text, expected) in [
        ("plain {text}", "plain {text}"),
        ("$A-$A.$$A", "1-1.$A"),
        ("${A}b$long_Name2", "1bx y"),
        ("[$NONE]", "[]"),
        ("${NONE:-d}${NONE-d}", "dd"),
        ("${EMPTY:-d}${EMPTY-d}", "d"),
        ("${A:-d}${A-d}", "11"),
        ("${A:+r}${A+r}${EMPTY:+r}${EMPTY+r}${NONE+r}", "rrr"),
        ("${NONE:-${A}}", "1"),
        ("${NONE:-${ALSO:-$A}}", "1"),
        ("${A:-${NONE:?never asked for}}", "1"),
        ("${NONE:-{\"a\": {\"b\": 1}}}", "{\"a\": {\"b\": 1}}"),
        ("${NONE:-a:b}", "a:b"),
        ("${NONE:-}", ""),
        ("${A:?must be there}", "1"),
        ("é${A}é", "é1é"),
    ] {
        assert_eq!(variables().replace(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_variable_is_refused_with_the_rule() {
    for (text, part) in [
        ("cost: $5", "a plain one is written '$$'"),
        ("$", "a plain one is written '$$'"),
        ("${}", "must be followed by the name"),
        ("${A", "does not end"),
        ("${A:-b", "does not end"),
        ("${A/b}", "followed by '}' or by one of"),
        ("${A:}", "followed by '}' or by one of"),
        ("${NONE:?give it}", "required variable NONE is missing a value: give it"),
        ("${EMPTY:?}", "required variable EMPTY"),
        ("${NONE:?${A} is not enough}", "missing a value: 1 is not enough"),
    ] {
        let refused = variables().replace(text).unwrap_err();
        assert!(refused.contains(part), "{text}: {refused}");
    }
    let deep = "${N:-".repeat(100) + &"}".repeat(100);
    assert!(variables().replace(&deep).unwrap_err().contains("nested more than"));
}

#[test]
fn variables_without_a_value_and_a_default_are_remembered() {
    let mut variables = variables();
    variables
        .replace("$NONE ${ALSO} ${HAS:-default} ${A:-$SKIPPED} ${MAYBE:+x}")
        .unwrap();
    assert_eq!(variables.unset().collect::<Vec<_>>(), ["ALSO", "NONE"]);
}

/// A template by its parts, to be written and to be evaluated by other code than what is tested.
#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Dollar,
    Plain(&'static str),
    Braced(&'static str),
    With(&'static str, &'static str, Vec<Part>),
}

fn part() -> impl Strategy<Value = Part> {
    let name = || prop::sample::select(vec!["A", "EMPTY", "NONE", "long_Name2"]);
    let leaf = prop_oneof![
        "[ a-z:+?/.-]{0,6}".prop_map(Part::Text),
        Just(Part::Dollar),
        name().prop_map(Part::Plain),
        name().prop_map(Part::Braced),
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let operator = prop::sample::select(vec![":-", "-", ":+", "+"]);
        (name(), operator, prop::collection::vec(inner, 0..4)).prop_map(|(n, o, parts)| Part::With(n, o, parts))
    })
}

fn written(parts: &[Part]) -> String {
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Dollar => out.push_str("$$"),
            // The name ends where something else begins.
            Part::Plain(name) => out.push_str(&format!("${name}/")),
            Part::Braced(name) => out.push_str(&format!("${{{name}}}")),
            Part::With(name, operator, word) => out.push_str(&format!("${{{name}{operator}{}}}", written(word))),
        }
    }
    out
}

fn evaluated(parts: &[Part], variables: &Variables) -> String {
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Dollar => out.push('$'),
            Part::Plain(name) => {
                out.push_str(variables.get(name).unwrap_or_default());
                out.push('/');
            }
            Part::Braced(name) => out.push_str(variables.get(name).unwrap_or_default()),
            Part::With(name, operator, word) => {
                let value = variables.get(name);
                let there = match *operator {
                    ":-" | ":+" => value.is_some_and(|value| !value.is_empty()),
                    _ => value.is_some(),
                };
                match (operator.ends_with('-'), there) {
                    (true, true) => out.push_str(value.unwrap_or_default()),
                    (true, false) | (false, true) => out.push_str(&evaluated(word, variables)),
                    (false, false) => {}
                }
            }
        }
    }
    out
}

proptest! {
    #[test]
    fn templates_are_worth_what_their_parts_are(parts in prop::collection::vec(part(), 0..6)) {
        let template = written(&parts);
        prop_assert_eq!(variables().replace(&template), Ok(evaluated(&parts, &variables())), "{}", template);
    }

    #[test]
    fn any_text_is_replaced_or_refused(text in ".{0,60}") {
        let _either = variables().replace(&text);
    }

    #[test]
    fn a_text_whose_dollars_are_doubled_comes_back(text in ".{0,40}") {
        prop_assert_eq!(variables().replace(&text.replace('$', "$$")), Ok(text));
    }
}
