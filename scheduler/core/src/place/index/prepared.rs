//! A request as the index sees it: what can be found out before the first copy is placed.

use std::collections::BTreeMap;

use berth_model::capacity::PROVIDER_ATTRIBUTE;
use berth_model::placement::{Constraint, SpreadKey, Strategy};
use berth_model::query::Expression;

use super::Index;
use super::bitmap::Bitmap;
use super::class::{ClassId, DomainId, Facet};
use super::group::GroupId;
use super::merge::Area;
use super::ranking::Slot;
use crate::keys::InstanceKey;
use crate::place::fits::eligible;
use crate::place::order::{Chain, Order};
use crate::place::{Request, satisfies};
use crate::state::{Instance, State};

/// Of so many requests with the same beginning of their hash are remembered, as services and callers ask for the same again
/// and again: in few places each, so that finding one takes as long however many there are.
const WAYS: usize = 4;
/// Beginnings of hashes, in bits.
const BITS: u32 = if cfg!(test) { 1 } else { 8 };
/// Instances that are looked at one by one rather than found in order.
const FEW: usize = if cfg!(test) { 4 } else { 512 };
/// The attribute that a definition's processor is held against.
const ARCHITECTURE: &str = "ecs.cpu-architecture";

/// A request and what follows from it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) request: Request,
    /// None where only the scan can tell.
    pub(super) plan: Option<Plan>,
}

/// How to look for a request's instances.
#[derive(Debug)]
pub(super) struct Plan {
    /// Classes whose instances satisfy what classes can tell, in order.
    pub(super) classes: Vec<ClassId>,
    /// The same, apart by domains.
    pub(super) areas: Vec<Area>,
    /// Whose tasks are counted.
    pub(super) group: GroupId,
    /// Facets that the tasks are spread over, the first first.
    pub(super) facets: Vec<usize>,
    /// Whether they are then spread over instances.
    pub(super) by_instance: bool,
    /// Whether chance decides then.
    pub(super) random: bool,
    /// What decides otherwise.
    pub(super) order: Order,
    /// No two tasks of the group on one instance.
    pub(super) distinct: bool,
    /// Ports are to be free: each candidate is asked.
    pub(super) ports: bool,
    /// GPUs that a copy takes.
    pub(super) gpus: u32,
    /// Each candidate must be asked itself, every time.
    pub(super) changing: bool,
    /// Candidates are found by the groups that they have tasks of.
    pub(super) by_group: bool,
    /// Whether more than room, class and group decides whether an instance can take a copy.
    pub(super) asks: bool,
    /// The instances that satisfy what each must be asked itself, once.
    pub(super) chosen: Option<Chosen>,
}

/// Instances that were asked one by one.
#[derive(Debug)]
pub(super) enum Chosen {
    /// In order.
    Few(Vec<Slot>),
    Many(Bitmap),
}

impl Chosen {
    fn of(slots: usize, chosen: impl Iterator<Item = Slot>) -> Self {
        let chosen: Vec<Slot> = chosen.collect();
        if chosen.len() <= FEW {
            return Self::Few(chosen);
        }
        let mut many = Bitmap::new(slots);
        chosen.into_iter().for_each(|slot| many.insert(slot));
        Self::Many(many)
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        match self {
            Self::Few(few) => few.binary_search(&slot).is_ok(),
            Self::Many(many) => many.contains(slot),
        }
    }
}

/// The requests that are remembered, and where.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// A hash of each, apart from it: several are looked at for each call.
    marks: Vec<u64>,
    places: Vec<Option<Box<Prepared>>>,
}

impl Remembered {
    pub(super) fn get(&self, at: usize) -> Option<&Prepared> {
        self.places.get(at)?.as_deref()
    }

    fn find(&self, mark: u64, request: &Request) -> Option<usize> {
        let first = first(mark);
        let marks = self.marks.get(first..first + WAYS)?;
        let is_it = |at: &usize| self.get(*at).is_some_and(|prepared| prepared.request == *request);
        let mut equal = marks.iter().enumerate().filter(|(_, known)| **known == mark);
        equal.find_map(|(way, _)| Some(first + way).filter(is_it))
    }

    /// Remembers a request in the place of the oldest like it; says where.
    fn put(&mut self, mark: u64, prepared: Prepared) -> usize {
        if self.places.is_empty() {
            self.marks = vec![0; WAYS << BITS];
            self.places.resize_with(WAYS << BITS, || None);
        }
        let first = first(mark);
        self.marks[first..first + WAYS].rotate_right(1);
        self.places[first..first + WAYS].rotate_right(1);
        self.marks[first] = mark;
        self.places[first] = Some(Box::new(prepared));
        first
    }
}

