//! Who signed a request: AWS Signature Version 4 as AWS documents it ("AWS Signature Version 4 for API requests", IAM User
//! Guide), made by clients and verified by schedulers, and the secrets of access keys.
//!
//! Pure: requests, secrets and the time are arguments. What is refused is refused in AWS's class and words.

mod canonical;
mod date;
mod digest;
pub mod presented;
pub mod secret;
pub mod session;
pub mod sign;

pub use canonical::HttpRequest;
pub use date::SigningDate;
pub use presented::Presented;
