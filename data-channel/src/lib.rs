//! The data channel of the session-manager-plugin, which `aws ecs execute-command` starts: the end of it that is an agent's for
//! the plugin.
//!
//! A websocket carries a text that opens the channel ([`Opening`]), and then binary [`Message`]s. What is typed and what comes back
//! is numbered in each direction, acknowledged message by message, and sent again until it is. [`Channel`] is the machine that does
//! this: bytes and the time are its arguments, bytes and [`Event`]s come out of it.
//!
//! Pure: who owns the websocket calls it. The facts are those of the public sources of the plugin and of the agent that it talks to
//! (github.com/aws/session-manager-plugin, github.com/aws/amazon-ssm-agent).

mod channel;
mod message;
mod payload;

pub use channel::{Broken, Channel, Event};
pub use message::{Kind, Malformed, Message, MessageId};
pub use payload::{Opening, OpeningError};
