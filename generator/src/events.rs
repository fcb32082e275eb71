//! A run: events in the asked mix of good records, duplicates and broken ones, as CSV.

use crate::broken::put_broken_line;
use crate::earlier::Earlier;
use crate::event_id::EventIds;
use crate::record::{COLUMNS, EventText, put_line};
use crate::settings::{InvalidSetting, Settings};
use crate::shop::Shop;
use crate::timeline::{Moments, Timeline};
use crate::visits::Visits;
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
    rng: ChaCha8Rng,
    shop: Shop,
    visits: Visits,
    timeline: Timeline,
    /// The times of the present set.
    moments: Option<Moments>,
    files_left_in_set: u32,
    ids: EventIds,
    text: EventText,
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
            shop: Shop::open(),
            visits: Visits::default(),
            timeline: Timeline::new(&settings),
            moments: None,
            files_left_in_set: 0,
            ids: EventIds::default(),
            text: EventText::new(),
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

    /// Makes the next file of the run in chunks of about [`CHUNK_BYTES`], the last one shorter. `put`
    /// takes each chunk and leaves an empty one. `None` if `progress` broke off.
    ///
    /// # Errors
    /// Those of `put`.
    pub(crate) fn make_file(
        &mut self,
        progress: &mut Progress,
        put: &mut dyn FnMut(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<Option<Counts>> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + LINE_BYTES);
        let mut moments = self.moments_of_next_file();
        let mut counts = Counts::default();
        put_line(COLUMNS.map(str::as_bytes), &mut chunk);
        while counts.rows < self.settings.rows {
            if counts.rows % PROGRESS_RECORDS == 0 && progress(counts.rows).is_break() {
                return Ok(None);
            }
            let moment = moments.next(&mut self.rng);
            self.put_record(moment, &mut counts, &mut chunk);
            if chunk.len() >= CHUNK_BYTES {
                put(&mut chunk)?;
            }
        }
        put(&mut chunk)?;
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

    /// Adds the next record to `out`.
    fn put_record(&mut self, moment: u64, counts: &mut Counts, out: &mut Vec<u8>) {
        let rng = &mut self.rng;
        counts.rows += 1;
        let kind = self.mix.draw(rng);
        if kind == Kind::Duplicate
            && let Some(line) = self.earlier.any(rng)
        {
            counts.duplicates += 1;
            out.extend_from_slice(line);
            return;
        }
        let id = self.ids.next(moment, rng);
        let visit = self.visits.next(&self.shop, rng);
        let user = self.shop.user(visit.pair.user);
        let product = self.shop.product(visit.pair.product);
        let fields = self.text.fields(id, moment, visit.event_type, user, product);
        if kind == Kind::Bad {
            counts.bad += 1;
            put_broken_line(&fields, rng, out);
            return;
        }
        let start = out.len();
        put_line(fields, out);
        if self.settings.duplicates > 0.0 {
            self.earlier.remember(&out[start..], rng);
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

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
