//! What a request says about where its tasks may and should run.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fault::{Fault, shortened};
use crate::query::Expression;

/// Constraints of a task, those of its definition included (ECS API, RunTask).
pub const MAX_CONSTRAINTS: usize = 10;
/// Strategies in one request (ECS API, RunTask).
pub const MAX_STRATEGIES: usize = 5;

/// A constraint as it stands in a request or a task definition.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawConstraint {
    /// `distinctInstance` or `memberOf`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The expression of `memberOf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// Everything else that the caller gave.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A strategy as it stands in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawStrategy {
    /// `random`, `spread` or `binpack`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What to spread over or pack by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// A rule that a placement must keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Constraint {
    /// No two tasks of the request (or group) on one instance.
    DistinctInstance,
    /// The instance satisfies the expression.
    MemberOf(Expression),
}

/// How to choose among instances that satisfy all constraints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// Any of them.
    Random,
    /// Evenly over the values of the key, counting tasks of the group.
    Spread(SpreadKey),
    /// Where the least of the resource is left.
    Binpack(PackBy),
}

/// What to spread over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpreadKey {
    /// Each instance for itself (`instanceId`, `host`).
    Instance,
    /// The value of an attribute; instances without it form one group.
    Attribute(String),
}

/// The resource to pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PackBy {
    /// CPU units.
    Cpu,
    /// Memory.
    Memory,
}

/// Reads the constraints of RunTask.
///
/// # Errors
/// `InvalidParameterException` naming the constraint and the rule.
pub fn parse_constraints(raw: &[RawConstraint]) -> Result<Vec<Constraint>, Fault> {
    if raw.len() > MAX_CONSTRAINTS {
        return Err(Fault::invalid(format!(
            "placementConstraints has {} entries, at most {MAX_CONSTRAINTS} are allowed.",
            raw.len()
        )));
    }
    raw.iter()
        .enumerate()
        .map(
            |(at, constraint)| match (constraint.kind.as_deref(), constraint.expression.as_deref()) {
                (Some("distinctInstance"), None) => Ok(Constraint::DistinctInstance),
                (Some("distinctInstance"), Some(_)) => {
                    Err(Fault::invalid("distinctInstance expression should not be specified."))
                }
                (Some("memberOf"), expression) => member_of(at, expression)
                    .map(Constraint::MemberOf)
                    .map_err(Fault::invalid),
                (kind, _) => Err(Fault::invalid(format!(
                    "placementConstraints[{at}].type '{}' should be one of [distinctInstance, memberOf].",
                    shortened(kind.unwrap_or_default())
                ))),
            },
        )
        .collect()
}

/// Reads the constraints of a task definition, where only `memberOf` may stand.
///
/// # Errors
/// `ClientException` naming the constraint and the rule.
pub fn parse_definition_constraints(raw: &[RawConstraint]) -> Result<Vec<Expression>, Fault> {
    if raw.len() > MAX_CONSTRAINTS {
        return Err(Fault::client(format!(
            "placementConstraints has {} entries, at most {MAX_CONSTRAINTS} are allowed.",
            raw.len()
        )));
    }
    raw.iter()
        .enumerate()
        .map(|(at, constraint)| match constraint.kind.as_deref() {
            Some("memberOf") => member_of(at, constraint.expression.as_deref()).map_err(Fault::client),
            kind => Err(Fault::client(format!(
                "constraint.type '{}' is not supported. placementConstraints[{at}] must be memberOf.",
                shortened(kind.unwrap_or_default())
            ))),
        })
        .collect()
}

fn member_of(at: usize, expression: Option<&str>) -> Result<Expression, String> {
    let Some(text) = expression else {
        return Err(format!(
            "placementConstraints[{at}].expression must be given with memberOf."
        ));
    };
    Expression::parse(text).map_err(|error| format!("placementConstraints[{at}].expression is invalid: {error}"))
}

/// Reads the strategies of RunTask.
///
/// # Errors
/// `InvalidParameterException` naming the strategy and the rule.
pub fn parse_strategies(raw: &[RawStrategy]) -> Result<Vec<Strategy>, Fault> {
    if raw.len() > MAX_STRATEGIES {
        return Err(Fault::invalid(format!(
            "placementStrategy has {} entries, at most {MAX_STRATEGIES} are allowed.",
            raw.len()
        )));
    }
    raw.iter()
        .enumerate()
        .map(|(at, strategy)| parse_strategy(at, strategy))
        .collect()
}

