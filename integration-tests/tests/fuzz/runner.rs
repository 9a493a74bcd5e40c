//! Runs one parser over many inputs.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::input::{Chance, mutated};

/// Inputs of a short run.
const SHORT: u32 = 3000;
/// Inputs that are kept to make others from.
const POOL: usize = 512;
/// Bytes of an input.
const LONGEST: usize = 4096;
/// What one input may take of a core, in a debug build. All parsers here are linear in an input that is this short.
const PATIENCE: Duration = Duration::from_millis(750);

/// One parser.
pub(crate) struct Target {
    /// Its folder in the corpus.
    pub(crate) corpus: &'static str,
    /// What stands in its inputs.
    pub(crate) tokens: &'static [&'static str],
    /// Says whether it accepts the input, or what does not hold.
    pub(crate) check: fn(&str) -> Result<bool, String>,
}

/// Tries the corpus, then inputs made from it.
///
/// # Panics
/// On the first input of which something does not hold.
pub(crate) fn hold(target: &Target) {
    let mut pool = corpus(target.corpus);
    let accepted = pool.iter().filter(|input| attempt(target, input)).count();
    assert!(accepted > 0, "nothing in the corpus of {} is accepted", target.corpus);
    let (seed, limit) = length();
    let mut chance = Chance::new(seed);
    let begun = Instant::now();
    let mut tried = 0_u32;
    let mut accepted = 0_usize;
    while limit.is_none_or(|limit| begun.elapsed() < limit) && (limit.is_some() || tried < SHORT) {
        let one = &pool[chance.below(pool.len())];
        let other = &pool[chance.below(pool.len())];
        let input = shortened(mutated(one, other, target.tokens, &mut chance));
        tried += 1;
        if attempt(target, &input) {
            accepted += 1;
            if pool.len() < POOL {
                pool.push(input);
            } else {
                let replaced = chance.below(POOL);
                pool[replaced] = input;
            }
        }
    }
    if limit.is_some() {
        eprintln!("{}: seed {seed}, {tried} inputs, {accepted} accepted", target.corpus);
    }
}

/// The seed, and how long to go on; nothing for a short run.
fn length() -> (u64, Option<Duration>) {
    let seconds = std::env::var("BERTH_FUZZ_SECONDS").ok();
    match seconds.and_then(|text| text.parse().ok()) {
        None => (1, None),
        Some(seconds) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            (
                u64::from(now.subsec_nanos()) | now.as_secs() << 32,
                Some(Duration::from_secs(seconds)),
            )
        }
    }
}

fn attempt(target: &Target, input: &str) -> bool {
    let before = thread_time();
    let outcome = catch_unwind(|| (target.check)(input));
    let took = thread_time().saturating_sub(before);
    let broken = match outcome {
        Ok(Ok(accepted)) if took <= PATIENCE => return accepted,
        Ok(Ok(_)) => format!("it takes {took:?}"),
        Ok(Err(what)) => what,
        Err(_) => "it panics".to_owned(),
    };
    panic!("{}: {broken}\ninput: {input:?}\n{input}", target.corpus);
}

fn corpus(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(folder);
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut inputs = Vec::new();
    for file in files {
        let content = std::fs::read_to_string(&file).unwrap();
        if file.extension().is_some_and(|extension| extension == "txt") {
            inputs.extend(content.lines().map(str::to_owned));
        } else {
            inputs.push(content);
        }
    }
    inputs
}

fn shortened(mut input: String) -> String {
    let mut end = LONGEST.min(input.len());
    while !input.is_char_boundary(end) {
        end -= 1;
    }
    input.truncate(end);
    input
}

/// What this thread has had of a core: another process that takes it does not make a parser slow.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}
