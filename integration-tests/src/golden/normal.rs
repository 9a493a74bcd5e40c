//! What differs from run to run, and from machine to machine, replaced by placeholders. They are numbered in the order in
//! which they come up in an operation's calls, so that the same id is the same placeholder there and a call more in one
//! operation changes no other's file.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value, json};

/// Numbers that are what a machine has, and how what is left of them is told.
const MACHINE: [&str; 2] = ["CPU", "MEMORY"];

/// Strings that say which versions a machine runs.
const VERSIONS: [&str; 3] = ["agentVersion", "agentHash", "dockerVersion"];

/// Seconds since 1970 from 2017 to 2096.
const TIMES: Range<f64> = 1.5e9..4e9;

/// Lists in an order of random ids, which is none.
const UNORDERED: [&str; 4] = ["containerInstanceArns", "taskArns", "serviceArns", "protectedTasks"];

/// Attributes that a host has because of where it is and what runs on it.
const OF_THE_HOST: [&str; 6] = [
    "berth.address",
    "berth.capability.",
    "ecs.capability.",
    "com.amazonaws.ecs.capability.",
    "ecs.cpu-architecture",
    "ecs.os-",
];

/// The placeholders of one operation's calls.
#[derive(Debug, Default)]
pub struct Placeholders {
    /// What was given for each string, and how many there are of each kind.
    given: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
}

impl Placeholders {
    /// A request or an answer with placeholders.
    pub fn replace(&mut self, value: &Value) -> Value {
        self.value("", value)
    }

    /// `member` is the name of the member that the value is of.
    fn value(&mut self, member: &str, value: &Value) -> Value {
        match value {
            Value::Object(members) => self.object(member, members),
            Value::Array(elements) => self.list(member, elements),
            Value::String(text) => Value::String(self.text(member, text)),
            Value::Number(_) => number(member, value),
            Value::Null | Value::Bool(_) => value.clone(),
        }
    }

    fn object(&mut self, member: &str, members: &Map<String, Value>) -> Value {
        let mut members = members.clone();
        relate_remaining(&mut members);
        if member == "networkBindings" && members.get("hostPort").is_some_and(Value::is_number) {
            members.insert("hostPort".to_owned(), "<port>".into());
        }
        let replaced = members.iter().map(|(name, of)| (name.clone(), self.value(name, of)));
        Value::Object(replaced.collect())
    }

    fn list(&mut self, member: &str, elements: &[Value]) -> Value {
        let mut elements: Vec<&Value> = elements.iter().filter(|one| !of_the_host(member, one)).collect();
        if UNORDERED.contains(&member) {
            // Those that have a placeholder first, by it; the others are alike.
            elements.sort_by_cached_key(|one| match one.as_str() {
                Some(text) => self.known(text),
                None => self.known(&one.to_string()),
            });
        }
        elements.into_iter().map(|one| self.value(member, one)).collect()
    }

    /// The text with the placeholders that were given before, and every other id alike.
    fn known(&self, text: &str) -> String {
        words(text, |kind, word, _| {
            self.given.get(word).cloned().unwrap_or_else(|| format!("<~{kind}>"))
        })
    }

    fn text(&mut self, member: &str, text: &str) -> String {
        if VERSIONS.contains(&member) {
            return format!("<{member}>");
        }
        if is_time(text) {
            return "<time>".to_owned();
        }
        if member == "nextToken" {
            return self.give("token", text);
        }
        if member == "streamUrl" {
            return self.text("", &without_address(text));
        }
        words(text, |kind, word, _| self.give(kind, word))
    }

