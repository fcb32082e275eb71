//! The dataset gps: vehicles that drive around their cities. Whole numbers only, so that a seed's
//! bytes are the same on every machine.

use crate::broken::Fault;
use crate::lines::Lines;
use crate::records::Records;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const COLUMNS: [&str; 5] = ["device_id", "position_time", "latitude", "longitude", "speed"];

const FAULTS: [Fault; 8] = [
    Fault::TooFewFields,
    Fault::TooManyFields,
    Fault::Instead(0, b""),
    Fault::Behind(0, b"x"),
    Fault::Within(1, 11, b"25"),
    Fault::Instead(2, b"91.000000"),
    Fault::Instead(3, b"181.000000"),
    Fault::Instead(4, b"-1.0"),
];

const DEVICES: u32 = 200;

/// Latitude and longitude in millionths of a degree, and the cosine of the latitude in thousandths.
const CITIES: [(i64, i64, i64); 5] = [
    (59_913_900, 10_752_200, 501),
    (52_520_000, 13_405_000, 609),
    (40_712_800, -74_006_000, 758),
    (35_689_500, 139_691_700, 812),
    (-33_868_800, 151_209_300, 830),
];

/// North and east parts of sixteen headings, in thousandths: the compass, clockwise from north.
const HEADINGS: [(i64, i64); 16] = [
    (1_000, 0),
    (924, 383),
    (707, 707),
    (383, 924),
    (0, 1_000),
    (-383, 924),
    (-707, 707),
    (-924, 383),
    (-1_000, 0),
    (-924, -383),
    (-707, -707),
    (-383, -924),
    (0, -1_000),
    (383, -924),
    (707, -707),
    (924, -383),
];

/// Places in [`HEADINGS`].
const EAST: usize = 4;
const SOUTH: usize = 8;
const WEST: usize = 12;

/// Millionths of a degree, north or east, at which a vehicle turns back: about 33 km of latitude.
const FAR: i64 = 300_000;

/// In metres per hour.
const SPEED_MAX: i64 = 130_000;

/// A vehicle that was not heard of for longer has stood still before: so many microseconds.
const DRIVING_MAX: u64 = 60_000_000;

/// Millimetres of a millionth of a degree of latitude, in thousandths.
const MICRODEGREE: i64 = 111_320;

/// All vehicles.
#[derive(Debug)]
pub(crate) struct Gps {
    devices: Vec<Device>,
}

#[derive(Debug)]
struct Device {
    city: (i64, i64, i64),
    /// From the city, in millionths of a degree.
    north: i64,
    east: i64,
    /// The place in [`HEADINGS`].
    heading: usize,
    /// Metres per hour.
    speed: i64,
    /// When it was heard of, in microseconds since 1970; 0: never.
    last: u64,
}

impl Gps {
    pub(crate) fn open(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let device = |_| Device {
            city: *CITIES.choose(&mut rng).expect("there are cities"),
            north: rng.random_range(-FAR / 2..FAR / 2),
            east: rng.random_range(-FAR / 2..FAR / 2),
            heading: rng.random_range(0..HEADINGS.len()),
            speed: rng.random_range(0..SPEED_MAX / 2),
            last: 0,
        };
        Self { devices: (0..DEVICES).map(device).collect() }
    }
}

impl Records for Gps {
    fn columns(&self) -> &'static [&'static str] {
        &COLUMNS
    }

    fn faults(&self) -> &'static [Fault] {
        &FAULTS
    }

    fn next(&mut self, moment: u64, rng: &mut ChaCha8Rng, line: &mut Lines) {
        let place = rng.random_range(0..self.devices.len());
        let device = &mut self.devices[place];
        device.drive(moment, rng);
        line.shown(place + 1);
        line.time(device.last);
        line.decimal(device.city.0 + device.north, 6);
        line.decimal(device.city.1 + device.east, 6);
        // Kilometres per hour.
        line.decimal(device.speed / 100, 1);
    }
}

impl Device {
    /// Moves it to where it is at `moment`, by the speed and heading that it had, and lets these
    /// change a little. A device is never heard of twice at one time.
    fn drive(&mut self, moment: u64, rng: &mut ChaCha8Rng) {
        let now = moment.max(self.last + 1);
        let driven = match self.last {
            0 => 0,
            last => i64::try_from((now - last).min(DRIVING_MAX)).expect("a minute fits"),
        };
        self.last = now;
        // Metres per hour times microseconds: 3,600,000 of them make a millimetre.
        let millimetres = self.speed * driven / 3_600_000;
        let (north, east) = HEADINGS[self.heading];
        self.north += millimetres * north / MICRODEGREE;
        self.east += millimetres * east * 1_000 / (MICRODEGREE * self.city.2);
        self.speed = (self.speed + rng.random_range(-15_000..=15_000)).clamp(0, SPEED_MAX);
        self.heading = match (self.north, self.east) {
            (north, _) if north > FAR => SOUTH,
            (north, _) if north < -FAR => 0,
            (_, east) if east > FAR => WEST,
            (_, east) if east < -FAR => EAST,
            _ => (self.heading + rng.random_range(15..=17)) % HEADINGS.len(),
        };
    }
}

#[cfg(test)]
mod tests {
    use crate::dataset::Dataset;
    use crate::events::sample;
    use std::collections::HashMap;

    #[test]
    fn tracks_are_such_as_can_be_driven() {
        let mut last: HashMap<String, (i64, f64, f64)> = HashMap::new();
        let (mut moves, mut fastest) = (0, 0.0_f64);
        for record in sample(Dataset::Gps, 50_000) {
            let time = chrono::DateTime::parse_from_rfc3339(&record[1]).unwrap().timestamp_micros();
            let [north, east, speed] = [2, 3, 4].map(|at| record[at].parse::<f64>().unwrap());
            assert!((0.0..=130.0).contains(&speed), "{record:?}");
            if let Some((before, was_north, was_east)) =
                last.insert(record[0].to_owned(), (time, north, east))
            {
                let hours =
                    chrono::TimeDelta::microseconds(time - before).as_seconds_f64() / 3_600.0;
                assert!(hours > 0.0, "{record:?}");
                let north_km = (north - was_north) * 111.32;
                let east_km = (east - was_east) * 111.32 * north.to_radians().cos();
                let km = north_km.hypot(east_km);
                // A millionth of a degree is 0.11 m, and the cosine is that of the city.
                assert!(km <= 131.5 * hours + 0.0003, "{km} km in {hours} h: {record:?}");
                fastest = fastest.max(speed);
                moves += u32::from(km > 0.0);
            }
        }
        assert_eq!(last.len(), 200);
        assert!(moves > 40_000 && fastest > 100.0, "{moves} {fastest}");
    }
}
