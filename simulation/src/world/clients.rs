//! What clients do: ask some replica, wait, ask again.

use super::{Event, World};
use crate::check::Violation;
use crate::workload::{self, Request};

impl World {
    pub(super) fn client_asks(&mut self) {
        if self.peaceful {
            return;
        }
        let now = self.time();
        let (number, request) = self.workload.next(&mut self.random, now);
        self.ask(number, &request);
        let pause = self.random.between(5, 1_000);
        self.after(pause, Event::ClientAsks);
    }

    pub(super) fn ask(&mut self, number: u64, request: &Request) {
        self.workload.asked(number, request);
        let replica = self.random.below(self.seats.len());
        let latency = self.latency();
        self.after(
            latency,
            Event::RequestArrives {
                replica,
                request: number,
            },
        );
        self.after(10_000, Event::RequestDoubted(number));
    }

    pub(super) fn request_arrives(&mut self, replica: usize, number: u64) -> Result<(), Violation> {
        let Some((request, _)) = self.workload.open.get(&number) else {
            return Ok(());
        };
        let ask = workload::command(number, request, self.mutant);
        let epoch = self.seats[replica].epoch;
        self.with_replica((replica, epoch), |replica, _| replica.submit(ask))
    }

    /// No answer has come: a request that may be repeated is.
    pub(super) fn request_doubted(&mut self, number: u64) {
        let Some((request, tries)) = self.workload.open.get_mut(&number) else {
            return;
        };
        let repeatable = match request {
            Request::Run { token, .. } => token.is_some(),
            Request::Register(_) => false,
            Request::CreateCluster
            | Request::Stop(_)
            | Request::CreateService { .. }
            | Request::UpdateService { .. }
            | Request::DeleteService(_)
            | Request::Schedule(_)
            | Request::SetUp(_)
            | Request::TaskSet(_) => true,
        };
        *tries += 1;
        let request = request.clone();
        if repeatable {
            self.ask(number, &request);
        } else {
            self.workload.open.remove(&number);
        }
    }
}
