//! YAML text to a tree. Aliases and merge keys are followed, and what they can grow to is bounded.

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput, Tag};

use crate::node::{Merge, Node, Value};

/// Collections within collections, at most.
const MAX_DEPTH: usize = 64;
/// Bytes that a document may be worth once its aliases are followed.
const MAX_WEIGHT: usize = 8 << 20;
/// Bytes that a value is worth beside its text.
const NODE_WEIGHT: usize = 32;

/// Why a text is no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {rule}")]
pub(crate) struct YamlError {
    /// The line, from 1.
    pub(crate) line: usize,
    /// What is wrong there.
    pub(crate) rule: String,
}

/// Reads one document; an empty text is a document of nothing.
///
/// # Errors
/// The text is no YAML, has several documents or a key twice, or is too large or too deep with its aliases followed.
pub(crate) fn parse(text: &str) -> Result<Node, YamlError> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text, options),
        anchors: BTreeMap::new(),
        weight: 0,
    };
    let mut document = None;
    loop {
        let (event, span) = reader.next()?;
        if event == Event::StreamEnd {
            return Ok(document.unwrap_or_else(|| Node::new(Value::Null, 1)));
        }
        if document.is_some() && matches!(event, Event::DocumentStart(..)) {
            return Err(wrong(&span, "a second document begins; there must be one"));
        }
        if event.is_node() {
            document = Some(reader.node(&event, &span)?.node);
        }
    }
}

fn wrong(span: &Span, rule: impl Into<String>) -> YamlError {
    YamlError {
        line: span.start.line(),
        rule: rule.into(),
    }
}

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
    /// What has a name, by the parser's numbers.
    anchors: BTreeMap<usize, Read>,
    weight: usize,
}

/// A value, how deep it is and what it is worth.
#[derive(Clone)]
struct Read {
    node: Node,
    depth: usize,
    weight: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        match self.events.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(YamlError {
                line: error.marker().line(),
                rule: error.info(),
            }),
            None => Err(YamlError {
                line: 0,
                rule: "the text ends too early".to_owned(),
            }),
        }
    }

    fn node(&mut self, event: &Event<'t>, span: &Span) -> Result<Read, YamlError> {
        let anchor = event.anchor_id();
        let merge = merge_of(event.tag(), span)?;
        if let Some(id) = event.alias_id() {
            let named = self.anchors.get(&id).cloned();
            let read = named.ok_or_else(|| wrong(span, "an alias stands inside of what it names"))?;
            self.take(read.weight, span)?;
            return Ok(read);
        }
        let is_str = event.tag().is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
        let mut read = match (event.scalar(), event) {
            (Some((text, style)), _) => {
                let is_text = style != ScalarStyle::Plain || is_str;
                let value = match text {
                    "" | "~" | "null" | "Null" | "NULL" if !is_text => Value::Null,
                    text => Value::Text(text.to_owned()),
                };
                let weight = NODE_WEIGHT + text.len();
                self.take(weight, span)?;
                let node = Node::new(value, span.start.line());
                Read { node, depth: 0, weight }
            }
            (None, Event::SequenceStart(..)) => self.list(span)?,
            (None, Event::MappingStart(..)) => self.map(span)?,
            (None, _) => return Err(wrong(span, "a value must stand here")),
        };
        if read.depth > MAX_DEPTH {
            return Err(wrong(span, format!("it is nested more than {MAX_DEPTH} deep")));
        }
        read.node.merge = merge;
        if let Some(id) = anchor {
            self.anchors.insert(id, read.clone());
        }
        Ok(read)
    }

    fn list(&mut self, span: &Span) -> Result<Read, YamlError> {
        self.take(NODE_WEIGHT, span)?;
        let mut items = Vec::new();
        let (mut depth, mut weight) = (0, NODE_WEIGHT);
        loop {
            let (event, at) = self.next()?;
            if event == Event::SequenceEnd {
                let node = Node::new(Value::List(items), span.start.line());
                return Ok(Read {
                    node,
                    depth: depth + 1,
                    weight,
                });
            }
            let item = self.node(&event, &at)?;
            depth = depth.max(item.depth);
            weight += item.weight;
            items.push(item.node);
        }
    }

    fn map(&mut self, span: &Span) -> Result<Read, YamlError> {
        self.take(NODE_WEIGHT, span)?;
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut inherited = Vec::new();
        let mut keys = BTreeSet::new();
        let (mut depth, mut weight) = (0, NODE_WEIGHT);
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(&event, &at)?;
            let Some(name) = key_name(&key.node) else {
                return Err(wrong(
                    &at,
                    format!("a key must be a single value, it is {}", key.node.kind()),
                ));
            };
            let (event, place) = self.next()?;
            let value = self.node(&event, &place)?;
            depth = depth.max(value.depth);
            weight += key.weight + value.weight;
            if name == "<<" {
                inherited.push((value.node, place));
                continue;
            }
            if !keys.insert(name.clone()) {
                return Err(wrong(&at, format!("the key '{name}' stands a second time")));
            }
            entries.push((name, value.node));
        }
        for (node, place) in inherited {
            let bases = match node.value {
                Value::List(items) => items,
                Value::Map(_) => vec![node],
                Value::Null | Value::Text(_) => return Err(wrong(&place, "'<<' must name a map, or a list of maps")),
            };
            for base in bases {
                let Value::Map(more) = base.value else {
                    return Err(wrong(&place, "'<<' must name a map, or a list of maps"));
                };
                entries.extend(more.into_iter().filter(|(name, _)| keys.insert(name.clone())));
            }
        }
        let node = Node::new(Value::Map(entries), span.start.line());
        Ok(Read {
            node,
            depth: depth + 1,
            weight,
        })
    }

    fn take(&mut self, weight: usize, span: &Span) -> Result<(), YamlError> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > MAX_WEIGHT {
            return Err(wrong(
                span,
                format!("with its aliases followed it is larger than {MAX_WEIGHT} bytes"),
            ));
        }
        Ok(())
    }
}

