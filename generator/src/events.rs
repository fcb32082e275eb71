//! A run: records in the asked mix of good ones, duplicates and broken ones, as CSV.

use crate::broken::put_broken_line;
use crate::earlier::Earlier;
use crate::lines::Lines;
use crate::records::Records;
use crate::settings::{InvalidSetting, Settings};
use crate::timeline::{Moments, Timeline};
use rand::SeedableRng;
use rand::distr::{Bernoulli, Distribution};
use rand_chacha::ChaCha8Rng;
use std::io::{self, Write};
use std::ops::ControlFlow;

/// Bytes handed on at a time, and a line more. Larger writes are not faster.
pub(crate) const CHUNK_BYTES: usize = 256 * 1024;

/// Room for the line that ends a chunk.
const LINE_BYTES: usize = 1_024;

/// Records between two calls of [`Progress`]: about a millisecond of work.
const PROGRESS_RECORDS: u64 = 1_024;

/// Is told how many records of the file are made, every millisecond or so and at the end of the
/// file, and answers whether to go on.
pub type Progress<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All records, without the header.
    pub rows: u64,
    /// Those of them that repeat an earlier record of the run.
    pub duplicates: u64,
    /// Those of them that are broken.
    pub bad: u64,
}

/// One run: file after file, the next one going on where the last one ended.
#[derive(Debug)]
pub struct Generator {
    settings: Settings,
    mix: Mix,
    pub(crate) rng: ChaCha8Rng,
    records: Box<dyn Records>,
    timeline: Timeline,
    /// The times of the present set.
    moments: Option<Moments>,
    files_left_in_set: u32,
    pub(crate) lines: Lines,
    earlier: Earlier,
}

impl Generator {
    /// Starts a run. Without a seed every run differs.
    ///
    /// # Errors
    /// Those of [`Settings::check`].
    pub fn new(settings: Settings) -> Result<Self, InvalidSetting> {
        settings.check()?;
        let seed = settings.seed.unwrap_or_else(rand::random);
        Ok(Self {
            mix: Mix::new(&settings),
            rng: ChaCha8Rng::seed_from_u64(seed),
            records: settings.dataset.open(settings.seed.unwrap_or_default()),
            timeline: Timeline::new(&settings),
            moments: None,
            files_left_in_set: 0,
            lines: Lines::new(),
            earlier: Earlier::default(),
            settings,
        })
    }

    /// What was asked for.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Writes the next file of the run, header first, to `out`, which needs no buffer of its own.
    /// `None` if `progress` broke off; `out` then holds a part of the file.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_events(
        &mut self,
        mut out: impl Write,
        progress: &mut Progress,
    ) -> io::Result<Option<Counts>> {
        let counts = self.make_file(progress, &mut |chunk| {
            out.write_all(chunk)?;
            chunk.clear();
            Ok(())
        })?;
        out.flush()?;
        Ok(counts)
    }

    /// Makes the next file of the run in chunks of about [`CHUNK_BYTES`], the last one shorter.
    /// `put` takes each chunk and leaves an empty one. `None` if `progress` broke off.
    ///
    /// # Errors
    /// Those of `put`.
    pub(crate) fn make_file(
        &mut self,
        progress: &mut Progress,
        put: &mut dyn FnMut(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<Option<Counts>> {
        let mut moments = self.moments_of_next_file();
        let mut counts = Counts::default();
        self.begin_lines();
        while counts.rows < self.settings.rows {
            if counts.rows % PROGRESS_RECORDS == 0 && progress(counts.rows).is_break() {
                return Ok(None);
            }
            let moment = moments.next(&mut self.rng);
            self.make_record(moment, &mut counts);
            if self.lines.bytes.len() >= CHUNK_BYTES {
                put(&mut self.lines.bytes)?;
            }
        }
        put(&mut self.lines.bytes)?;
        self.moments = Some(moments);
        Ok(progress(counts.rows).is_continue().then_some(counts))
    }

    fn moments_of_next_file(&mut self) -> Moments {
        match self.moments.take() {
            Some(moments) if self.files_left_in_set > 0 => {
                self.files_left_in_set -= 1;
                moments
            }
            _ => {
                self.files_left_in_set = self.settings.files - 1;
                let files = u64::from(self.settings.files);
                self.timeline.next_set(self.settings.rows.saturating_mul(files))
            }
        }
    }

    /// The names of the columns.
    pub(crate) fn columns(&self) -> &'static [&'static str] {
        self.records.columns()
    }

    /// The header, in lines that were empty.
    fn begin_lines(&mut self) {
        self.lines.bytes = Vec::with_capacity(CHUNK_BYTES + LINE_BYTES);
        self.columns().iter().for_each(|name| self.lines.text(name));
        self.lines.end();
    }

    /// Adds the next record to the lines.
    pub(crate) fn make_record(&mut self, moment: u64, counts: &mut Counts) {
        let (rng, lines) = (&mut self.rng, &mut self.lines);
        counts.rows += 1;
        let kind = self.mix.draw(rng);
        if kind == Kind::Duplicate
            && let Some(line) = self.earlier.any(rng)
        {
            counts.duplicates += 1;
            lines.bytes.extend_from_slice(line);
            return;
        }
        let start = lines.bytes.len();
        self.records.next(moment, rng, lines);
        if kind == Kind::Bad {
            counts.bad += 1;
            let line = lines.bytes.split_off(start);
            put_broken_line(&line, self.records.faults(), rng, &mut lines.bytes);
            return;
        }
        lines.end();
        if self.settings.duplicates > 0.0 {
            self.earlier.remember(&lines.bytes[start..], rng);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Good,
    Duplicate,
    Bad,
}

/// The chances of each kind of record.
#[derive(Debug)]
struct Mix {
    bad: Bernoulli,
    /// The chance of a duplicate among the records that are not bad.
    duplicate: Bernoulli,
}

impl Mix {
    /// `settings` must have been checked.
    fn new(settings: &Settings) -> Self {
        let chance = |share| Bernoulli::new(share).expect("shares are between 0 and 1");
        let not_bad = 1.0 - settings.bad;
        let duplicate = if not_bad > 0.0 { (settings.duplicates / not_bad).min(1.0) } else { 0.0 };
        Self { bad: chance(settings.bad), duplicate: chance(duplicate) }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Kind {
        if self.bad.sample(rng) {
            Kind::Bad
        } else if self.duplicate.sample(rng) {
            Kind::Duplicate
        } else {
            Kind::Good
        }
    }
}

/// The records of a seeded run of `dataset`, for tests of what they are like.
#[cfg(test)]
pub(crate) fn sample(dataset: crate::Dataset, rows: u64) -> Vec<csv::StringRecord> {
    let settings = Settings { dataset, rows, seed: Some(1), ..Settings::default() };
    let mut csv = Vec::new();
    let mut generator = Generator::new(settings).expect("the settings are valid");
    generator
        .write_events(&mut csv, &mut |_| ControlFlow::Continue(()))
        .expect("memory can be written to");
    csv::Reader::from_reader(csv.as_slice()).into_records().map(Result::unwrap).collect()
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
