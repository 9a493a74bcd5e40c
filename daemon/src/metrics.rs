//! Figures that a daemon counts about itself, and how Prometheus reads them.
//!
//! [`Counter`] and [`Histogram`] live beside the code that they measure: what is counted is an atomic addition. What is only
//! read (lengths of queues, the state of a cluster) is looked at when somebody asks. A [`Page`] is the answer; its text is in
//! Prometheus' format 0.0.4, which OpenMetrics' readers and `promtool check metrics` take.

mod certificates;
mod instrument;
mod page;
mod process;

pub use certificates::tell_certificates;
pub use instrument::{Counter, Histogram, LATENCY, LONG};
pub use page::{Family, Figure, Figures, Kind, Labels, Page};
pub use process::tell_process;
