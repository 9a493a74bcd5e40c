//! `docs/compatibility.md`, made from the lists that the mouths are made from, so that it cannot say what is not so.
//!
//! A test compares the page with what this makes of the lists; `BERTH_WRITE_DOCS=1` has it written anew.

mod definition;
mod operation;

use std::path::Path;

const HEAD: &str = "\
# What of ECS there is

This page is made from the scheduler's own lists; a test holds it to them. `make compatibility` writes it anew.

`yes` is as in ECS, `differs` is there and says how it is not, `no` is refused by name over both wires, with what is there
instead.
";

fn page() -> String {
    format!("{HEAD}\n{}\n{}", operation::section(), definition::section())
}

/// A table of three columns.
fn table(head: [&str; 3], rows: impl Iterator<Item = [String; 3]>) -> String {
    let mut text = format!("| {} |\n| --- | --- | --- |\n", head.join(" | "));
    for row in rows {
        text += &format!("| {} |\n", row.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    text
}

#[test]
fn the_page_says_what_the_lists_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    let page = page();
    if std::env::var_os("BERTH_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/compatibility.md is not what the lists say: `make compatibility` writes it anew"
    );
}