fn parse_strategy(at: usize, raw: &RawStrategy) -> Result<Strategy, Fault> {
    let field = raw.field.as_deref().unwrap_or_default();
    let bad_field = |rule: &str| {
        Err(Fault::invalid(format!(
            "placementStrategy[{at}].field '{}' {rule}",
            shortened(field)
        )))
    };
    match raw.kind.as_deref() {
        Some("random") => match field {
            "" => Ok(Strategy::Random),
            _ => bad_field("should not be specified with random."),
        },
        // Case does not matter here on ECS: the CLI's documentation itself writes CPU and MEMORY.
        Some("binpack") => match field.to_ascii_lowercase().as_str() {
            "cpu" => Ok(Strategy::Binpack(PackBy::Cpu)),
            "memory" => Ok(Strategy::Binpack(PackBy::Memory)),
            _ => bad_field("should be one of [cpu, memory] with binpack."),
        },
        Some("spread") => match field {
            "instanceId" | "host" => Ok(Strategy::Spread(SpreadKey::Instance)),
            _ => match field.strip_prefix("attribute:") {
                Some(name) if !name.is_empty() => Ok(Strategy::Spread(SpreadKey::Attribute(name.to_owned()))),
                Some(_) | None => bad_field("should be one of [instanceId, host, attribute:<name>] with spread."),
            },
        },
        kind => Err(Fault::invalid(format!(
            "placementStrategy[{at}].type '{}' should be one of [random, spread, binpack].",
            shortened(kind.unwrap_or_default())
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strategy(kind: &str, field: Option<&str>) -> Result<Vec<Strategy>, Fault> {
        parse_strategies(&[RawStrategy {
            kind: Some(kind.to_owned()),
            field: field.map(str::to_owned),
        }])
    }

    fn constraint(kind: &str, expression: Option<&str>) -> RawConstraint {
        RawConstraint {
            kind: Some(kind.to_owned()),
            expression: expression.map(str::to_owned),
            ..RawConstraint::default()
        }
    }

    #[test]
    fn strategies_take_the_fields_of_ecs() {
        assert_eq!(strategy("random", None), Ok(vec![Strategy::Random]));
        assert_eq!(
            strategy("binpack", Some("MEMORY")),
            Ok(vec![Strategy::Binpack(PackBy::Memory)])
        );
        assert_eq!(
            strategy("spread", Some("host")),
            Ok(vec![Strategy::Spread(SpreadKey::Instance)])
        );
        assert_eq!(
            strategy("spread", Some("attribute:ecs.availability-zone")),
            Ok(vec![Strategy::Spread(SpreadKey::Attribute(
                "ecs.availability-zone".to_owned()
            ))])
        );
        for (kind, field) in [
            ("random", Some("cpu")),
            ("binpack", None),
            ("spread", Some("zone")),
            ("spread", Some("attribute:")),
            ("best", None),
        ] {
            assert!(strategy(kind, field).is_err(), "{kind} {field:?}");
        }
    }

    #[test]
    fn five_strategies_are_a_chain_and_a_sixth_is_one_too_many() {
        let random = RawStrategy {
            kind: Some("random".to_owned()),
            field: None,
        };
        let chain = parse_strategies(&vec![random.clone(); 5]).unwrap();
        assert_eq!(chain.len(), 5);
        let fault = parse_strategies(&vec![random; 6]).unwrap_err();
        assert_eq!(fault.message, "placementStrategy has 6 entries, at most 5 are allowed.");
    }

    #[test]
    fn ten_constraints_are_allowed_in_a_request_and_in_a_definition() {
        let stack = constraint("memberOf", Some("attribute:stack == prod"));
        let says = "placementConstraints has 11 entries, at most 10 are allowed.";
        assert_eq!(parse_constraints(&vec![stack.clone(); 10]).unwrap().len(), 10);
        assert_eq!(parse_constraints(&vec![stack.clone(); 11]).unwrap_err().message, says);
        assert_eq!(
            parse_definition_constraints(&vec![stack.clone(); 10]).unwrap().len(),
            10
        );
        let fault = parse_definition_constraints(&vec![stack; 11]).unwrap_err();
        assert_eq!(fault.message, says);
    }

    #[test]
    fn distinct_instance_takes_no_expression_and_stands_in_no_definition() {
        let fault = parse_constraints(&[constraint("distinctInstance", Some("x"))]).unwrap_err();
        assert_eq!(fault.message, "distinctInstance expression should not be specified.");
        let fault = parse_definition_constraints(&[constraint("distinctInstance", None)]).unwrap_err();
        assert!(
            fault
                .message
                .starts_with("constraint.type 'distinctInstance' is not supported.")
        );
    }
}
