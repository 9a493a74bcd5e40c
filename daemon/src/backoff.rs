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

#[cfg(test)]
mod tests {
    use super::*;

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
