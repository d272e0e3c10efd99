//! What the targets share: the checks of `tests/oracle`, which the property tests use as well.

#[path = "../../oracle/mod.rs"]
pub mod oracle;
