//! Presets: values of several flags under one name.

use crate::arrivals::Pattern;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The presets of this repository.
const SHIPPED: &str = include_str!("../presets.toml");

/// Values for flags that are not given. The names are those of the flags.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Preset {
    /// How records are spread over time.
    pub pattern: Option<Pattern>,
    /// Records per second.
    pub rate: Option<f64>,
    /// How many times as high the rate is in busy times as in calm ones.
    pub rate_ratio: Option<f64>,
    /// Records of a request.
    pub batch: Option<usize>,
    /// Connections that send at the same time.
    pub producers: Option<usize>,
    /// For how long.
    #[serde(default, deserialize_with = "span")]
    pub duration: Option<Duration>,
    /// How many records.
    pub count: Option<u64>,
}

/// Why there is no such preset.
#[derive(Debug, thiserror::Error)]
pub enum PresetError {
    /// The file of presets can't be read.
    #[error("read the presets in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("the presets in {path}: {problem}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What, and where.
        problem: String,
    },
    /// None has the name.
    #[error("there is no preset {name}; there are {}", .known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// All that there are.
        known: Vec<String>,
    },
}

impl Preset {
    /// The preset of that name: of `file`, if it has one, else of those that are shipped.
    ///
    /// # Errors
    /// [`PresetError`].
    pub fn named(name: &str, file: Option<&Path>) -> Result<Preset, PresetError> {
        let mut all = shipped();
        if let Some(path) = file {
            let path = path.to_owned();
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(source) => return Err(PresetError::Read { path, source }),
            };
            let own = read(&text).map_err(|problem| PresetError::Wrong { path, problem })?;
            all.extend(own);
        }
        let found = all.remove(name);
        found.ok_or_else(|| PresetError::Unknown {
            name: name.to_owned(),
            known: all.into_keys().collect(),
        })
    }

    /// What is wrong with it, if something is.
    fn problem(&self) -> Option<&'static str> {
        let is_above_zero = |number: &f64| *number > 0.0 && number.is_finite();
        if !self.rate.iter().chain(&self.rate_ratio).all(is_above_zero) {
            return Some("rate and rate-ratio must be above zero");
        }
        let at_least_one = self.batch.iter().chain(&self.producers).all(|number| *number > 0);
        (!at_least_one).then_some("batch and producers must be at least one")
    }
}

/// All that are shipped, by name.
fn shipped() -> BTreeMap<String, Preset> {
    read(SHIPPED).expect("a test reads the file that this repository ships")
}

/// All presets of a text, by name; else what is wrong with it.
fn read(text: &str) -> Result<BTreeMap<String, Preset>, String> {
    let all: BTreeMap<String, Preset> = toml::from_str(text).map_err(|error| error.to_string())?;
    match all.iter().find_map(|(name, preset)| Some((name, preset.problem()?))) {
        Some((name, problem)) => Err(format!("[{name}]: {problem}")),
        None => Ok(all),
    }
}

/// A time as people write it, such as `60s`.
fn span<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    humantime::parse_duration(&text).map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_presets_can_be_read() {
        let names: Vec<String> = shipped().into_keys().collect();
        assert_eq!(names, ["bursty", "high-throughput", "low-latency"]);
        let named = |name| Preset::named(name, None);
        assert_eq!(named("bursty").unwrap().pattern, Some(Pattern::Mmpp));
        assert_eq!(named("low-latency").unwrap().duration, Some(Duration::from_secs(60)));
        let error = named("calm").unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no preset calm; there are bursty, high-throughput, low-latency"
        );
    }

    #[test]
    fn a_file_adds_presets_and_wins_over_those_shipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        std::fs::write(&path, "[calm]\nrate = 7\nduration = '2s'\n[bursty]\nrate = 1\n").unwrap();
        let named = |name| Preset::named(name, Some(&path));
        let calm =
            Preset { rate: Some(7.0), duration: Some(Duration::from_secs(2)), ..Preset::default() };
        assert_eq!(named("calm").unwrap(), calm);
        assert_eq!(named("bursty").unwrap().pattern, None);
        assert_eq!(named("low-latency").unwrap().batch, Some(1));
        for (wrong, words) in [
            ("[a]\nrate = 0", "[a]: rate and rate-ratio must be above zero"),
            ("[a]\nbatch = 0", "at least one"),
            ("[a]\nspeed = 1", "speed"),
            ("[a]\nduration = 'soon'", "line 2"),
        ] {
            std::fs::write(&path, wrong).unwrap();
            let error = named("a").unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("mine.toml"), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(named("a"), Err(PresetError::Read { .. })));
    }
}
