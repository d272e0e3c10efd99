//! The build: version, target, features, commit.

/// The version of the package.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from; only release builds look for it.
pub(crate) const COMMIT: &str = env!("DNSTAPD_COMMIT");

/// The optional parts that were built in, with commas between them.
pub(crate) fn features() -> heapless::String<128> {
    let mut list = heapless::String::new();
    for (name, _) in FEATURES.iter().filter(|(_, built)| *built) {
        // Cannot fail: a test adds them all up.
        let _ = list.push_str(if list.is_empty() { "" } else { "," }).and_then(|()| list.push_str(name));
    }
    list
}

/// Processor, system and C library.
pub(crate) const TARGET: &str = {
    macro_rules! target {
        ($($arch:literal)*) => {
            $(if cfg!(all(target_arch = $arch, target_env = "musl")) {
                concat!($arch, "-linux-musl")
            } else if cfg!(all(target_arch = $arch, target_env = "gnu")) {
                concat!($arch, "-linux-gnu")
            } else)* {
                std::env::consts::ARCH
            }
        };
    }
    target!("x86_64" "x86" "aarch64" "arm" "mips" "mips64" "riscv64" "powerpc" "powerpc64" "loongarch64")
};

/// All optional parts, and whether they were built in.
const FEATURES: &[(&str, bool)] = &[
    ("geoip", cfg!(feature = "geoip")),
    ("health", cfg!(feature = "health")),
    ("history", cfg!(feature = "history")),
    ("kafka", cfg!(feature = "kafka")),
    ("kafka-plain", cfg!(feature = "kafka-plain")),
    ("log", cfg!(feature = "log")),
    ("privacy", cfg!(feature = "privacy")),
    ("push", cfg!(feature = "push")),
    ("records", cfg!(feature = "records")),
    ("suffixes", cfg!(feature = "suffixes")),
    ("tls", cfg!(feature = "tls")),
    ("top", cfg!(feature = "top")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_features_are_those_of_the_manifest() {
        let manifest: toml::Table = include_str!("../Cargo.toml").parse().unwrap();
        let names = manifest["features"].as_table().unwrap().keys().filter(|name| *name != "default");
        let listed: Vec<&str> = FEATURES.iter().map(|&(name, _)| name).collect();
        assert_eq!(names.collect::<Vec<_>>(), listed);
        assert!(listed.join(",").len() <= features().capacity());
    }
}
