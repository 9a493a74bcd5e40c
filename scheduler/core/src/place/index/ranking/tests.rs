use proptest::prelude::*;

use super::*;

/// What the ranking should find, by looking at all.
fn oracle(order: Order, all: &[(u32, u32, Slot)], cpu: u32, memory: u32) -> Option<Slot> {
    let fits = |(c, m, _): &&(u32, u32, Slot)| *c >= cpu && *m >= memory;
    let best = all
        .iter()
        .filter(fits)
        .min_by_key(|(c, m, slot)| (order.key(*c, *m), *slot));
    best.map(|(_, _, slot)| *slot)
}

fn sorted(order: Order, all: &[(u32, u32, Slot)]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = all.iter().map(|(c, m, slot)| (order.key(*c, *m), *slot)).collect();
    entries.sort_unstable();
    entries
}

fn entries(ranking: &Ranking) -> Vec<Entry> {
    let runs = ranking.runs();
    runs.flat_map(|(key, slots)| slots.iter().map(move |slot| (key, *slot)))
        .collect()
}

/// That all that stands above the leaves is as they say.
fn check(ranking: &Ranking) {
    for (at, number) in ranking.root.branches.iter().enumerate() {
        let branch = ranking.branches.get(*number);
        assert_eq!(ranking.root.level().entry(at), Some(branch.first()));
        assert_eq!(ranking.root.most[at], branch.most());
        assert!(branch.len() > 0);
        for (place, number) in branch.leaves().iter().enumerate() {
            let leaf = ranking.leaves.get(*number);
            assert_eq!(branch.level().entry(place), Some(leaf.first()));
            assert_eq!(branch.most_of(place), leaf.most(ranking.order));
            assert!(leaf.len() > 0);
        }
    }
    let used = ranking.leaves.items.len() - ranking.leaves.spare.len();
    let branches = ranking.root.branches.iter();
    let held: usize = branches.map(|number| ranking.branches.get(*number).len()).sum();
    assert_eq!(used, held);
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::LeastCpu), Just(Order::LeastMemory), Just(Order::MostFree)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_best_that_fits_is_found_after_any_change(
        order in order(),
        start in prop::collection::vec((0_u32..40, 0_u32..40), 0..400),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_u32..40, 0_u32..40, any::<bool>()), 0..600),
        wanted in prop::collection::vec((0_u32..42, 0_u32..42), 1..20),
    ) {
        let mut all: Vec<(u32, u32, Slot)> =
            (0_u32..).zip(start).map(|(slot, (cpu, memory))| (cpu, memory, slot)).collect();
        let mut ranking = Ranking::of(order, all.iter().copied());
        for (step, (which, cpu, memory, goes)) in changes.into_iter().enumerate() {
            if !all.is_empty() {
                let at = which.index(all.len());
                let (c, m, slot) = all[at];
                ranking.remove(c, m, slot);
                if goes {
                    all.swap_remove(at);
                } else {
                    ranking.insert(cpu, memory, slot);
                    all[at] = (cpu, memory, slot);
                }
            }
            let (cpu, memory) = wanted[step % wanted.len()];
            let (span, other) = order.span(cpu, memory);
            let found = ranking.next(&mut ranking.seek(&span), *span.end(), other, |_| true).map(|(_, slot)| slot);
            prop_assert_eq!(found, oracle(order, &all, cpu, memory));
        }
        check(&ranking);
    }

    #[test]
    fn what_a_walk_has_met_is_removed_and_nothing_else(
        order in order(),
        start in prop::collection::vec((0_u32..6, 0_u32..6), 1..200),
        wanted in prop::collection::vec((0_u32..6, 0_u32..6, 0_usize..4), 1..60),
    ) {
        let mut all: Vec<(u32, u32, Slot)> =
            (0_u32..).zip(start).map(|(slot, (cpu, memory))| (cpu, memory, slot)).collect();
        let mut ranking = Ranking::of(order, all.iter().copied());
        for (cpu, memory, passed) in wanted {
            let (span, other) = order.span(cpu, memory);
            let mut walk = ranking.seek(&span);
            let mut seen = 0;
            let met = ranking.next(&mut walk, *span.end(), other, |_| {
                seen += 1;
                seen > passed
            });
            if let Some(met) = met {
                ranking.remove_all(&[met], Some(walk));
                all.retain(|(_, _, slot)| *slot != met.1);
            }
            check(&ranking);
            prop_assert_eq!(entries(&ranking), sorted(order, &all));
        }
    }

    #[test]
    fn entries_that_come_and_go_together_are_as_if_one_by_one(
        order in order(),
        start in prop::collection::vec((0_u32..6, 0_u32..6), 0..200),
        rounds in prop::collection::vec((0_usize..200, 0_usize..60, 0_u32..6, 0_u32..6), 1..20),
    ) {
        let mut all: Vec<(u32, u32, Slot)> =
            (0_u32..).zip(start).map(|(slot, (cpu, memory))| (cpu, memory, slot)).collect();
        let mut ranking = Ranking::of(order, all.iter().copied());
        for (from, count, cpu, memory) in rounds {
            let from = from.min(all.len());
            let until = (from + count).min(all.len());
            ranking.remove_all(&sorted(order, &all[from..until]), None);
            check(&ranking);
            for (c, m, slot) in &mut all[from..until] {
                *c = (*c * 7 + cpu * *slot) % 6;
                *m = memory;
            }
            ranking.insert_all(&sorted(order, &all[from..until]));
            check(&ranking);
            prop_assert_eq!(entries(&ranking), sorted(order, &all));
        }
    }
}
