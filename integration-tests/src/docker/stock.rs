//! How much of everything an engine has.

use std::fmt;

use anyhow::{Result, bail};

use super::Engine;

/// Counts of what an engine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// Running or not.
    pub containers: usize,
    /// With a name or without.
    pub images: usize,
    /// Named or anonymous.
    pub volumes: usize,
    /// With the three that every engine has.
    pub networks: usize,
}

impl Engine {
    /// Counts what the engine has.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub fn stock(&self) -> Result<Stock> {
        let count = |target: &str| {
            let listed = self.json("GET", target, None)?;
            match listed.as_array() {
                Some(list) => Ok(list.len()),
                None => bail!("{target} is no list: {listed}"),
            }
        };
        Ok(Stock {
            containers: count("/containers/json?all=1")?,
            images: count("/images/json?all=1")?,
            volumes: self.volumes()?.len(),
            networks: count("/networks")?,
        })
    }
}

impl fmt::Display for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} containers, {} images, {} volumes, {} networks",
            self.containers, self.images, self.volumes, self.networks
        )
    }
}
