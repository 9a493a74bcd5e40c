//! Pauses between attempts: growing, bounded, and drawn at random, so that those who lost the same scheduler do not come back at
//! once.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// The attempts since the last success.
#[derive(Debug, Default, Clone, Copy)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// A pause between nothing and the bound, which doubles from 100 ms to 10 s.
    #[must_use]
    pub fn next_pause(&mut self) -> Duration {
        let bound = FIRST
            .saturating_mul(2_u32.saturating_pow(self.attempts.min(16)))
            .min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        bound.mul_f64(fraction())
    }
}

/// A number from 0 to 1; 1 where the kernel gives no random bytes.
#[must_use]
pub fn fraction() -> f64 {
    let mut bytes = [0; 4];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(_) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

/// One of so many, drawn at random: those that are given the same list do not all begin with the same entry. 0 of none.
#[must_use]
pub fn any_of(count: usize) -> usize {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the fraction is from 0 to 1"
    )]
    let drawn = (fraction() * f64::from(count)) as u32;
    drawn.min(count.saturating_sub(1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_several_is_drawn_some_time_and_no_other() {
        let drawn: std::collections::BTreeSet<usize> = (0..1000).map(|_| any_of(3)).collect();
        assert_eq!(drawn, [0, 1, 2].into());
        assert_eq!((any_of(1), any_of(0)), (0, 0));
    }

    #[test]
    fn pauses_are_bounded_and_not_all_alike() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..100).map(|_| backoff.next_pause()).collect();
        assert!(pauses[0] <= FIRST);
        assert!(pauses.iter().all(|pause| *pause <= LONGEST));
        assert!(pauses.iter().any(|pause| *pause > Duration::from_secs(1)));
        assert!(pauses.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
