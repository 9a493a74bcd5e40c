//! GPUs: whole devices, each for one container alone.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::fault::{Fault, shortened};

/// Longest id of a GPU, in characters.
const MAX_LENGTH: usize = 255;

/// The id of a GPU, as NVIDIA's driver and runtime know it: `GPU-` and a UUID.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GpuId(Arc<str>);

impl GpuId {
    /// The id that the text is.
    ///
    /// # Errors
    /// `InvalidParameterException` for what cannot stand in a list that commas divide: a runtime is told of a
    /// container's GPUs in one.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let divides = |character: char| !character.is_ascii_graphic() || character == ',';
        if text.is_empty() || text.len() > MAX_LENGTH || text.contains(divides) {
            return Err(Fault::invalid(format!(
                "'{}' is no id of a GPU: 1 to {MAX_LENGTH} printable ASCII characters without spaces and commas are.",
                shortened(text)
            )));
        }
        Ok(Self(text.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The GPUs that one container of a task has to itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerGpus {
    /// The container's name in the definition.
    pub container: Arc<str>,
    /// Its GPUs, never none.
    pub ids: Vec<GpuId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_stand_in_a_list() {
        for text in ["GPU-8a56a3f1-6b14-5d1c-9d2e-4f6a3c1b2d7e", "MIG-GPU-8a56/1/0", "0"] {
            assert_eq!(GpuId::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "a,b", "a b", "a\nb", "ä", &"x".repeat(256)] {
            let fault = GpuId::parse(text).unwrap_err();
            assert!(fault.message.contains("is no id of a GPU"), "{fault}");
        }
    }
}
