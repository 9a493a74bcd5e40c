//! The kinds of request that are measured.

use berth_model::placement::{Constraint, PackBy, SpreadKey, Strategy};
use berth_model::query::Expression;

/// A kind of request.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) strategies: fn() -> Vec<Strategy>,
    pub(crate) constraints: fn() -> Vec<Constraint>,
}

/// The kind that the others are held against.
pub(crate) const BINPACK: &str = "binpack";

pub(crate) const KINDS: [Kind; 6] = [
    Kind {
        name: BINPACK,
        strategies: || vec![Strategy::Binpack(PackBy::Cpu)],
        constraints: Vec::new,
    },
    Kind {
        name: "spread zone",
        strategies: || vec![Strategy::Spread(SpreadKey::Attribute("zone".to_owned()))],
        constraints: Vec::new,
    },
    Kind {
        name: "spread instance",
        strategies: || vec![Strategy::Spread(SpreadKey::Instance)],
        constraints: Vec::new,
    },
    Kind {
        name: "random",
        strategies: || vec![Strategy::Random],
        constraints: Vec::new,
    },
    Kind {
        name: "16 classes",
        strategies: || vec![Strategy::Binpack(PackBy::Cpu)],
        constraints: || {
            let expression =
                Expression::parse("attribute:rack in [r1, r3, r4, r7, r8, r9, r12] or attribute:rack > r14");
            expression.into_iter().map(Constraint::MemberOf).collect()
        },
    },
    Kind {
        name: "distinctInstance",
        strategies: || vec![Strategy::Binpack(PackBy::Cpu)],
        constraints: || vec![Constraint::DistinctInstance],
    },
];
