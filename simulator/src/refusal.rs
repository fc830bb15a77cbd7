//! Why options make no simulation, in the words of the flags.

/// Why options make no simulation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OptionsError {
    /// Nobody to report.
    #[error("--vehicles must be at least 1")]
    NoVehicles,
    /// An interval that is none.
    #[error("--step must be a time, or two as in 30s..60s, from 1ms to 1h")]
    Step,
    /// A number that is none.
    #[error("--incidents must be 0 to 1000 an hour")]
    Incidents,
    /// A factor that is none.
    #[error("--{0}-effect must be above 0 and at most 2")]
    Effect(&'static str),
    /// A share that is none.
    #[error("--{name} must be a share from 0 to {most}")]
    Share {
        /// The flag.
        name: &'static str,
        /// The greatest share.
        most: f64,
    },
    /// More trouble than records.
    #[error(
        "--out-of-order, --delayed, --late, --duplicates and --malformed are shares of all records: 1 at most together"
    )]
    Shares,
    /// Too little room between on time and late.
    #[error("a --lateness below 1m leaves no room for records that come later, but in time")]
    Lateness,
}
