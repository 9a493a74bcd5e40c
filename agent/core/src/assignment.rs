//! The chain of assignments: a complete set begins it, each increment applies to the version before it.

/// The version of the assignments that the agent has taken in on this stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    version: Option<u64>,
}

/// An increment that does not follow on what was taken in before it: the stream must begin anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("assignments apply to version {applies_to}, this stream is at {at:?}")]
pub struct Gap {
    /// What the increment applies to.
    pub applies_to: u64,
    /// What was taken in last; none before the complete set.
    pub at: Option<u64>,
}

impl Chain {
    /// Takes in a set; a complete one replaces all that came before.
    ///
    /// # Errors
    /// [`Gap`] for an increment that applies to another version.
    pub fn advance(&mut self, complete: bool, applies_to: u64, results_in: u64) -> Result<(), Gap> {
        if !complete && self.version != Some(applies_to) {
            return Err(Gap {
                applies_to,
                at: self.version,
            });
        }
        self.version = Some(results_in);
        Ok(())
    }

    /// Whether the complete set of this stream has come.
    #[must_use]
    pub fn has_begun(self) -> bool {
        self.version.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn increments_follow_one_another() {
        let mut chain = Chain::default();
        assert!(!chain.has_begun());
        assert_eq!(
            chain.advance(false, 0, 1),
            Err(Gap {
                applies_to: 0,
                at: None
            })
        );
        chain.advance(true, 0, 5).unwrap();
        chain.advance(false, 5, 6).unwrap();
        assert_eq!(
            chain.advance(false, 5, 6),
            Err(Gap {
                applies_to: 5,
                at: Some(6)
            })
        );
        chain.advance(true, 0, 2).unwrap();
        chain.advance(false, 2, 3).unwrap();
    }
}
