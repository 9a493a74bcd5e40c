//! A client of etcd (v3, from 3.4 on), as much of one as a journal needs.
//!
//! Every call is made once, at one member, within a deadline, and says what became of it: what to do about a failure is
//! the caller's, who alone knows what may be done twice. After a failure that another member might not have, the next
//! call goes to the next member.

mod client;
mod error;
mod settings;

/// What goes over the wire.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::missing_errors_doc,
    clippy::must_use_candidate,
    reason = "generated"
)]
pub mod wire {
    tonic::include_proto!("etcdserverpb");
}

mod keys;

pub use client::{Client, Watch};
pub use error::Error;
pub use keys::{compare_absent, compare_mod_revision, compare_value, delete, delete_one, get, prefix_end, put, range};
pub use settings::{Credentials, Settings, Tls};
pub use tonic::Code;
