//! Inputs made from other inputs.

/// Characters that parsers trip over.
const ODD: [char; 18] = [
    '\0',
    '\n',
    '\t',
    ' ',
    '\'',
    '"',
    '\\',
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    ':',
    '-',
    'é',
    '\u{2028}',
    '\u{1F600}',
];
/// Numbers at which something ends.
const NUMBERS: [&str; 10] = [
    "0",
    "-1",
    "65535",
    "65536",
    "2147483647",
    "4294967296",
    "9223372036854775807",
    "18446744073709551616",
    "1e309",
    "0.1",
];

/// Numbers that look random and follow from a seed.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of so many.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        usize::try_from(z >> 16).unwrap_or(usize::MAX) % count.max(1)
    }

    fn of<'t>(&mut self, list: &[&'t str]) -> &'t str {
        list[self.below(list.len())]
    }
}

/// The input with one to four changes; some of them take a piece of another input.
pub(crate) fn mutated(input: &str, other: &str, tokens: &[&str], chance: &mut Chance) -> String {
    let mut text: Vec<char> = input.chars().collect();
    let other: Vec<char> = other.chars().collect();
    for _ in 0..=chance.below(4) {
        change(&mut text, &other, tokens, chance);
    }
    text.into_iter().collect()
}

fn change(text: &mut Vec<char>, other: &[char], tokens: &[&str], chance: &mut Chance) {
    let (from, until) = piece(text.len(), chance);
    match chance.below(10) {
        0 => drop(text.drain(from..until)),
        1 => text.truncate(from),
        2 => {
            let (first, last) = piece(other.len(), chance);
            drop(text.splice(from..until, other[first..last].iter().copied()));
        }
        3 => {
            let copies = 1 + chance.below(6);
            let part = text[from..until].repeat(copies);
            drop(text.splice(from..from, part));
        }
        4 | 5 => {
            let token: Vec<char> = chance.of(tokens).chars().collect();
            drop(text.splice(from..from, token));
        }
        6 => {
            let token: Vec<char> = chance.of(tokens).chars().collect();
            drop(text.splice(from..until, token));
        }
        7 => text.insert(from, ODD[chance.below(ODD.len())]),
        8 => {
            let digits = text[from..].iter().take_while(|c| c.is_ascii_digit()).count();
            drop(text.splice(from..from + digits, chance.of(&NUMBERS).chars()));
        }
        _ => {
            if let Some(c) = text.get_mut(from) {
                let near = u32::from(*c) ^ (1 << chance.below(7));
                *c = char::from_u32(near).unwrap_or('?');
            }
        }
    }
}

/// A piece of something so long; a short one more often than not.
fn piece(length: usize, chance: &mut Chance) -> (usize, usize) {
    let from = chance.below(length + 1);
    let longest = if chance.below(3) == 0 { length } else { 12 };
    let until = (from + chance.below(longest + 1)).min(length);
    (from, until)
}
