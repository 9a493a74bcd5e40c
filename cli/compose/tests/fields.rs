//! The list of fields against what becomes of them, and against the documentation.
//!
//! With `BERTH_BLESS` set the tables of the documentation are written anew.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a test may panic, its helpers too, and read and write files"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use berth_compose::fields::{Row, compose, dockerrun};
use berth_compose::{Files, Options, Request, Translation, Variables, translate};

struct Text(String);

impl Files for Text {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok((path == "/p/compose.yaml").then(|| self.0.clone()))
    }
}

fn translated(text: &str) -> Translation {
    let request = Request {
        files: vec!["/p/compose.yaml".to_owned()],
        directory: "/p".to_owned(),
        home: None,
        name: None,
        profiles: BTreeSet::new(),
        named: BTreeSet::new(),
        variables: Variables::default(),
    };
    let options = Options {
        gateway: None,
        default_memory: 128,
        scale: BTreeMap::new(),
    };
    translate(&request, &Text(text.to_owned()), &options).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What must stand beside a field for its map to be one.
fn beside(part: &str) -> &'static str {
    match part {
        "ports[*]" => "target: 80, ",
        "volumes[*]" => "type: volume, target: /x, ",
        "env_file[*]" => "path: /p/none, required: false, ",
        _ => "",
    }
}

/// A file in which the field stands, and where it stands there. Any name of a service will do but one that is taken.
fn file(row: &Row) -> (String, String) {
    let parts: Vec<&str> = row.path.split('.').collect();
    let mut text = "x".to_owned();
    let mut path = Vec::new();
    for (at, part) in parts.iter().enumerate().rev() {
        let above = at
            .checked_sub(1)
            .and_then(|above| parts.get(above))
            .copied()
            .unwrap_or_default();
        let name = match (*part, above) {
            ("*", "services") => "web",
            ("*", "depends_on") => "other",
            ("*", _) => "some",
            (part, _) => part,
        };
        let (key, is_list) = name.strip_suffix("[*]").map_or((name, false), |key| (key, true));
        let inside = match is_list {
            true => format!("[{text}]"),
            false => text,
        };
        let image = if name == "web" && above == "services" {
            "image: a, "
        } else {
            ""
        };
        let inside = if image.is_empty() {
            inside
        } else {
            inside.replacen('{', &format!("{{{image}"), 1)
        };
        text = format!("{{{}{key}: {inside}}}", beside(above));
        path.push(if is_list { format!("{key}[0]") } else { key.to_owned() });
    }
    path.reverse();
    let text = if row.path.starts_with("services.") {
        text.replacen("services: {", "services: {other: {image: b}, ", 1)
    } else {
        text.replacen('{', "{services: {web: {image: a}}, ", 1)
    };
    (text, path.join("."))
}

#[test]
fn each_field_that_is_not_honoured_is_named_where_it_stands() {
    let mut count = 0;
    for row in compose().iter().flatten().filter(|row| !row.honoured) {
        let (text, path) = file(row);
        let notes = translated(&text).notes;
        let named = notes
            .iter()
            .any(|note| note.path == path && note.says == row.says && note.lost);
        assert!(named, "{text}: {path} is not named: {notes:#?}");
        count += 1;
    }
    assert!(count > 80, "only {count} fields were tried");
}

#[test]
fn what_is_no_field_is_named_in_every_map() {
    for rows in compose() {
        let Some((parent, _)) = rows.first().and_then(|row| row.path.rsplit_once('.')) else {
            continue;
        };
        let row = Row {
            path: format!("{parent}.novel_field"),
            honoured: false,
            says: "there is no such field",
        };
        let (text, path) = file(&row);
        let notes = translated(&text).notes;
        let named = notes.iter().any(|note| note.path == path && note.says == row.says);
        assert!(named, "{text}: {path} is not named: {notes:#?}");
    }
}

fn table(sections: Vec<Vec<Row>>) -> String {
    let mut table = "| field | | what becomes of it |\n| --- | --- | --- |\n".to_owned();
    for row in sections.into_iter().flatten() {
        let honoured = if row.honoured { "yes" } else { "**no**" };
        table.push_str(&format!(
            "| `{}` | {honoured} | {} |\n",
            row.path,
            row.says.replace('|', "\\|")
        ));
    }
    table
}

#[test]
fn the_documentation_has_the_list_as_it_is() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compose.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let mut written = text.clone();
    for (name, rows) in [("compose", compose()), ("dockerrun", dockerrun())] {
        let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
        let from = written.find(&begin).unwrap() + begin.len();
        let until = written.find(&end).unwrap();
        written.replace_range(from..until, &table(rows));
    }
    if std::env::var_os("BERTH_BLESS").is_some() {
        std::fs::write(&page, written).unwrap();
        return;
    }
    assert!(
        text == written,
        "docs/compose.md is not what the list of fields says: run the test with BERTH_BLESS=1"
    );
}
