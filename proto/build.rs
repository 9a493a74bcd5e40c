//! Generates the wire types from `proto/`, with serde attributes that make their JSON the ECS JSON.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::{env, fs};

use heck::ToUpperCamelCase;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

const FILES: [&str; 12] = [
    "berth/ecs/v1/ecs.proto",
    "berth/agent/v1/agent.proto",
    "berth/gateway/v1/gateway.proto",
    "berth/journal/v1/journal.proto",
    "berth/replica/v1/replica.proto",
    "berth/trust/v1/trust.proto",
    "berth/v1/access_keys.proto",
    "berth/v1/autoscaling.proto",
    "berth/v1/berth.proto",
    "berth/v1/schedules.proto",
    "berth/v1/sessions.proto",
    "berth/v1/trust.proto",
];

/// The package of ECS's operations and shapes.
const ECS: &str = "berth.ecs.v1";

/// Packages whose messages have a form in JSON; those of streams have none.
const WITH_JSON: [&str; 2] = [ECS, "berth.v1"];

/// Shapes of answers: ECS sends their lists also when they are empty.
/// All `*Response` messages belong here too.
const ALWAYS_LISTS: [&str; 8] = [
    "Cluster",
    "ContainerInstance",
    "Container",
    "ScalingPolicy",
    "ScheduleRun",
    "Service",
    "Task",
    "TaskDefinition",
];

/// Of these, the list that ECS leaves out where it is empty: the service goes by its launch type then (ECS API, Service).
const NEVER_EMPTY: [(&str, &str); 1] = [("Service", "capacityProviderStrategy")];

/// Lists of a container definition that ECS sends also when they are empty.
const ALWAYS_LISTS_OF_CONTAINER_DEFINITION: [&str; 4] = ["environment", "mountPoints", "portMappings", "volumesFrom"];

/// The field that holds what JSON has beside the known members.
const UNKNOWN_MEMBERS: &str = "unknown_members";

/// Messages that only tell an empty list from one that is absent, which proto3 does not: in JSON they are their list.
const TRANSPARENT: [&str; 4] = [
    "berth.ecs.v1.CapacityProviderStrategyItemList",
    "berth.ecs.v1.LoadBalancerList",
    "berth.ecs.v1.PlacementConstraintList",
    "berth.ecs.v1.PlacementStrategyList",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let mut config = tonic_prost_build::Config::new();
    config.btree_map(["."]);
    for (message, attributes) in messages_with_json(&descriptors) {
        config.message_attribute(format!(".{message}"), "#[derive(serde::Serialize, serde::Deserialize)]");
        if TRANSPARENT.contains(&message.as_str()) {
            config.message_attribute(format!(".{message}"), "#[serde(transparent)]");
            continue;
        }
        for (field, attribute) in attributes {
            config.field_attribute(format!(".{message}.{field}"), attribute);
        }
    }
    // Without the generated `connect`, whose name the agent's rpc has: clients are made from a channel.
    let forgetting = forgetting_unknown_members(&descriptors);
    tonic_prost_build::configure()
        .build_transport(false)
        .compile_fds_with_config(descriptors, config)?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("forget.rs"), forgetting)?;
    Ok(())
}

/// A method for each message that has unknown members, or holds messages that have them, to forget them all.
fn forgetting_unknown_members(descriptors: &FileDescriptorSet) -> String {
    let files = descriptors.file.iter().filter(|file| file.package() == ECS);
    let messages: BTreeMap<String, &DescriptorProto> = files
        .flat_map(|file| &file.message_type)
        .map(|message| (format!(".{ECS}.{}", message.name()), message))
        .collect();
    let forget = |message: &DescriptorProto| -> Vec<String> {
        let statement = |field: &FieldDescriptorProto| {
            let name = field.name();
            if name == UNKNOWN_MEMBERS {
                return Some(format!("self.{name}.clear();"));
            }
            has_unknown_members(messages.get(field.type_name())?, &messages)
                .then(|| format!("self.{name}.iter_mut().for_each(|one| one.forget_unknown_members());"))
        };
        message.field.iter().filter_map(statement).collect()
    };
    let methods = messages.values().map(|message| (message.name(), forget(message)));
    methods
        .filter(|(_, statements)| !statements.is_empty())
        .map(|(name, statements)| {
            let name = name.to_upper_camel_case();
            format!(
                "impl {name} {{\n/// Forgets what JSON had beside the known members, here and in what it holds.\n\
                 pub fn forget_unknown_members(&mut self) {{ {} }}\n}}\n",
                statements.join(" ")
            )
        })
        .collect()
}

fn has_unknown_members(message: &DescriptorProto, messages: &BTreeMap<String, &DescriptorProto>) -> bool {
    message.field.iter().any(|field| {
        let held = messages.get(field.type_name());
        field.name() == UNKNOWN_MEMBERS || held.is_some_and(|held| has_unknown_members(held, messages))
    })
}

/// Each such message, by its full name, with the serde attribute of each of its fields.
fn messages_with_json(descriptors: &FileDescriptorSet) -> Vec<(String, Vec<(String, String)>)> {
    descriptors
        .file
        .iter()
        .filter(|file| WITH_JSON.contains(&file.package()))
        .flat_map(|file| file.message_type.iter().map(|message| (file.package(), message)))
        .map(|(package, message)| (format!("{package}.{}", message.name()), field_attributes(message)))
        .collect()
}

fn field_attributes(message: &DescriptorProto) -> Vec<(String, String)> {
    let always = message.name().ends_with("Response") || ALWAYS_LISTS.contains(&message.name());
    let is_map = |type_name: &str| {
        message.nested_type.iter().any(|nested| {
            nested.options.as_ref().is_some_and(|o| o.map_entry())
                && type_name.ends_with(&format!(".{}", nested.name()))
        })
    };
    message
        .field
        .iter()
        .map(|field| {
            let json = field.json_name();
            let attribute = if field.name() == UNKNOWN_MEMBERS {
                "#[serde(flatten, with = \"crate::unknown\")]".to_owned()
            } else if field.label() == Label::Repeated {
                let map = field.r#type() == Type::Message && is_map(field.type_name());
                let keep_empty = !map
                    && !NEVER_EMPTY.contains(&(message.name(), json))
                    && (always
                        || (message.name() == "ContainerDefinition"
                            && ALWAYS_LISTS_OF_CONTAINER_DEFINITION.contains(&json)));
                let skip = match (keep_empty, map) {
                    (true, _) => "",
                    (false, false) => ", skip_serializing_if = \"Vec::is_empty\"",
                    (false, true) => ", skip_serializing_if = \"::std::collections::BTreeMap::is_empty\"",
                };
                format!("#[serde(rename = \"{json}\", default, deserialize_with = \"crate::null_is_absent\"{skip})]")
            } else if field.proto3_optional() || field.r#type() == Type::Message {
                format!("#[serde(rename = \"{json}\", default, skip_serializing_if = \"Option::is_none\")]")
            } else {
                format!("#[serde(rename = \"{json}\", default)]")
            };
            (field.name().to_owned(), attribute)
        })
        .collect()
}
