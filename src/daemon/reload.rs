//! A reload: what of a changed configuration is taken over while the daemon runs.

use defmt_or_log::{info, warn};

use super::parts::{self, FilterSections, LoadedFilters, ProcessTables};
use super::stages::LoadedStages;
use crate::config::{CommandLine, Config, Reload, refusal};
use crate::log;
use crate::names::sources::NameSources;

/// Addresses are rewritten in another way from now on: nothing stays that has them in the old one.
fn forget_clients(new: &Config, parts: &ProcessTables) {
    if let Some(history) = parts.receiver.collector.history() {
        history.borrow_mut().set_devices(!new.hides_clients());
    }
    parts.receiver.collector.forget_clients(&new.health);
    if let Some(saver) = &parts.saver_control {
        saver.erase();
    }
}

/// Takes over what can change while running; an invalid file leaves everything as it is. Files of names are
/// read on another thread, since a million take a while, and until they are read, the filters are as before.
pub(super) async fn reload(config: &mut Config, overlay: &CommandLine, parts: &ProcessTables) {
    parts.stage.outlets.reopen();
    let Some(path) = config.file.clone() else {
        log::reconfigure(&config.trace);
        return;
    };
    let new = match config.load_again(&path, overlay) {
        Ok(new) => refusal(config, &new).map_or(Ok(new), Err),
        Err(errors) => Err(errors.to_string()),
    };
    let new = match new {
        Ok(new) => new,
        Err(why) => {
            for line in why.lines() {
                warn!("Not reloaded: {}", line);
            }
            log::reconfigure(&config.trace);
            return;
        }
    };
    let stages = LoadedStages::load(&new);
    if let Some(failure) = stages.refusal(config, &new) {
        warn!("Not reloaded: {}", failure.to_string());
        log::reconfigure(&config.trace);
        return;
    }
    log::reconfigure(&new.trace);
    let changes = Reload::between(config, &new);
    let sections = FilterSections::of(&new);
    match smol::unblock(move || LoadedFilters::load(&sections)).await {
        Ok(filters) => filters.apply(parts.receiver.collector),
        Err(failure) => warn!("{}: the filters in force stay", failure.to_string()),
    }
    parts.receiver.collector.set_health(&new.health);
    if stages.apply(parts.receiver.collector) {
        forget_clients(&new, parts);
    }
    parts.certificates.reload(&new);
    if let Some(history) = parts.receiver.collector.history() {
        history.borrow_mut().set_learns_from_frames(new.names.uses_neighbours());
        if new.names != config.names || new.hides_clients() != config.hides_clients() {
            *parts.new_names.borrow_mut() = Some(NameSources::new(&new.names));
        }
        match parts::status_rules(&new) {
            Ok(rules) => history.borrow_mut().set_rules(rules),
            Err(failure) => warn!("{}: the list in force stays", failure.to_string()),
        }
    }
    match parts::networks(&new) {
        Ok(database) => parts.receiver.collector.outputs().set_networks(database),
        Err(failure) => warn!("{}: the database in force stays", failure.to_string()),
    }
    parts.receiver.collector.outputs().show_devices(new.names.enable && new.names.records);
    info!(
        "Reloaded; taken over: {}",
        if changes.taken.is_empty() { "no change".into() } else { changes.taken.join(", ") }
    );
    if !changes.needs_restart.is_empty() {
        warn!("Changed, but in force after a restart only: {}", changes.needs_restart.join(", "));
    }
    // What waits for a restart is named again at each reload until then.
    let started = std::mem::take(&mut config.started);
    *config = Config { started, ..new };
    parts.config.set(config.file.as_deref(), &config.in_force(overlay));
}