/// The first of the places for requests with this hash.
fn first(mark: u64) -> usize {
    usize::try_from(mark >> (u64::BITS - BITS)).unwrap_or(0) * WAYS
}

impl Plan {
    /// The chosen instances, where they are so few that looking at each is best.
    pub(super) fn few(&self) -> Option<&[Slot]> {
        match self.chosen.as_ref()? {
            Chosen::Few(few) => Some(few),
            Chosen::Many(_) => None,
        }
    }

    /// Whether an order decides, so that rankings are all that it takes.
    pub(super) fn is_ordered(&self) -> bool {
        !self.random && !self.by_group && self.few().is_none()
    }

    /// Whether more than room and class decides whether an instance can take a copy.
    pub(super) const fn asks_each(&self) -> bool {
        self.asks || self.distinct
    }

    /// Whether chance alone decides among all that can take a copy.
    pub(super) fn is_by_lot(&self) -> bool {
        self.random && self.facets.is_empty() && !self.by_group && self.few().is_none()
    }
}

impl Index {
    /// The place of the request among those that are remembered.
    pub(super) fn prepare(&mut self, state: &State, request: &Request) -> usize {
        let mark = mark(request);
        if let Some(known) = self.remembered.find(mark, request) {
            return known;
        }
        let (ids, cluster) = (self.slots.ids(), self.cluster);
        let instance = &|slot: Slot| {
            let instance = *ids.get(slot as usize)?;
            state.instance(InstanceKey { cluster, instance })
        };
        let unknown: Vec<Facet> = facets(request)
            .into_iter()
            .filter(|facet| !self.classes.knows(facet))
            .collect();
        for facet in unknown {
            let all = self.slots.all().filter_map(instance);
            self.classes.learn(facet, all);
            // The next facet is judged by the classes that this one makes.
            self.classify(instance);
        }
        let plan = self.plan(request, instance);
        let request = request.clone();
        self.remembered.put(mark, Prepared { request, plan })
    }

