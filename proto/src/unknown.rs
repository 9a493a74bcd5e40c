//! Members of JSON objects that no message knows: kept as the text of an object, written beside the known ones again.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

pub(crate) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let members: Map<String, Value> = match text {
        "" => Map::new(),
        text => serde_json::from_str(text)
            .map_err(|error| S::Error::custom(format!("unknown_members is no JSON object: {error}")))?,
    };
    members.serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let members = Map::<String, Value>::deserialize(deserializer)?;
    if members.is_empty() {
        return Ok(String::new());
    }
    serde_json::to_string(&members).map_err(D::Error::custom)
}
