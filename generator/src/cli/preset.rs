//! Presets: values of several flags under one name.

use clap::ValueEnum;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The presets of this repository.
const PRESETS: &str = include_str!("../../presets.toml");

/// Values for flags that are not given. The names are those of the flags.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Preset {
    pub(super) pattern: Option<PatternFlag>,
    pub(super) rate: Option<f64>,
    pub(super) rate_ratio: Option<f64>,
    pub(super) batch: Option<usize>,
    pub(super) producers: Option<usize>,
    pub(super) duration: Option<Span>,
    pub(super) count: Option<u64>,
}

/// The value of `--pattern`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PatternFlag {
    Uniform,
    Poisson,
    Mmpp,
}

/// A time as people write it, such as `60s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Span(pub(super) Duration);

impl TryFrom<String> for Span {
    type Error = humantime::DurationError;

    fn try_from(text: String) -> Result<Span, Self::Error> {
        humantime::parse_duration(&text).map(Span)
    }
}

/// All presets by name.
fn all() -> BTreeMap<String, Preset> {
    toml::from_str(PRESETS).expect("a test reads the file that this repository ships")
}

/// The preset of that name; the value parser of its flag.
pub(super) fn named(name: &str) -> Result<Preset, String> {
    let mut all = all();
    all.remove(name).ok_or_else(|| {
        let names: Vec<String> = all.into_keys().collect();
        format!("there are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_presets_can_be_read() {
        let names: Vec<String> = all().into_keys().collect();
        assert_eq!(names, ["bursty", "high-throughput", "low-latency"]);
        assert_eq!(named("bursty").unwrap().pattern, Some(PatternFlag::Mmpp));
        assert_eq!(named("low-latency").unwrap().duration, Some(Span(Duration::from_secs(60))));
        assert!(named("calm").unwrap_err().contains("bursty, high-throughput, low-latency"));
    }
}
