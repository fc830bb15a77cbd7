//! The servers that citystream is tested against: what they need, how they are provisioned, started and stopped.
//!
//! Everything is provisioned under one folder ([`Stack`]) by the package clients of the languages the servers are
//! written in; nothing is installed outside it. Servers bind the loopback address only and end with their owner.

pub mod jars;
pub mod prerequisites;
pub mod process;
pub mod provision;
pub mod servers;
pub mod stack;
mod steps;
pub mod tls;

pub use stack::Stack;
