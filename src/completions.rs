//! The completions of the command line, for three shells: files of `configs/completions`, as they are.

/// The completions for a shell, if it is one of the three.
pub(crate) fn of(shell: &str) -> Option<&'static str> {
    ALL.iter().find(|(name, _)| *name == shell).map(|(_, text)| *text)
}

/// The shells, and their files.
const ALL: &[(&str, &str)] = &[
    ("bash", include_str!("../configs/completions/dnstapd.bash")),
    ("zsh", include_str!("../configs/completions/_dnstapd")),
    ("fish", include_str!("../configs/completions/dnstapd.fish")),
];