    fn give(&mut self, kind: &'static str, word: &str) -> String {
        if let Some(given) = self.given.get(word) {
            return given.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let placeholder = format!("<{kind} {count}>");
        self.given.insert(word.to_owned(), placeholder.clone());
        placeholder
    }
}

/// The text with each word that is an id replaced; `with` is told its kind, the word, and what is before it.
pub fn words(text: &str, mut with: impl FnMut(&'static str, &str, &str) -> String) -> String {
    let of_word = |at: char| at.is_ascii_alphanumeric() || at == '-' || at == '_';
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(of_word) {
        let (before, from) = rest.split_at(start);
        replaced.push_str(before);
        let end = from.find(|at| !of_word(at)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        match kind(word, &replaced) {
            Some(kind) => {
                let placeholder = with(kind, word, &replaced);
                replaced.push_str(&placeholder);
            }
            None => replaced.push_str(word),
        }
        rest = after;
    }
    replaced + rest
}

/// What kind of id a word is by its form, and by what it comes after where the form says little.
fn kind(word: &str, before: &str) -> Option<&'static str> {
    let hexadecimal = |word: &str| word.bytes().all(|at| matches!(at, b'0'..=b'9' | b'a'..=b'f'));
    let digits = |word: &str| word.bytes().all(|at| at.is_ascii_digit());
    let parts: Vec<usize> = word.split('-').map(str::len).collect();
    match word.len() {
        32 if hexadecimal(word) => Some("id"),
        64 if hexadecimal(word) => Some("digest"),
        36 if parts == [8, 4, 4, 4, 12] && word.split('-').all(hexadecimal) => Some("uuid"),
        19 if digits(word) => Some("number"),
        38 if word.strip_prefix("ecs-execute-command-").is_some_and(hexadecimal) => Some("session"),
        20 if word.strip_prefix("mi-").is_some_and(hexadecimal) => Some("host"),
        21 if before.contains(":service-deployment/") && before.ends_with('/') => Some("deployment"),
        _ => None,
    }
}

/// A URL without the host and port that it leads to.
fn without_address(url: &str) -> String {
    let parts = url
        .split_once("://")
        .and_then(|(scheme, rest)| Some((scheme, rest.split_once('/')?)));
    match parts {
        Some((scheme, (_, path))) => format!("{scheme}://<address>/{path}"),
        None => url.to_owned(),
    }
}

/// Whether a text is a time as in `2026-11-22T07:05:39.912Z`.
fn is_time(text: &str) -> bool {
    let form = text.bytes().map(|at| if at.is_ascii_digit() { b'0' } else { at });
    form.eq(*b"0000-00-00T00:00:00.000Z")
}

/// Times and counters; other numbers are as they are. No other number of ECS is of the size that times are of.
fn number(member: &str, value: &Value) -> Value {
    match member {
        _ if value.as_f64().is_some_and(|seconds| TIMES.contains(&seconds)) => json!("<time>"),
        // How many changes there were of something depends on how they were told together.
        "version" => json!("<version>"),
        _ => value.clone(),
    }
}

/// Where an object tells what is registered and what remains, what a machine has becomes a name and the rest a difference.
fn relate_remaining(members: &mut Map<String, Value>) {
    let has = |resources: &Value, name: &str| {
        let mut all = resources.as_array().into_iter().flatten();
        all.find(|one| one["name"] == name)
            .and_then(|one| one["integerValue"].as_i64())
    };
    let Some(registered) = members.get("registeredResources").cloned() else {
        return;
    };
    for list in ["registeredResources", "remainingResources"] {
        let Some(Value::Array(resources)) = members.get_mut(list) else {
            continue;
        };
        for resource in resources {
            for name in MACHINE {
                if resource["name"] != name {
                    continue;
                }
                if let (Some(all), Some(left)) = (has(&registered, name), resource["integerValue"].as_i64()) {
                    resource["integerValue"] = match all - left {
                        0 => format!("<{name}>").into(),
                        taken => format!("<{name}> - {taken}").into(),
                    };
                }
            }
        }
    }
}

/// An attribute that says what a host can do, which another host cannot.
fn of_the_host(member: &str, element: &Value) -> bool {
    let name = element["name"].as_str().unwrap_or_default();
    member == "attributes" && OF_THE_HOST.iter().any(|begin| name.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_id_is_the_same_placeholder_and_others_are_not() {
        let (one, two) = ("a".repeat(32), "b".repeat(32));
        let value = json!({
            "taskArn": format!("arn:aws:ecs:us-east-1:000000000000:task/golden/{one}"),
            "message": format!("(service front) has started 2 tasks: (task {one}) (task {two})."),
            "startedBy": "ecs-svc/1234567890123456789",
            "name": "a-name-of-no-id",
            "createdAt": 1_795_324_000.125,
            "value": "2026-11-22T07:05:39.912Z",
            "count": 3,
        });
        assert_eq!(
            Placeholders::default().replace(&value),
            json!({
                "taskArn": "arn:aws:ecs:us-east-1:000000000000:task/golden/<id 1>",
                "message": "(service front) has started 2 tasks: (task <id 1>) (task <id 2>).",
                "startedBy": "ecs-svc/<number 1>",
                "name": "a-name-of-no-id",
                "createdAt": "<time>",
                "value": "<time>",
                "count": 3,
            })
        );
    }

    #[test]
    fn a_list_without_an_order_is_the_same_in_every_order() {
        let (one, two) = ("a".repeat(32), "b".repeat(32));
        let normal = |asked: &str, listed: [&str; 2]| {
            let mut placeholders = Placeholders::default();
            placeholders.replace(&json!({"task": asked}));
            placeholders.replace(&json!({"taskArns": listed}))
        };
        for asked in [&one, &two] {
            let listed = normal(asked, [&one, &two]);
            assert_eq!(listed, json!({"taskArns": ["<id 1>", "<id 2>"]}));
            assert_eq!(listed, normal(asked, [&two, &one]));
        }
    }

    #[test]
    fn what_remains_of_a_machine_is_told_by_what_is_taken() {
        let resources = |cpu: u32| json!([{"name": "CPU", "integerValue": cpu}, {"name": "PORTS", "integerValue": 7}]);
        let value = json!({"registeredResources": resources(2048), "remainingResources": resources(2038)});
        let replaced = Placeholders::default().replace(&value);
        assert_eq!(replaced["registeredResources"][0]["integerValue"], "<CPU>");
        assert_eq!(replaced["remainingResources"][0]["integerValue"], "<CPU> - 10");
        assert_eq!(replaced["remainingResources"][1]["integerValue"], 7);
    }
}
