//! Two texts side by side as a person compares them: what is the same with a few lines around what is not.

/// Lines that are shown around a difference.
const AROUND: usize = 3;

/// What a line is in the longest common sequence of both texts.
enum Line<'t> {
    Same(&'t str),
    Expected(&'t str),
    Found(&'t str),
}

/// The difference: lines that were expected begin with `-`, those that came with `+`.
#[must_use]
pub fn show(expected: &str, found: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let lines = align(&old, &new);
    let differs = |line: &Line<'_>| !matches!(line, Line::Same(_));
    let mut shown = Vec::new();
    let mut left_out = false;
    for (at, line) in lines.iter().enumerate() {
        let near = &lines[at.saturating_sub(AROUND)..lines.len().min(at + AROUND + 1)];
        if !near.iter().any(differs) {
            left_out = true;
            continue;
        }
        if std::mem::take(&mut left_out) {
            shown.push("  ...".to_owned());
        }
        shown.push(match line {
            Line::Same(text) => format!("  {text}"),
            Line::Expected(text) => format!("- {text}"),
            Line::Found(text) => format!("+ {text}"),
        });
    }
    shown.join("\n")
}

/// What both begin and end with is set aside before the table is made.
fn align<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Line<'t>> {
    let same = |(one, other): &(&&str, &&str)| one == other;
    let begin = old.iter().zip(new).take_while(same).count();
    let (old_rest, new_rest) = (&old[begin..], &new[begin..]);
    let end = old_rest
        .iter()
        .rev()
        .zip(new_rest.iter().rev())
        .take_while(same)
        .count();
    let (old_middle, new_middle) = (&old_rest[..old_rest.len() - end], &new_rest[..new_rest.len() - end]);
    let mut lines: Vec<Line<'t>> = old[..begin].iter().map(|line| Line::Same(line)).collect();
    lines.extend(middle(old_middle, new_middle));
    lines.extend(old_rest[old_middle.len()..].iter().map(|line| Line::Same(line)));
    lines
}

fn middle<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<Line<'t>> {
    // `longest[i][j]`: the length of the longest common sequence of what is from i and j on.
    let mut longest = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            longest[i][j] = if old[i] == new[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(Line::Same(old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            lines.push(Line::Expected(old[i]));
            i += 1;
        } else {
            lines.push(Line::Found(new[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_with_what_is_around_it() {
        let old = "1\n2\n3\n4\n5\nsix\n7\n8\n9\n10\n11";
        let new = "1\n2\n3\n4\n5\n6\n6.5\n7\n8\n9\n10\n11";
        let shown = "  ...\n  3\n  4\n  5\n- six\n+ 6\n+ 6.5\n  7\n  8\n  9";
        assert_eq!(show(old, new), shown);
    }
}
