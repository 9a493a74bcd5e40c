//! How full Docker's disk is, and what follows from it: images go above one watermark until another is reached, and new
//! tasks are refused above a third until there is room again.

use std::time::Duration;

use berth_model::time::Timestamp;

/// Percentages at which something begins or ends; `low <= clean <= refuse`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// Images go until it is below this.
    pub low: u8,
    /// Images go from here on.
    pub clean: u8,
    /// New tasks are refused from here on.
    pub refuse: u8,
}

/// How full a disk is, in percent, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Of the bytes that are not kept for root.
    pub bytes: u8,
    /// Of the inodes; 0 where the file system has no bound.
    pub inodes: u8,
}

/// The disk, from one measurement to the next.
#[derive(Debug, Clone)]
pub struct Gauge {
    marks: Watermarks,
    fill: Fill,
    cleaning: bool,
    refusing: bool,
}

impl Watermarks {
    /// Whether there is room again.
    #[must_use]
    pub fn is_low(self, fill: Fill) -> bool {
        fill.worst() < self.low
    }

    /// Below this tasks are taken again: half-way back, so that a disk at the limit does not waver.
    fn resume(self) -> u8 {
        self.clean + (self.refuse - self.clean) / 2
    }
}

impl Fill {
    /// From what a file system says of itself: in blocks all, free and free for others than root; in inodes all and free.
    #[must_use]
    pub fn of(blocks: [u64; 3], inodes: [u64; 2]) -> Self {
        let [all, free, available] = blocks;
        let used = all.saturating_sub(free);
        Self {
            bytes: percent(used, used + available),
            inodes: percent(inodes[0].saturating_sub(inodes[1]), inodes[0]),
        }
    }

    /// The scarcer of the two.
    #[must_use]
    pub fn worst(self) -> u8 {
        self.bytes.max(self.inodes)
    }
}

fn percent(part: u64, whole: u64) -> u8 {
    let percent = (u128::from(part) * 100).div_ceil(u128::from(whole).max(1));
    u8::try_from(percent).unwrap_or(100).min(100)
}

impl Gauge {
    /// A gauge that has not measured yet: the disk counts as empty.
    #[must_use]
    pub fn new(marks: Watermarks) -> Self {
        Self {
            marks,
            fill: Fill { bytes: 0, inodes: 0 },
            cleaning: false,
            refusing: false,
        }
    }

    /// Takes in a measurement. Says whether anything changes by it.
    pub fn measured(&mut self, fill: Fill) -> bool {
        let before = (self.cleaning, self.refusing);
        self.fill = fill;
        let worst = fill.worst();
        self.cleaning = worst
            >= if self.cleaning {
                self.marks.low
            } else {
                self.marks.clean
            };
        self.refusing = worst
            >= if self.refusing {
                self.marks.resume()
            } else {
                self.marks.refuse
            };
        (self.cleaning, self.refusing) != before
    }

    /// Whether room is wanted.
    #[must_use]
    pub fn wants_room(&self) -> bool {
        self.cleaning
    }

    /// Whether new tasks are refused.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.refusing
    }

    /// What is full, of the disk that holds `place`, in words.
    #[must_use]
    pub fn words(&self, place: &str) -> String {
        let (what, percent) = if self.fill.inodes > self.fill.bytes {
            ("inodes of the disk", self.fill.inodes)
        } else {
            ("disk", self.fill.bytes)
        };
        let verb = if self.fill.inodes > self.fill.bytes {
            "are"
        } else {
            "is"
        };
        let rule = if percent >= self.marks.refuse {
            format!("the limit for new tasks is {} %", self.marks.refuse)
        } else {
            format!("new tasks are taken again below {} %", self.marks.resume())
        };
        format!("the {what} of '{place}' {verb} {percent} % full, {rule}")
    }
}

/// How soon the same disk is cleaned again after nothing more could go.
const PRESSURE_PAUSE: Duration = Duration::from_secs(5);

/// Whether it is time for another round under pressure.
#[must_use]
pub fn pressure_due(last: Option<Timestamp>, now: Timestamp) -> bool {
    last.is_none_or(|last| now < last || now.since(last) >= PRESSURE_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge() -> Gauge {
        Gauge::new(Watermarks {
            low: 70,
            clean: 80,
            refuse: 90,
        })
    }

    fn at(bytes: u8) -> Fill {
        Fill { bytes, inodes: 0 }
    }

    #[test]
    fn cleaning_and_refusing_end_lower_than_they_begin() {
        let mut gauge = gauge();
        let seen = [79, 80, 90, 85, 84, 80, 70, 69, 79].map(|bytes| {
            gauge.measured(at(bytes));
            (gauge.wants_room(), gauge.refuses())
        });
        let (yes, no) = (true, false);
        let expected = [
            (no, no),
            (yes, no),
            (yes, yes),
            (yes, yes),
            (yes, no),
            (yes, no),
            (yes, no),
            (no, no),
            (no, no),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn inodes_count_as_bytes_do() {
        let mut gauge = gauge();
        assert!(gauge.measured(Fill { bytes: 10, inodes: 93 }));
        assert!(gauge.refuses());
        assert_eq!(
            gauge.words("/var/lib/docker"),
            "the inodes of the disk of '/var/lib/docker' are 93 % full, the limit for new tasks is 90 %"
        );
        gauge.measured(at(86));
        assert_eq!(
            gauge.words("/var/lib/docker"),
            "the disk of '/var/lib/docker' is 86 % full, new tasks are taken again below 85 %"
        );
    }

    #[test]
    fn what_is_kept_for_root_does_not_count_as_room() {
        assert_eq!(Fill::of([100, 25, 20], [0, 0]), Fill { bytes: 79, inodes: 0 });
        assert_eq!(Fill::of([100, 0, 0], [10, 1]), Fill { bytes: 100, inodes: 90 });
        assert_eq!(Fill::of([0, 0, 0], [0, 0]), Fill { bytes: 0, inodes: 0 });
    }
}
