use proptest::prelude::*;

use super::*;

fn candidate(deployment: &str, open: u32) -> Candidate {
    Candidate {
        deployment: deployment.into(),
        standing: Standing::Healthy,
        open,
        fresh: 0.0,
    }
}

fn shares(of: &[(&str, u32)]) -> BTreeMap<Arc<str>, u32> {
    of.iter().map(|(name, weight)| ((*name).into(), *weight)).collect()
}

/// How often each was chosen, in `times` requests that end at once.
fn counts(candidates: &[Candidate], shares: &BTreeMap<Arc<str>, u32>, times: usize) -> Vec<usize> {
    let mut balancer = Balancer::default();
    let mut counts = vec![0; candidates.len()];
    for _ in 0..times {
        counts[balancer.pick(shares, candidates).unwrap()] += 1;
    }
    counts
}

#[test]
fn equals_take_turns() {
    let three = [candidate("a", 2), candidate("a", 2), candidate("a", 2)];
    assert_eq!(counts(&three, &shares(&[]), 9), [3, 3, 3]);
}

#[test]
fn the_least_busy_gets_what_is_new() {
    let mut balancer = Balancer::default();
    let three = [candidate("a", 3), candidate("a", 1), candidate("a", 2)];
    for _ in 0..3 {
        assert_eq!(balancer.pick(&shares(&[]), &three), Some(1));
    }
}

#[test]
fn a_new_target_fills_up_and_is_not_flooded() {
    let mut new = candidate("a", 0);
    new.fresh = 1.0;
    let just_there = [candidate("a", 40), candidate("a", 40), new.clone()];
    assert_eq!(counts(&just_there, &shares(&[]), 30), [10, 10, 10]);
    new.fresh = 0.5;
    new.open = 10;
    let half_way = [candidate("a", 40), candidate("a", 40), new.clone()];
    assert_eq!(counts(&half_way, &shares(&[]), 5), [0, 0, 5]);
    new.open = 30;
    let ahead = [candidate("a", 40), candidate("a", 40), new];
    assert_eq!(counts(&ahead, &shares(&[]), 4), [2, 2, 0]);
}

#[test]
fn deployments_get_their_shares_however_many_targets_they_have() {
    let targets = [candidate("blue", 0), candidate("blue", 0), candidate("green", 0)];
    assert_eq!(counts(&targets, &shares(&[("blue", 1), ("green", 9)]), 100), [5, 5, 90]);
}

#[test]
fn a_deployment_without_weight_gets_nothing_while_another_has_a_target() {
    let mut blue = candidate("blue", 9);
    let green = candidate("green", 0);
    let all_on_blue = shares(&[("blue", 1), ("green", 0)]);
    assert_eq!(counts(&[blue.clone(), green.clone()], &all_on_blue, 4), [4, 0]);
    blue.standing = Standing::Doubtful;
    assert_eq!(counts(&[blue, green.clone()], &all_on_blue, 4), [4, 0]);
    assert_eq!(counts(&[green], &all_on_blue, 4), [4]);
}

#[test]
fn a_share_whose_targets_are_unhealthy_goes_to_the_others() {
    let mut blue = candidate("blue", 0);
    blue.standing = Standing::Doubtful;
    let both = [blue, candidate("green", 7)];
    assert_eq!(counts(&both, &shares(&[("blue", 9), ("green", 1)]), 10), [0, 10]);
}

fn standing() -> impl Strategy<Value = Standing> {
    prop::sample::select(vec![
        Standing::Healthy,
        Standing::Refusing,
        Standing::Tried,
        Standing::Doubtful,
        Standing::DoubtfulAndTried,
    ])
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (0..3_usize, standing(), 0..50_u32, 0..=4_u8).prop_map(|(deployment, standing, open, fresh)| Candidate {
        deployment: ["a", "b", "c"][deployment].into(),
        standing,
        open,
        fresh: f32::from(fresh) / 4.0,
    });
    prop::collection::vec(one, 0..12)
}

proptest! {
    #[test]
    fn only_the_best_there_is_gets_anything(
        candidates in candidates(),
        weights in prop::collection::vec(0..4_u32, 3),
        runs in 1..20_usize,
    ) {
        let shares = shares(&[("a", weights[0]), ("b", weights[1]), ("c", weights[2])]);
        let weighted = |one: &&Candidate| shares[&one.deployment] > 0;
        let any = candidates.iter().any(|one| weighted(&one));
        let best = candidates.iter().filter(|one| !any || weighted(one)).map(|one| one.standing).min();
        let mut balancer = Balancer::default();
        for _ in 0..runs {
            let chosen = balancer.pick(&shares, &candidates);
            prop_assert_eq!(chosen.is_some(), !candidates.is_empty());
            let Some(chosen) = chosen else { return Ok(()) };
            prop_assert_eq!(Some(candidates[chosen].standing), best);
            prop_assert!(!any || weighted(&&candidates[chosen]));
            let settled = |one: &&Candidate| one.standing == candidates[chosen].standing
                && (!any || one.deployment == candidates[chosen].deployment)
                && one.fresh <= 0.0;
            let least = candidates.iter().filter(settled).map(|one| one.open).min();
            prop_assert!(least.is_none_or(|least| candidates[chosen].open <= least));
        }
    }

    #[test]
    fn shares_hold_over_every_run_of_their_sum(weights in prop::collection::vec(1..20_u32, 3), sizes in prop::collection::vec(1..4_usize, 3)) {
        let names = ["a", "b", "c"];
        let shares: BTreeMap<Arc<str>, u32> = names.iter().zip(&weights).map(|(name, weight)| ((*name).into(), *weight)).collect();
        let mut targets = Vec::new();
        for (name, size) in names.iter().zip(&sizes) {
            targets.extend((0..*size).map(|_| candidate(name, 0)));
        }
        let sum: u32 = weights.iter().sum();
        let counts = counts(&targets, &shares, 3 * usize::try_from(sum).unwrap());
        for (name, weight) in names.iter().zip(&weights) {
            let of = targets.iter().zip(&counts).filter(|(target, _)| &*target.deployment == *name);
            let got: usize = of.map(|(_, count)| count).sum();
            prop_assert_eq!(got, 3 * usize::try_from(*weight).unwrap());
        }
    }

    #[test]
    fn open_requests_stay_within_one_of_each_other(targets in 1..8_usize, requests in 0..200_usize) {
        let mut all: Vec<Candidate> = (0..targets).map(|_| candidate("a", 0)).collect();
        let mut balancer = Balancer::default();
        for _ in 0..requests {
            let chosen = balancer.pick(&BTreeMap::new(), &all).unwrap();
            all[chosen].open += 1;
        }
        let most = all.iter().map(|one| one.open).max().unwrap();
        let least = all.iter().map(|one| one.open).min().unwrap();
        prop_assert!(most - least <= 1);
    }
}
