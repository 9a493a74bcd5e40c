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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::ecs::v1::ContainerDefinition;

    #[test]
    fn what_nobody_knows_is_read_and_written_again() {
        let given = json!({"name": "a", "portMappings": [{"containerPort": 80, "speed": 1.5}], "later": {"x": [null]}});
        let read: ContainerDefinition = serde_json::from_value(given.clone()).unwrap();
        assert_eq!(read.name(), "a");
        assert_eq!(read.unknown_members, r#"{"later":{"x":[null]}}"#);
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(written["later"], given["later"]);
        assert_eq!(written["portMappings"], given["portMappings"]);
    }

    #[test]
    fn what_is_no_object_is_named() {
        let wrong = ContainerDefinition {
            unknown_members: "[1]".to_owned(),
            ..ContainerDefinition::default()
        };
        let error = serde_json::to_value(&wrong).unwrap_err().to_string();
        assert!(error.starts_with("unknown_members is no JSON object"), "{error}");
    }
}
