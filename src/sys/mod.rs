//! What the operating system gives, in safe types.

pub mod proc;
pub mod signals;
pub mod stdio;
