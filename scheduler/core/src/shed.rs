//! How many streams a scheduler lets go so that others take them. Pure.

/// Streams that are let go at once, so that those who take them do not stumble.
const AT_ONCE: u32 = 10;
/// What is too much is gone after so many looks, if it is not very much.
const LOOKS: u32 = 60;
/// What is not worth a move: a tenth of a share, and these.
const FEW: u32 = 2;

/// How many of its streams a scheduler lets go now, of which it has `own` and the others that live as many as `others` says;
/// asked once a second.
///
/// None as long as it has no more than a tenth above its share. Whoever is let go tries the others by itself.
#[must_use]
pub fn surplus(own: u32, others: &[u32]) -> u32 {
    let schedulers = u64::try_from(others.len()).unwrap_or(u64::MAX).saturating_add(1);
    let all: u64 = others.iter().copied().map(u64::from).sum::<u64>() + u64::from(own);
    // No more than the sum, whatever that is divided by; and own is in it.
    let share = u32::try_from(all.div_ceil(schedulers)).unwrap_or(u32::MAX);
    let enough = share.saturating_add((share / 10).max(FEW));
    if own <= enough {
        return 0;
    }
    (own - share).div_ceil(LOOKS).min(AT_ONCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_little_more_than_a_share_keeps_it() {
        for (own, others) in [
            (0, &[][..]),
            (5000, &[]),
            (1, &[0]),
            (3, &[0]),
            (10, &[10, 10]),
            (12, &[9, 9]),
            (1100, &[900]),
            (0, &[5000]),
        ] {
            assert_eq!(surplus(own, others), 0, "{own} {others:?}");
        }
    }

    #[test]
    fn who_has_far_more_lets_some_go_at_a_time() {
        assert_eq!(surplus(10, &[0]), 1);
        assert_eq!(surplus(400, &[0]), 4);
        assert_eq!(surplus(5000, &[0]), AT_ONCE);
        assert_eq!(surplus(u32::MAX, &[u32::MAX, 0]), AT_ONCE);
    }

    /// Schedulers of which each lets go what is too much, while whoever is let go tries the next in its own order.
    #[test]
    fn streams_come_to_rest_about_even_and_few_move_twice() {
        for begin in [
            vec![900, 0],
            vec![450, 450, 0],
            vec![20, 0, 0],
            vec![9, 0],
            vec![300, 0, 300, 300],
        ] {
            let count = begin.len();
            let mut at: Vec<usize> = (0..count).flat_map(|nth| vec![nth; begin[nth]]).collect();
            let mut moves = 0;
            for _ in 0..500 {
                let counts: Vec<u32> = (0..count)
                    .map(|nth| u32::try_from(at.iter().filter(|at| **at == nth).count()).unwrap())
                    .collect();
                for nth in 0..count {
                    let mut others = counts.clone();
                    let own = others.remove(nth);
                    let go = usize::try_from(surplus(own, &others)).unwrap();
                    moves += go;
                    let leave = at.iter_mut().filter(|at| **at == nth).take(go);
                    leave.for_each(|at| *at = (*at + 1) % count);
                }
            }
            let share = at.len().div_ceil(count);
            let most = (0..count).map(|nth| at.iter().filter(|at| **at == nth).count()).max();
            let far: usize = begin.iter().map(|had| had.saturating_sub(share)).sum();
            assert!(
                most <= Some(share + (share / 10).max(2)),
                "{begin:?}: {most:?} of {share}"
            );
            assert!(moves <= far * count, "{begin:?}: {moves} moves of {far}");
        }
    }
}
