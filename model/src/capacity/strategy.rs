//! Capacity provider strategies: how many tasks go to which provider.

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::name::ProviderName;

/// Providers in one strategy, at most (ECS API, RunTask).
pub const MAX_ITEMS: usize = 20;
/// The greatest base (ECS API, `CapacityProviderStrategyItem`).
pub const MAX_BASE: i32 = 100_000;
/// The greatest weight (ECS API, `CapacityProviderStrategyItem`).
pub const MAX_WEIGHT: i32 = 1000;

/// A provider's part of a strategy as it stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawItem {
    /// The provider, read.
    pub provider: ProviderName,
    /// Tasks that it has before weights count.
    pub base: Option<i32>,
    /// Its part of the others.
    pub weight: Option<i32>,
}

/// A provider's part of a strategy (ECS API, `CapacityProviderStrategyItem`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyItem {
    /// The provider.
    pub provider: ProviderName,
    /// Tasks that it has before weights count: 0 to 100000.
    #[serde(default)]
    pub base: u32,
    /// Its part of the others: 0 to 1000.
    #[serde(default)]
    pub weight: u32,
}

/// Reads a strategy.
///
/// # Errors
/// `InvalidParameterException` naming the item, the value and the rule.
pub fn parse(raw: &[RawItem]) -> Result<Vec<StrategyItem>, Fault> {
    if raw.len() > MAX_ITEMS {
        return Err(Fault::invalid(format!(
            "capacityProviderStrategy has {} entries, at most {MAX_ITEMS} are allowed.",
            raw.len()
        )));
    }
    let mut items: Vec<StrategyItem> = Vec::with_capacity(raw.len());
    for (at, item) in raw.iter().enumerate() {
        let figure = |member: &str, given: Option<i32>, most: i32| {
            let value = given.unwrap_or(0);
            let known = u32::try_from(value).ok().filter(|_| value <= most);
            known.ok_or_else(|| {
                Fault::invalid(format!(
                    "capacityProviderStrategy[{at}].{member} {value} should be between 0 and {most}."
                ))
            })
        };
        if items.iter().any(|earlier| earlier.provider == item.provider) {
            return Err(Fault::invalid(format!(
                "capacityProviderStrategy names capacity provider '{}' more than once.",
                item.provider
            )));
        }
        items.push(StrategyItem {
            provider: item.provider.clone(),
            base: figure("base", item.base, MAX_BASE)?,
            weight: figure("weight", item.weight, MAX_WEIGHT)?,
        });
    }
    if items.iter().filter(|item| item.base > 0).count() > 1 {
        return Err(Fault::invalid(
            "capacityProviderStrategy has a base in more than one item; only one may have it.",
        ));
    }
    let of_fargate = items.iter().filter(|item| item.provider.is_fargate()).count();
    if of_fargate > 0 && of_fargate < items.len() {
        return Err(Fault::invalid(
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and Fargate \
             providers. Specify one or the other and try again.",
        ));
    }
    Ok(items)
}

/// Whether tasks can go by the strategy: someone gets those that are beyond the base.
#[must_use]
pub fn has_weight(strategy: &[StrategyItem]) -> bool {
    strategy.iter().any(|item| item.weight > 0)
}

/// The item whose provider the next task goes to, where each has so many (ECS API, `CapacityProviderStrategyItem`): one whose
/// base is not reached; then the one that has the least of its part with one more, the first of equals. None without a
/// weight, once bases are reached.
///
/// `counts` has one entry an item.
#[must_use]
pub fn next(strategy: &[StrategyItem], counts: &[u32]) -> Option<usize> {
    let mut both = strategy.iter().zip(counts);
    if let Some(below) = both.position(|(item, count)| *count < item.base) {
        return Some(below);
    }
    // With one more, (count + 1) / weight; compared without a division.
    let part = |at: usize| {
        let item = &strategy[at];
        let count = counts.get(at).copied().unwrap_or(0);
        (u64::from(count - item.base.min(count)) + 1, u64::from(item.weight))
    };
    let mut best: Option<usize> = None;
    for at in (0..strategy.len()).filter(|at| strategy[*at].weight > 0) {
        let is_less = |best: usize| {
            let ((count, weight), (best_count, best_weight)) = (part(at), part(best));
            count * best_weight < best_count * weight
        };
        if best.is_none_or(is_less) {
            best = Some(at);
        }
    }
    best
}

