//! Java's patterns: what they match here, and which are refused.

use super::*;

/// The pattern matches the first list of values as a whole and the second not.
fn check(pattern: &str, matched: &[&str], unmatched: &[&str]) {
    let compiled = match Pattern::parse(pattern) {
        Ok(compiled) => compiled,
        Err(error) => panic!("{pattern}: {error:?}"),
    };
    for value in matched {
        assert!(compiled.matches(value), "{pattern} on {value:?}");
    }
    for value in unmatched {
        assert!(!compiled.matches(value), "{pattern} on {value:?}");
    }
}

fn refused(pattern: &str) -> PatternError {
    match Pattern::parse(pattern) {
        Ok(compiled) => panic!("{pattern} compiled to {:?}", compiled.regex),
        Err(error) => error,
    }
}

#[test]
fn the_whole_value_matches() {
    check("g2.*", &["g2.xlarge", "g2"], &["ag2", "G2", "g3"]);
    check("a|ab", &["a", "ab"], &["abc", "ba"]);
    check("a?b*?c+?d{2}e{1,2}?f{1,}", &["acddef", "bbccddeeff"], &["acdef"]);
    check("", &[""], &["a"]);
    check("^x$", &["x"], &["x\n", "xx"]);
    check(r"\Ax\z", &["x"], &["xx"]);
    check(r"x\Z", &["x"], &["x\n"]);
    check("(?:a)(b)(?<n>c)", &["abc"], &["ab"]);
    check("(?i)Prod-(?-i)A", &["prod-A", "PROD-A"], &["prod-a"]);
    check("(?i:a)b", &["Ab"], &["AB"]);
    check("(?s).(?m:^|x)", &["\n"], &["ay"]);
    check(r"\ba\Bb\b", &["ab"], &["a"]);
}

#[test]
fn classes_mean_what_they_mean_in_java() {
    check(r"\d\w\s\D\W\S", &["1_ a-b"], &["a_ a-b"]);
    // ASCII only, unlike the engine's own.
    check(r"\d", &["7"], &["٣"]);
    check(r"\w", &["w"], &["é"]);
    check(r"\h\H\v\V", &[" a\n "], &["aa\n "]);
    check(r"\R", &["\r\n", "\n", "\u{2028}"], &["\r\r", "x"]);
    check(r"[\h\d]+", &["1 2\t"], &["a"]);
    check(r"\p{Lower}\p{Upper}\P{Digit}\p{XDigit}", &["aBcf"], &["aB1f", "éBcf"]);
    check(r"[\p{Alpha}_]+", &["ab_"], &["a1"]);
    check(r"\p{L}\pL\p{IsLatin}", &["éab"], &["1ab"]);
    check("[a-c[x-z]]", &["b", "y"], &["m"]);
    check("[a-z&&[^m]]", &["a"], &["m"]);
    check("[a-z&&def]", &["d"], &["a"]);
    check("[]a]", &["]", "a"], &["b"]);
    check("[^]a]", &["b"], &["]", "a"]);
    check(r"[\w-.]+", &["a-b.c"], &["a b"]);
    check("[a~~b]+", &["a~b"], &["c"]);
    check("[a#&-]+", &["a#&-"], &["b"]);
    check("[.*+?(){}|^$]+", &[".*+?(){}|^$"], &["a"]);
}

#[test]
fn escapes_mean_what_they_mean_in_java() {
    check(r"\Qa.b*\E.", &["a.b*c"], &["aXb*c"]);
    check(r"a\Q(", &["a("], &["a"]);
    check(r"[\Q]^-\E]+", &["]^-"], &["a"]);
    check(r"\Qab\E+", &["abb"], &["abab"]);
    check(r"\.\-\<\>\/\@\ \#\é", &[".-<>/@ #é"], &["a"]);
    check(r"\x41\x{42}+\u0043\t\e\a", &["ABBC\t\u{1b}\u{7}"], &["A"]);
    check(r"[\x{41}-\x{43}]", &["B"], &["D"]);
}

#[test]
fn what_takes_more_than_linear_time_is_refused_by_name() {
    for (pattern, offset, name) in [
        ("a(?=b)", 1, "lookahead"),
        ("(?!b)a", 0, "negative lookahead"),
        ("(?<=a)b", 0, "lookbehind"),
        ("(?<!a)b", 0, "negative lookbehind"),
        ("(?>a)", 0, "an atomic group"),
        (r"(a)\1", 3, "a backreference"),
        (r"(?<n>a)\k<n>", 7, "a backreference"),
        ("a*+", 2, "a possessive quantifier"),
        ("a++", 2, "a possessive quantifier"),
        ("a?+", 2, "a possessive quantifier"),
        ("a{2}+", 4, "a possessive quantifier"),
    ] {
        let error = refused(pattern);
        assert_eq!(error.problem, PatternProblem::NotLinear(name), "{pattern}");
        assert_eq!(error.offset, offset, "{pattern}");
    }
}

#[test]
fn what_only_java_has_is_refused_by_name() {
    for (pattern, message) in [
        ("(?x)a", "'x' after (? (flags are i, s and m) is not supported"),
        ("(?iU)a", "'U' after (? (flags are i, s and m) is not supported"),
        ("(?P<n>a)", "'P' after (? (flags are i, s and m) is not supported"),
        ("(?#a)", "'#' after (? (flags are i, s and m) is not supported"),
        (r"\012", r"the escape \0 is not supported"),
        (r"\cA", r"the escape \c is not supported"),
        (r"\X", r"the escape \X is not supported"),
        (r"\G", r"the escape \G is not supported"),
        (r"\y", r"the escape \y is not supported"),
        (r"a\E", r"the escape \E is not supported"),
        (r"[\R]", r"the escape \R is not supported"),
        (r"\b{g}", r"\b{...} is not supported"),
        (r"\p{javaLowerCase}", r"the class \p{javaLowerCase} is not supported"),
        (r"\P{InGreek}", r"the class \P{InGreek} is not supported"),
        (
            "[[:alpha:]]",
            r"a class such as [:alpha:] (write \p{Alpha}) is not supported",
        ),
        ("[+--]", "-- in a character class is not supported"),
    ] {
        assert_eq!(refused(pattern).problem.to_string(), message, "{pattern}");
    }
}

#[test]
fn what_is_no_pattern_is_refused() {
    for (pattern, message) in [
        ("a)|(b", "the group was never opened"),
        ("(a", "the group is never closed"),
        (r"a\", "a backslash stands at the end"),
        ("a{2", "the repetition is never closed"),
        ("a**", "a quantifier follows another one"),
        ("a*??", "a quantifier follows another one"),
        ("*a", "repetition operator missing expression"),
        ("[a", "unclosed character class"),
        ("a{2,1}", "invalid repetition count range, the start must be <= the end"),
        (r"\p{Nonsense}", "Unicode property not found"),
    ] {
        assert_eq!(
            refused(pattern).problem,
            PatternProblem::Syntax(message.to_owned()),
            "{pattern}"
        );
    }
}

#[test]
fn what_is_too_large_is_refused() {
    assert_eq!(refused("(a{1,1000}){1,1000}").problem, PatternProblem::TooLarge);
    let deep = format!("{}a{}", "(".repeat(100), ")".repeat(100));
    assert!(matches!(refused(&deep).problem, PatternProblem::Syntax(_)));
    // What backtracking would never finish.
    check("(a*)*b", &["aab"], &[&"a".repeat(100_000)]);
}
