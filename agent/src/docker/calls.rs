//! The calls to Docker: each by its name, with a deadline, and timed.

use std::future::Future;
use std::time::{Duration, Instant};

use berth_agent_core::failure::Failure;
use berth_daemon::metrics::{Counter, Histogram, LONG, Page};
use bollard::errors::Error;

use super::failure::{from_bollard, late};

/// Makes the list of calls: how each is named among the figures, and what Docker is asked to do, in words.
macro_rules! calls {
    ($($call:ident $name:literal $words:literal,)+) => {
        /// What Docker is asked to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Call {
            $(#[doc = $words] $call,)+
        }

        impl Call {
            /// All of them, in the order of their declaration.
            const ALL: &'static [Self] = &[$(Self::$call),+];

            const fn name(self) -> &'static str {
                match self {
                    $(Self::$call => $name,)+
                }
            }

            /// As in: Docker was asked to ...
            pub(super) const fn words(self) -> &'static str {
                match self {
                    $(Self::$call => $words,)+
                }
            }
        }
    };
}

calls! {
    Ping "ping" "answer a ping",
    Version "version" "tell its version",
    Info "info" "tell of itself",
    Create "create_container" "create the container",
    Start "start_container" "start the container",
    Inspect "inspect_container" "inspect the container",
    Signal "signal_container" "signal the container",
    Remove "remove_container" "remove the container",
    List "list_containers" "list the containers",
    InspectVolume "inspect_volume" "inspect the volume",
    CreateVolume "create_volume" "create the volume",
    ListVolumes "list_volumes" "list the volumes",
    RemoveVolume "remove_volume" "remove the volume",
    InspectNetwork "inspect_network" "inspect the network",
    CreateNetwork "create_network" "create the network of tasks",
    PullImage "pull_image" "pull the image",
    ImportImage "import_image" "import the pause image",
    InspectImage "inspect_image" "inspect the image",
    ListImages "list_images" "list the images",
    RemoveImage "remove_image" "remove the image",
    CreateExec "create_exec" "take a command",
    StartExec "start_exec" "run a command",
    ResizeExec "resize_exec" "resize a terminal",
    InspectExec "inspect_exec" "inspect a command",
    ReadLog "read_log" "read a log",
}

/// How calls went since the start.
#[derive(Debug)]
pub(crate) struct Calls(Box<[Figures]>);

#[derive(Debug)]
struct Figures {
    duration: Histogram,
    failures: Counter,
}

/// A call that is under way. Who drops it before its end has given it up, and nothing is counted.
#[derive(Debug)]
pub(crate) struct Timed<'c> {
    figures: Option<&'c Figures>,
    begun: Instant,
}

impl Default for Calls {
    fn default() -> Self {
        let none = |_| Figures {
            duration: Histogram::new(LONG),
            failures: Counter::default(),
        };
        Self(Call::ALL.iter().map(none).collect())
    }
}

impl Timed<'_> {
    /// It has come to its end.
    pub(crate) fn ended(self, well: bool) {
        if let Some(figures) = self.figures {
            figures.duration.observe(self.begun.elapsed());
            if !well {
                figures.failures.increment();
            }
        }
    }
}

impl Calls {
    /// A call begins.
    pub(crate) fn begin(&self, call: Call) -> Timed<'_> {
        let place = Call::ALL.iter().position(|one| *one == call);
        Timed {
            figures: place.and_then(|place| self.0.get(place)),
            begun: Instant::now(),
        }
    }

    /// The call, ended by our deadline.
    ///
    /// The client library's calls are kilobytes each. This one is on the heap from its making to its end, so that of the
    /// many effects that wait for their turn none has room set aside for it.
    pub(super) fn within<T>(
        &self,
        call: Call,
        deadline: Duration,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> impl Future<Output = Result<T, Failure>> {
        let answer = Box::pin(answer);
        async move {
            let answer = async { answer.await.map_err(from_bollard) };
            self.timed(call, deadline, answer).await
        }
    }

    /// The same of a call that the client library does not make.
    pub(super) async fn timed<T>(
        &self,
        call: Call,
        deadline: Duration,
        answer: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let timed = self.begin(call);
        let answer = tokio::time::timeout(deadline, answer).await;
        let answer = answer.unwrap_or_else(|_elapsed| Err(late(call, deadline)));
        timed.ended(answer.is_ok());
        answer
    }

    /// Tells of those calls that were made.
    pub(crate) fn tell(&self, page: &mut Page) {
        let made = || {
            let all = Call::ALL.iter().zip(&self.0);
            all.filter(|(_, figures)| !figures.duration.is_empty())
        };
        let mut durations = page.histogram(
            "berth_docker_call_duration_seconds",
            "Time until Docker had answered, or its time was up, by call.",
        );
        for (call, figures) in made() {
            durations.spread(&[("call", call.name())], &figures.duration);
        }
        let mut failures = page.counter(
            "berth_docker_call_failures_total",
            "Calls to Docker that failed; that something is not there counts as a failure too.",
        );
        for (call, figures) in made() {
            failures.count(&[("call", call.name())], figures.failures.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_agent_core::failure::FailureKind;

    use super::*;

    fn told(calls: &Calls) -> String {
        let mut page = Page::default();
        calls.tell(&mut page);
        page.into_text()
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_counted_when_it_ends_and_as_failed_when_its_time_is_up() {
        let calls = Calls::default();
        let deadline = Duration::from_secs(5);
        calls.within(Call::Ping, deadline, async { Ok(()) }).await.unwrap();
        let late = calls.within::<()>(Call::Ping, deadline, std::future::pending()).await;
        let late = late.unwrap_err();
        assert_eq!(late.kind, FailureKind::TimedOut);
        assert_eq!(
            late.message,
            "Docker was asked to answer a ping and did not answer within 5 s"
        );
        drop(calls.within::<()>(Call::Info, deadline, std::future::pending()));
        let told = told(&calls);
        assert!(
            told.contains("berth_docker_call_duration_seconds_count{call=\"ping\"} 2\n"),
            "{told}"
        );
        assert!(
            told.contains("berth_docker_call_failures_total{call=\"ping\"} 1\n"),
            "{told}"
        );
        assert!(!told.contains("info"), "{told}");
    }
}
