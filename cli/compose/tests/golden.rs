//! Projects as they are written, and what they become: `golden/NAME` has the files and `expected.json`.
//!
//! With `BERTH_BLESS` set the expected files are written anew, to be looked at with `git diff`.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may panic, its helpers too, and read and write files"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use berth_compose::{Files, Options, Request, Translation, Variables, translate};

/// A directory as `/project`.
struct Folder<'p>(&'p Path);

impl Files for Folder<'_> {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        let Some(inside) = path.strip_prefix("/project/") else {
            return Ok(None);
        };
        match std::fs::read_to_string(self.0.join(inside)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn translated(name: &str, files: &[&str], gateway: Option<&str>, profiles: &[&str]) -> Translation {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let variables = [("USER", "me"), ("TAG", "1.2"), ("SECRET_TOKEN", "t0ken")];
    let request = Request {
        files: files.iter().map(|file| format!("/project/{file}")).collect(),
        directory: "/project".to_owned(),
        home: Some("/home/me".to_owned()),
        name: Some(name.to_owned()),
        profiles: profiles
            .iter()
            .map(|profile| (*profile).to_owned())
            .collect::<BTreeSet<_>>(),
        named: BTreeSet::new(),
        variables: Variables::new(
            variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        ),
    };
    let options = Options {
        gateway: gateway.map(str::to_owned),
        default_memory: 128,
        scale: BTreeMap::new(),
    };
    translate(&request, &Folder(&folder), &options).unwrap()
}

fn check(name: &str, files: &[&str], gateway: Option<&str>, profiles: &[&str]) {
    let translation = translated(name, files, gateway, profiles);
    let text = serde_json::to_string_pretty(&translation).unwrap() + "\n";
    let expected = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
        .join("expected.json");
    if std::env::var_os("BERTH_BLESS").is_some() {
        std::fs::write(&expected, text).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(&expected).unwrap_or_default();
    assert!(text == wanted, "{name} becomes something else:\n{text}");
}

#[test]
fn a_site_with_its_database() {
    check("wordpress", &["compose.yaml"], None, &[]);
}

#[test]
fn a_shop_behind_gateways() {
    check(
        "shop",
        &["compose.yaml", "compose.prod.yaml"],
        Some("10.0.0.9"),
        &["metrics"],
    );
}

#[test]
fn everything_that_a_service_can_say() {
    check("everything", &["compose.yaml"], None, &[]);
}