fn key_name(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        Value::Null => Some(String::new()),
        Value::List(_) | Value::Map(_) => None,
    }
}

/// Compose's two tags; YAML's own mean nothing here but `!!str`.
fn merge_of(tag: Option<&Tag>, span: &Span) -> Result<Merge, YamlError> {
    match tag {
        None => Ok(Merge::Join),
        Some(tag) if tag.is_yaml_core_schema() => Ok(Merge::Join),
        Some(tag) => match tag.original().as_str() {
            "!" => Ok(Merge::Join),
            "!reset" => Ok(Merge::Reset),
            "!override" => Ok(Merge::Override),
            other => Err(wrong(
                span,
                format!("the tag '{other}' means nothing here; !reset and !override do"),
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(node: &Node, path: &str) -> String {
        let found = path.split('.').fold(node, |node, key| node.get(key).unwrap());
        found.as_text().unwrap().to_owned()
    }

    #[test]
    fn scalars_stay_the_text_that_they_are() {
        let node = parse("a: 1.0\nb: yes\nc: '22:22'\nd: |\n  x\n  y\ne: 0o14\n").unwrap();
        for (key, value) in [
            ("a", "1.0"),
            ("b", "yes"),
            ("c", "22:22"),
            ("d", "x\ny\n"),
            ("e", "0o14"),
        ] {
            assert_eq!(text(&node, key), value, "{key}");
        }
    }

    #[test]
    fn nothing_is_told_from_an_empty_text() {
        let node = parse("a:\nb: ~\nc: null\nd: ''\ne: 'null'\nf: !!str null\n").unwrap();
        for key in ["a", "b", "c"] {
            assert!(node.get(key).unwrap().is_null(), "{key}");
        }
        for (key, value) in [("d", ""), ("e", "null"), ("f", "null")] {
            assert_eq!(text(&node, key), value, "{key}");
        }
        assert!(parse("").unwrap().is_null());
        assert!(parse("# only a comment\n").unwrap().is_null());
    }

    #[test]
    fn aliases_and_merge_keys_are_followed_and_own_keys_win() {
        let node = parse(
            "x: &base\n  image: a\n  user: root\ny: &more {user: me, cpus: 1}\n\
             one:\n  <<: *base\n  image: b\ntwo:\n  <<: [*more, *base]\nthree: *base\n",
        )
        .unwrap();
        assert_eq!(text(&node, "one.image"), "b");
        assert_eq!(text(&node, "one.user"), "root");
        assert_eq!(text(&node, "two.user"), "me");
        assert_eq!(text(&node, "two.image"), "a");
        assert_eq!(text(&node, "three.image"), "a");
    }

    #[test]
    fn lines_are_counted_from_one_and_errors_name_theirs() {
        let node = parse("a: 1\nb:\n  c: 2\n").unwrap();
        assert_eq!(node.get("b").and_then(|b| b.get("c")).map(|c| c.line), Some(3));
        for (wrong, line, part) in [
            ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' stands a second time"),
            ("a: [1, 2\n", 1, "unclosed"),
            ("a: 1\n---\nb: 1\n", 2, "a second document"),
            ("a: *b\n", 1, ""),
            ("[a]: 1\n", 1, "a key must be a single value"),
            ("a: !secret x\n", 1, "the tag '!secret'"),
            ("a: &a [*a]\n", 1, "an alias stands inside"),
            ("a:\n  <<: 1\n", 2, "'<<' must name a map"),
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(error.rule.contains(part), "{wrong:?}: {error}");
            assert_eq!(error.line, line, "{wrong:?}: {error}");
        }
    }

    #[test]
    fn what_aliases_grow_to_is_bounded() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = level - 1;
            bomb.push_str(&format!(
                "a{level}: &a{level} [{}]\n",
                vec![format!("*a{below}"); 10].join(", ")
            ));
        }
        assert!(parse(&bomb).unwrap_err().rule.contains("larger than"));
        let mut tower = "a0: &a0 [x]\n".to_owned();
        for level in 1..100 {
            tower.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
        }
        assert!(parse(&tower).unwrap_err().rule.contains("nested more than"));
        assert!(parse(&"[".repeat(10_000)).is_err());
    }

    #[test]
    fn the_two_tags_of_compose_say_how_values_are_merged() {
        let node = parse("a: !reset null\nb: !override [x]\nc: [y]\n").unwrap();
        let merge = |key: &str| node.get(key).unwrap().merge;
        assert_eq!(
            (merge("a"), merge("b"), merge("c")),
            (Merge::Reset, Merge::Override, Merge::Join)
        );
    }
}
