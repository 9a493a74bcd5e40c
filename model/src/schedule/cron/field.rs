//! Fields of numbers: lists, ranges, steps and names.

use super::super::error::{ExpressionError, Part};
use super::super::expression::number;

/// A field and the numbers that it takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) first: u16,
    pub(super) last: u16,
    /// Names of the numbers, from the first on.
    pub(super) names: &'static [&'static str],
}

/// Numbers up to 255 above the first.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set {
    first: u16,
    bits: [u64; 4],
}

impl Field {
    pub(super) const fn numbers(name: &'static str, first: u16, last: u16) -> Self {
        Self {
            name,
            first,
            last,
            names: &[],
        }
    }

    /// Reads a list of numbers, ranges and steps.
    pub(super) fn read(&self, part: Part<'_>) -> Result<Set, ExpressionError> {
        let part = part.named(self.name);
        let mut set = Set::of(self.first);
        for item in part.split(',') {
            self.read_item(item, &mut set)?;
        }
        Ok(set)
    }

    /// Adds what one item of a list means.
    pub(super) fn read_item(&self, item: Part<'_>, set: &mut Set) -> Result<(), ExpressionError> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        let (first, last) = if range.text() == "*" {
            (self.first, self.last)
        } else if let Some((first, last)) = range.split_once('-') {
            let bounds = (self.number(first)?, self.number(last)?);
            if bounds.0 > bounds.1 {
                return Err(range.breaks(format!(
                    "a range goes upwards; write {first}-{},{}-{last} for one that goes over the end",
                    self.last,
                    self.first,
                    first = first.text(),
                    last = last.text()
                )));
            }
            bounds
        } else {
            let first = self.number(range)?;
            (first, if step.is_some() { self.last } else { first })
        };
        let step = match step {
            None => 1,
            Some(step) => self.step(step)?,
        };
        (first..=last).step_by(step).for_each(|number| set.insert(number));
        Ok(())
    }

    /// One number or name.
    pub(super) fn number(&self, part: Part<'_>) -> Result<u16, ExpressionError> {
        let named = self
            .names
            .iter()
            .position(|name| part.text().eq_ignore_ascii_case(name));
        let number = match named {
            Some(index) => u16::try_from(index).ok().map(|index| self.first + index),
            None => number(part.text()).and_then(|number| u16::try_from(number).ok()),
        };
        number
            .filter(|number| (self.first..=self.last).contains(number))
            .ok_or_else(|| part.breaks(self.rule()))
    }

    fn step(&self, part: Part<'_>) -> Result<usize, ExpressionError> {
        let most = i64::from(self.last);
        number(part.text())
            .filter(|step| (1..=most).contains(step))
            .and_then(|step| usize::try_from(step).ok())
            .ok_or_else(|| part.breaks(format!("a step in {} is 1 to {most}", self.name)))
    }

    fn rule(&self) -> String {
        let Self { name, first, last, .. } = self;
        match (self.names.first(), self.names.last()) {
            (Some(low), Some(high)) => format!("{name} is {first} to {last} or {low} to {high}"),
            _ => format!("{name} is {first} to {last}"),
        }
    }
}

impl Set {
    pub(super) const fn of(first: u16) -> Self {
        Self { first, bits: [0; 4] }
    }

    pub(super) fn insert(&mut self, number: u16) {
        if let Some((word, bit)) = self.place(number) {
            self.bits[word] |= 1 << bit;
        }
    }

    pub(super) fn contains(&self, number: u16) -> bool {
        self.place(number)
            .is_some_and(|(word, bit)| self.bits[word] >> bit & 1 == 1)
    }

    /// The least member that is no less than the number.
    pub(super) fn from(&self, number: u16) -> Option<u16> {
        let (word, bit) = self.place(number.max(self.first))?;
        let rest = self.bits[word] & (u64::MAX << bit);
        let words =
            std::iter::once((word, rest)).chain((word + 1..self.bits.len()).map(|word| (word, self.bits[word])));
        let (word, bits) = words.into_iter().find(|(_, bits)| *bits != 0)?;
        let index = word * 64 + usize::try_from(bits.trailing_zeros()).ok()?;
        u16::try_from(index).ok()?.checked_add(self.first)
    }

    fn place(&self, number: u16) -> Option<(usize, u32)> {
        let index = number.checked_sub(self.first)?;
        let word = usize::from(index / 64);
        (word < self.bits.len()).then_some((word, u32::from(index % 64)))
    }
}
