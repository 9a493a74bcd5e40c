//! What the figures are held against, and whether they hold.

use std::fmt;

use crate::kind::{BINPACK, KINDS};
use crate::row::{Cell, Row};

/// Placements a second of `binpack`, at least, in every row.
const BINPACK_RATE: f64 = 1_000_000.0;
/// Of all other kinds: so much of what `binpack` reaches in the same cell.
const OTHERS_SHARE: f64 = 0.2;
/// How much longer the p99 may be on the largest and fullest cluster than on the smallest and emptiest.
const GROWTH: f64 = 2.0;

/// Prints each bar with the row that comes closest to it, or is farthest below.
pub(crate) fn print(rows: &[Row], copies: &[u32]) {
    println!();
    println!(
        "| bar                                                     | worst                                                                 |        |"
    );
    println!(
        "| ------------------------------------------------------- | --------------------------------------------------------------------- | ------ |"
    );
    let binpack = |cell: Cell| rows.iter().find(|row| row.kind == BINPACK && row.cell == cell);
    let slowest = rows
        .iter()
        .filter(|row| row.kind == BINPACK)
        .min_by(|one, other| one.rate.total_cmp(&other.rate));
    if let Some(row) = slowest {
        let bar = format!("{BINPACK}: at least {BINPACK_RATE:.0} a second");
        let worst = format!("{:.0} {}", row.rate, place(row.cell));
        verdict(&bar, &worst, row.rate >= BINPACK_RATE);
    }
    for kind in KINDS.iter().filter(|kind| kind.name != BINPACK) {
        let of_kind = rows.iter().filter(|row| row.kind == kind.name);
        let shares = of_kind.filter_map(|row| {
            let binpack = binpack(row.cell)?;
            Some((row.rate / binpack.rate, row.touched / binpack.touched, row))
        });
        if let Some((share, touched, row)) = shares.min_by(|(one, ..), (other, ..)| one.total_cmp(other)) {
            let bar = format!("{}: at least {OTHERS_SHARE} of binpack's", kind.name);
            let worst = format!("{share:.2}, of its instances/s {touched:.2} {}", place(row.cell));
            verdict(&bar, &worst, share >= OTHERS_SHARE);
        }
    }
    for kind in &KINDS {
        let of_kind: Vec<&Row> = rows.iter().filter(|row| row.kind == kind.name).collect();
        let growths = copies.iter().filter_map(|copies| Growth::of(&of_kind, *copies));
        for (growth, copies) in growths.zip(copies) {
            let bar = format!("{}, {copies} copies: p99 grows to at most {GROWTH:.0} times", kind.name);
            verdict(&bar, &growth.to_string(), growth.last <= GROWTH * growth.alone);
        }
    }
}

/// How the p99 of a copy grows from the smallest and emptiest cluster to the largest and fullest. Copies of one call can
/// be far cheaper than single ones where one machine takes them all, which a full cluster does not have; so all are held
/// against the single ones.
#[derive(Debug)]
struct Growth {
    /// Single copies, at first.
    alone: f64,
    first: f64,
    last: f64,
}

impl Growth {
    fn of(rows: &[&Row], copies: u32) -> Option<Self> {
        let p99s = |copies: u32| {
            let rows = rows.iter().filter(move |row| row.cell.copies == copies);
            rows.map(|row| row.p99)
        };
        Some(Self {
            alone: p99s(1).next()?,
            first: p99s(copies).next()?,
            last: p99s(copies).next_back()?,
        })
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alone, first, last } = self;
        write!(f, "{:.2}: {last:.2} us, single {alone:.2} us", last / alone)?;
        if first < alone {
            write!(f, " ({first:.2})")?;
        }
        Ok(())
    }
}

fn place(cell: Cell) -> String {
    format!(
        "({} copies, {} instances, {} %)",
        cell.copies, cell.instances, cell.load
    )
}

fn verdict(bar: &str, worst: &str, holds: bool) {
    let verdict = if holds { "ok" } else { "MISSED" };
    println!("| {bar:<55} | {worst:<69} | {verdict:<6} |");
}
