//! A target group as it lives here: its settings, its targets, and who gets what is new.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::balance::Balancer;
use crate::endpoints::{Service, TargetGroup};
use crate::report::Load;
use crate::target::{Lease, Target};

/// One target group of one service. Listeners hold it for as long as they have connections.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) service: Arc<str>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Arc<TargetGroup>,
    shares: BTreeMap<Arc<str>, u32>,
    targets: Vec<Arc<Target>>,
    balancer: Balancer,
    /// Requests and connections that were given to a target.
    requests: u64,
}

impl Group {
    /// Without targets.
    pub(crate) fn new(service: &Service, settings: &Arc<TargetGroup>) -> Self {
        Self {
            service: Arc::clone(&service.name),
            inner: Mutex::new(Inner {
                settings: Arc::clone(settings),
                shares: service.shares.clone(),
                targets: Vec::new(),
                balancer: Balancer::default(),
                requests: 0,
            }),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn settings(&self) -> Arc<TargetGroup> {
        Arc::clone(&self.inner().settings)
    }

    /// As the table says now.
    pub(crate) fn update(&self, service: &Service, settings: &Arc<TargetGroup>) {
        let mut inner = self.inner();
        inner.settings = Arc::clone(settings);
        inner.shares.clone_from(&service.shares);
    }

    /// Exactly these targets get what is new. Whoever is to leave is told in `leave`, while nobody can get a lease:
    /// what has no lease by then will never have one.
    pub(crate) fn replace_targets(&self, targets: Vec<Arc<Target>>, leave: impl FnOnce()) {
        let mut inner = self.inner();
        inner.targets = targets;
        leave();
    }

    /// What goes to its targets.
    pub(crate) fn load(&self) -> Load {
        let inner = self.inner();
        let stay = inner.targets.iter().filter(|target| !target.leaves());
        Load {
            open: stay.map(|target| target.open()).sum(),
            requests: inner.requests,
        }
    }

    /// The target that gets a request or connection; `None` where there is none that takes anything new. Those in
    /// `tried`, by number, have failed it already, and get it again only where nothing else is as good.
    pub(crate) fn lease(&self, tried: &[u64]) -> Option<Lease> {
        let now = Instant::now();
        let mut inner = self.inner();
        let inner = &mut *inner;
        let mut targets = Vec::with_capacity(inner.targets.len());
        let mut candidates = Vec::with_capacity(inner.targets.len());
        for target in &inner.targets {
            if let Some(candidate) = target.candidate(now, tried.contains(&target.number)) {
                targets.push(target);
                candidates.push(candidate);
            }
        }
        let chosen = inner.balancer.pick(&inner.shares, &candidates)?;
        // Another attempt is no other request.
        inner.requests += u64::from(tried.is_empty());
        // Counted before the next choice is made.
        Some(Lease::new(Arc::clone(targets[chosen])))
    }
}