/// How many of `count` further tasks go to the provider of each item, where each has so many.
#[must_use]
pub fn split(strategy: &[StrategyItem], before: &[u32], count: u32) -> Vec<u32> {
    let mut counts: Vec<u32> = (0..strategy.len())
        .map(|at| before.get(at).copied().unwrap_or(0))
        .collect();
    let mut more = vec![0; strategy.len()];
    for _ in 0..count {
        let Some(at) = next(strategy, &counts) else { break };
        counts[at] += 1;
        more[at] += 1;
    }
    more
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(name: &str, base: u32, weight: u32) -> StrategyItem {
        StrategyItem {
            provider: ProviderName::parse(name).unwrap(),
            base,
            weight,
        }
    }

    fn raw(name: &str, base: i32, weight: i32) -> RawItem {
        RawItem {
            provider: ProviderName::parse(name).unwrap(),
            base: Some(base),
            weight: Some(weight),
        }
    }

    #[test]
    fn the_base_comes_first_and_then_the_weights() {
        let strategy = [item("a", 2, 1), item("b", 0, 3)];
        assert_eq!(split(&strategy, &[0, 0], 1), [1, 0]);
        assert_eq!(split(&strategy, &[0, 0], 10), [4, 6]);
        // What runs already counts: a has more than its part.
        assert_eq!(split(&strategy, &[6, 0], 3), [0, 3]);
        assert_eq!(split(&[item("a", 1, 0)], &[0], 3), [1], "nothing gets the rest");
        assert_eq!(split(&[item("a", 0, 1), item("b", 0, 1)], &[0, 0], 5), [3, 2]);
    }

    #[test]
    fn strategies_that_break_a_rule_are_refused_by_name() {
        for (items, says) in [
            (
                vec![raw("a", 0, 1001)],
                "capacityProviderStrategy[0].weight 1001 should be between 0 and 1000",
            ),
            (
                vec![raw("a", -1, 1)],
                "capacityProviderStrategy[0].base -1 should be between 0 and 100000",
            ),
            (vec![raw("a", 0, 1), raw("a", 0, 1)], "more than once"),
            (vec![raw("a", 1, 1), raw("b", 1, 1)], "base in more than one item"),
            (
                vec![raw("a", 0, 1), raw("FARGATE", 0, 1)],
                "cannot contain a mix of capacity providers",
            ),
            (vec![raw("a", 0, 1); 21], "has 21 entries, at most 20 are allowed"),
        ] {
            let fault = parse(&items).unwrap_err();
            assert!(fault.message.contains(says), "{says}: {fault}");
        }
        assert_eq!(
            parse(&[raw("FARGATE", 1, 1), raw("FARGATE_SPOT", 0, 4)]),
            Ok(vec![item("FARGATE", 1, 1), item("FARGATE_SPOT", 0, 4)])
        );
        assert!(!has_weight(&parse(&[raw("a", 0, 0)]).unwrap()));
    }

    /// All ways of giving so many tasks to so many providers.
    fn divisions(count: u32, among: usize) -> Vec<Vec<u32>> {
        match among {
            0 => Vec::new(),
            1 => vec![vec![count]],
            _ => (0..=count)
                .flat_map(|first| {
                    divisions(count - first, among - 1).into_iter().map(move |mut rest| {
                        rest.insert(0, first);
                        rest
                    })
                })
                .collect(),
        }
    }

    /// How far the fullest provider is: the greatest of counts by weight, as a fraction.
    fn fullest(counts: &[u32], weights: &[u32]) -> f64 {
        let parts = counts.iter().zip(weights).map(|(count, weight)| match (count, weight) {
            (0, _) => 0.0,
            (_, 0) => f64::INFINITY,
            (count, weight) => f64::from(*count) / f64::from(*weight),
        });
        parts.fold(0.0, f64::max)
    }

    proptest! {
        /// The oracle: of all ways to divide what is beyond the base none keeps the fullest provider emptier.
        #[test]
        fn no_other_division_is_nearer_to_the_weights(
            weights in prop::collection::vec(0_u32..6, 1..4),
            base in 0_u32..4,
            based in 0_usize..4,
            count in 0_u32..12,
        ) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let strategy: Vec<StrategyItem> = weights
                .iter()
                .enumerate()
                .map(|(at, weight)| item(&format!("p{at}"), if at == based { base } else { 0 }, *weight))
                .collect();
            let mut given = split(&strategy, &vec![0; strategy.len()], count);
            prop_assert_eq!(given.iter().sum::<u32>(), count);
            let reserved: u32 = strategy.iter().map(|item| item.base).sum::<u32>().min(count);
            if let Some(item) = given.get_mut(based) {
                prop_assert!(*item >= reserved);
                *item -= reserved;
            }
            let best = divisions(count - reserved, strategy.len())
                .iter()
                .map(|division| fullest(division, &weights))
                .fold(f64::INFINITY, f64::min);
            prop_assert!((fullest(&given, &weights) - best).abs() < 1e-9, "{:?} of {:?}", given, weights);
        }

        /// Tasks that come one by one are divided as those that come together.
        #[test]
        fn it_is_the_same_whether_tasks_come_one_by_one_or_together(
            weights in prop::collection::vec(1_u32..1000, 1..5),
            base in 0_u32..5,
            count in 0_u32..40,
        ) {
            let strategy: Vec<StrategyItem> = weights
                .iter()
                .enumerate()
                .map(|(at, weight)| item(&format!("p{at}"), if at == 0 { base } else { 0 }, *weight))
                .collect();
            let mut counts = vec![0; strategy.len()];
            for _ in 0..count {
                let one = split(&strategy, &counts, 1);
                counts.iter_mut().zip(one).for_each(|(count, one)| *count += one);
            }
            prop_assert_eq!(counts, split(&strategy, &vec![0; strategy.len()], count));
        }
    }
}