    fn plan<'i>(&mut self, request: &Request, instance: &impl Fn(Slot) -> Option<&'i Instance>) -> Option<Plan> {
        let chain = Chain::of(&request.strategies);
        let (facets, by_instance) = self.shape(&chain)?;
        if by_instance && chain.random {
            return None;
        }
        let personal = self::facets(request)
            .iter()
            .any(|facet| self.classes.is_personal(facet));
        let changing = request
            .expressions()
            .any(|expression| expression.mentions().per_instance);
        let speaks = |class: &ClassId| {
            let example = instance(self.classes.get(*class).example);
            example.is_some_and(|example| example.connected && self.class_allows(example, request))
        };
        let classes: Vec<ClassId> = self.classes.ids().filter(speaks).collect();
        let chosen = (personal && !changing).then(|| {
            let all = self.slots.all();
            let is_eligible = |slot: &Slot| instance(*slot).is_some_and(|instance| eligible(instance, request));
            Chosen::of(self.slots.len(), all.filter(is_eligible))
        });
        let group = self.groups.number(&request.group);
        let by_group = changing && needed_groups(request).is_some();
        if by_group {
            self.groups.keep_members(&self.slots);
        }
        for facet in &facets {
            let domains = self.classes.spread_over(*facet);
            let (slots, classes) = (&self.slots, &self.classes);
            let counts = slots.all().map(|slot| (slot, slots.count(slot, group)));
            let domain = |slot: Slot| classes.get(slots.class(slot)).domain(*facet);
            let group = self.groups.get_mut(group);
            group.count_domains(*facet, domains, counts, domain);
        }
        // Where chance decides, an order is rarely asked for.
        if chain.random {
            let demand = &request.demand;
            self.slots.keep_octaves(demand.cpu.0, demand.memory.0);
        } else {
            self.rank(chain.order, &classes);
        }
        let mut areas: BTreeMap<Vec<DomainId>, Vec<ClassId>> = BTreeMap::new();
        for class in &classes {
            let domains = facets.iter().map(|facet| self.classes.get(*class).domain(*facet));
            areas.entry(domains.collect()).or_default().push(*class);
        }
        let areas = areas.into_iter().map(|(domains, classes)| Area { domains, classes });
        Some(Plan {
            areas: areas.collect(),
            classes,
            group,
            facets,
            by_instance,
            random: chain.random,
            order: chain.order,
            distinct: request.constraints.contains(&Constraint::DistinctInstance),
            ports: !request.demand.ports.is_empty(),
            gpus: request.demand.gpus.0,
            changing,
            by_group,
            asks: changing || chosen.is_some() || !request.demand.ports.is_empty() || !request.demand.gpus.is_none(),
            chosen,
        })
    }

    /// Forgets what was found out about requests.
    pub(super) fn forget_requests(&mut self) {
        self.remembered = Remembered::default();
    }

    /// Ranks the instances of each class in the order, unless they are.
    pub(super) fn rank(&mut self, order: Order, classes: &[ClassId]) {
        let slots = &self.slots;
        for class in classes {
            self.classes.get_mut(*class).rank(order, |slot| slots.free(slot));
        }
    }

    /// Whether an instance satisfies what its class can tell of the request.
    fn class_allows(&self, example: &Instance, request: &Request) -> bool {
        let by_class = |name: &str| !self.classes.is_personal(&Facet::Attribute(name.to_owned()));
        let architecture = request.cpu_architecture.filter(|_| by_class(ARCHITECTURE));
        let mut required = request.required_attributes.iter().filter(|name| by_class(name));
        let mut told = request.expressions().filter(|expression| {
            let mentions = expression.mentions();
            let version = mentions.agent_version && self.classes.is_personal(&Facet::AgentVersion);
            !mentions.per_instance && !version && mentions.attributes.iter().all(|name| by_class(name))
        });
        let pool = request.pool.as_ref().filter(|_| by_class(PROVIDER_ATTRIBUTE));
        pool.is_none_or(|pool| pool.has(example))
            && architecture.is_none_or(|wanted| example.attribute(ARCHITECTURE).flatten() == Some(wanted))
            && required.all(|name| example.attribute(name).is_some())
            && told.all(|expression| satisfies(example, expression))
    }

    /// What the rules spread over: facets, then perhaps instances, then only resources. Any other order of rules is the
    /// scan's.
    fn shape(&self, chain: &Chain) -> Option<(Vec<usize>, bool)> {
        let mut facets = Vec::new();
        let mut by_instance = false;
        let mut packs = false;
        for rule in &chain.rules {
            match rule {
                Strategy::Spread(SpreadKey::Attribute(name)) if !by_instance && !packs => {
                    facets.push(self.classes.position(&Facet::Attribute(name.clone()))?);
                }
                Strategy::Spread(SpreadKey::Instance) if !packs => by_instance = true,
                // The order has the first resource and then the other.
                Strategy::Binpack(by) if !chain.random && (packs || chain.order == Order::of(*by)) => packs = true,
                Strategy::Spread(_) | Strategy::Binpack(_) | Strategy::Random => return None,
            }
        }
        Some((facets, by_instance))
    }
}

/// What tells most requests apart without comparing them: a hash of size and group.
fn mark(request: &Request) -> u64 {
    let mix = |mark: u64, word: u64| (mark.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let size = u64::from(request.demand.cpu.0) << 32 | u64::from(request.demand.memory.0);
    let (words, rest) = request.group.as_bytes().as_chunks();
    let mark = words
        .iter()
        .fold(size, |mark, word| mix(mark, u64::from_le_bytes(*word)));
    rest.iter().fold(mark, |mark, byte| mix(mark, u64::from(*byte)))
}

/// Everything about instances that the request asks about.
fn facets(request: &Request) -> Vec<Facet> {
    let mut facets: Vec<Facet> = Vec::new();
    let attribute = |name: &str| Facet::Attribute(name.to_owned());
    facets.extend(request.required_attributes.iter().map(|name| attribute(name)));
    facets.extend(request.pool.as_ref().map(|_| attribute(PROVIDER_ATTRIBUTE)));
    facets.extend(request.cpu_architecture.map(|_| attribute(ARCHITECTURE)));
    for expression in request.expressions() {
        let mentions = expression.mentions();
        facets.extend(mentions.attributes.into_iter().map(attribute));
        facets.extend(mentions.agent_version.then_some(Facet::AgentVersion));
    }
    for rule in Chain::of(&request.strategies).rules {
        if let Strategy::Spread(SpreadKey::Attribute(name)) = rule {
            facets.push(Facet::Attribute(name));
        }
    }
    facets.sort();
    facets.dedup();
    facets
}

/// The groups that an instance must have a task of, as far as the request says so.
pub(super) fn needed_groups(request: &Request) -> Option<impl Fn(&str) -> bool> {
    let needing: Vec<&Expression> = request
        .expressions()
        .filter(|expression| expression.needs_task_group("").is_some())
        .collect();
    (!needing.is_empty()).then_some(move |group: &str| {
        needing
            .iter()
            .all(|expression| expression.needs_task_group(group) == Some(true))
    })
}
