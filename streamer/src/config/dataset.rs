//! The datasets: kinds of events that this repository has tables, rollups and views for.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::Wrong;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A dataset that a stream can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dataset {
    /// What users did in a shop.
    UserEvents,
    /// What users did with advertisements.
    AdEvents,
    /// Bank transfers.
    Transfers,
    /// Positions of vehicles.
    GpsPositions,
    /// Sales at the tills of stores.
    PosSales,
    /// Reactions to a show.
    EmojiReactions,
    /// A value that wanders in time.
    SimulatorEvents,
}

impl Dataset {
    /// All of them.
    pub const ALL: [Dataset; 7] = [
        Dataset::UserEvents,
        Dataset::AdEvents,
        Dataset::Transfers,
        Dataset::GpsPositions,
        Dataset::PosSales,
        Dataset::EmojiReactions,
        Dataset::SimulatorEvents,
    ];

    /// Its name, which is also that of its table in the schema `public`.
    pub fn name(self) -> &'static str {
        match self {
            Dataset::UserEvents => "user_events",
            Dataset::AdEvents => "ad_events",
            Dataset::Transfers => "transfers",
            Dataset::GpsPositions => "gps_positions",
            Dataset::PosSales => "pos_sales",
            Dataset::EmojiReactions => "emoji_reactions",
            Dataset::SimulatorEvents => "simulator_events",
        }
    }

    /// Whether a stream can say how long the windows of its rollup are.
    pub fn has_window(self) -> bool {
        self == Dataset::AdEvents
    }
}

impl<'de> Deserialize<'de> for Dataset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Dataset, D::Error> {
        let name = String::deserialize(deserializer)?;
        Dataset::ALL.into_iter().find(|dataset| dataset.name() == name).ok_or_else(|| {
            let names = Dataset::ALL.map(Dataset::name).join(", ");
            serde::de::Error::custom(format!("there is no dataset {name:?}; there are {names}"))
        })
    }
}

/// The table: as written, else that of the dataset, else the one that is called like the stream.
pub(super) fn table(
    table: Option<String>,
    dataset: Option<Dataset>,
    stream: &str,
) -> Result<String, Wrong> {
    let Some(dataset) = dataset.map(Dataset::name) else {
        return Ok(table.unwrap_or_else(|| stream.to_owned()));
    };
    match table {
        Some(table) if table != dataset && table != format!("public.{dataset}") => {
            let message = format!(
                "is the table {dataset} with dataset = {dataset:?}; leave one of the two out"
            );
            Err(("table", message))
        }
        table => Ok(table.unwrap_or_else(|| dataset.to_owned())),
    }
}

/// Windows since 1970 are those of the rollup, which begin on Mondays, only if they part a day.
/// Where none is written the rollup keeps those that it has.
pub(super) fn window(
    window: Option<Duration>,
    dataset: Option<Dataset>,
) -> Result<Option<Duration>, Wrong> {
    match window {
        Some(_) if !dataset.is_some_and(Dataset::has_window) => {
            Err(("window", "has a meaning only with dataset = \"ad_events\"".to_owned()))
        }
        Some(window)
            if window.is_zero()
                || !DAY.as_nanos().is_multiple_of(window.as_nanos())
                || window.subsec_nanos() != 0 =>
        {
            Err((
                "window",
                "must be whole seconds that part a day, such as \"30s\" or \"5m\"".to_owned(),
            ))
        }
        window => Ok(window),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::{ConfigError, Overrides, Settings};

    fn settings(text: &str) -> Result<Settings, ConfigError> {
        Settings::from_text("streams.toml", text, Overrides::default())
    }

    fn error(text: &str) -> String {
        settings(text).unwrap_err().to_string()
    }

    #[test]
    fn a_stream_of_a_dataset_has_its_table_and_its_window() {
        let text = "[stream.ads]\nfiles = 'ads.csv'\ndataset = 'ad_events'\n";
        let stream = |text: &str| settings(text).unwrap().streams.remove(0);
        let ads = stream(text);
        assert_eq!((ads.table.as_str(), ads.window), ("ad_events", None));
        let minutes = stream(&format!("{text}window = '1m'\n"));
        assert_eq!(minutes.window, Some(Duration::from_secs(60)));
        let both = format!("{text}window = '1m'\n{}", text.replace("stream.ads", "stream.more"));
        assert_eq!(settings(&both).unwrap().streams.len(), 2, "one of two may say it");
        let other = stream("[stream.ad_events]\nfiles = 'ads.csv'\n");
        assert_eq!((other.dataset, other.window), (None, None));
    }

    #[test]
    fn what_is_no_dataset_and_what_does_not_go_with_one_is_told() {
        let message = error("[stream.a]\nfiles = 'a.csv'\ndataset = 'shop'\n");
        assert!(
            message.contains(":3:11: there is no dataset \"shop\"; there are user_events, ad_"),
            "{message}"
        );
        let message = error("[stream.a]\nfiles = 'a.csv'\ndataset = 'transfers'\nwindow = '1m'\n");
        assert!(message.contains("stream.a.window has a meaning only with dataset"), "{message}");
        for window in ["7s", "0s", "500ms", "2days"] {
            let ads = format!(
                "[stream.a]\nfiles = 'a.csv'\ndataset = 'ad_events'\nwindow = '{window}'\n"
            );
            let message = error(&ads);
            assert!(
                message.contains("stream.a.window must be whole seconds that part"),
                "{message}"
            );
        }
        let message = error(
            "[stream.a]\nfiles = 'a.csv'\ndataset = 'ad_events'\nwindow = '1m'\n\
             [stream.b]\nfiles = 'b.csv'\ndataset = 'ad_events'\nwindow = '2m'\n",
        );
        assert!(message.contains("window must be that of stream"), "{message}");
        let message =
            error("[stream.a]\nfiles = 'a.csv'\ndataset = 'transfers'\ntable = 'shop.a'\n");
        assert!(
            message.contains("stream.a.table is the table transfers with dataset"),
            "{message}"
        );
    }
}
