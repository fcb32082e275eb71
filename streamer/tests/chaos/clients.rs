//! HTTP clients that send small requests under Idempotency-Keys, and repeat each at whichever
//! streamer until it is acknowledged.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::requests::{Request, STREAM};
use crate::support::{Answer, Http};

/// How many clients there are.
const CLIENTS: u32 = 6;

/// Numbers of requests that each client has for itself.
const IDS: i64 = 1_000_000;

/// How long a client rests after a try that came to nothing.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// How long it rests after a request at most. Unit: milliseconds.
const REST_MAX: u64 = 30;

/// Clients at work. They end when this is dropped.
pub(crate) struct Clients {
    shared: Arc<Shared>,
    running: Vec<JoinHandle<Told>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    acknowledged: AtomicU32,
}

/// What clients have sent, and what they were told of it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) requests: Vec<Request>,
    /// How often the answer was that the records are committed.
    pub(crate) committed: u32,
    /// How often they were then looked for in the table.
    pub(crate) looked_for: u32,
    /// How often an acknowledged key was sent again.
    pub(crate) again: u32,
    /// How often a key was sent to two streamers at once.
    pub(crate) at_once: u32,
    /// How often the connection broke off before the answer came.
    pub(crate) unanswered: u32,
}

/// One client.
struct Client {
    rng: ChaCha8Rng,
    ports: Vec<u16>,
    /// Of the database.
    url: String,
    shared: Arc<Shared>,
    told: Told,
}

impl Clients {
    /// Has clients send to the streamers on `ports`, and look into the database at `url`.
    pub(crate) fn start(seed: u64, ports: &[u16], url: &str) -> Clients {
        let shared = Arc::new(Shared::default());
        let running = (0..CLIENTS).map(|number| {
            let client = Client {
                rng: ChaCha8Rng::seed_from_u64(seed.wrapping_add(number.into())),
                ports: ports.to_vec(),
                url: format!("{url}&application_name=test"),
                shared: shared.clone(),
                told: Told::default(),
            };
            spawn_blocking(move || client.work(i64::from(number) * IDS))
        });
        Clients { running: running.collect(), shared }
    }

    /// How many keys were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u32 {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// Whether a client was told something wrong, and has ended by that.
    pub(crate) fn have_failed(&self) -> bool {
        self.running.iter().any(JoinHandle::is_finished)
    }

    /// Lets them finish what they are at; what they were told.
    pub(crate) async fn finish(&mut self) -> Told {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let mut all = Told::default();
        for client in self.running.drain(..) {
            let told = client.await.expect("a client was told nothing wrong");
            all.requests.extend(told.requests);
            all.committed += told.committed;
            all.looked_for += told.looked_for;
            all.again += told.again;
            all.at_once += told.at_once;
            all.unanswered += told.unanswered;
        }
        all
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
    }
}

impl Client {
    fn work(mut self, first: i64) -> Told {
        for id in first.. {
            if self.is_over() {
                break;
            }
            let mut request = Request::new(id, self.rng.random_range(1..=5));
            self.send(&mut request);
            self.told.requests.push(request);
            if self.rng.random_bool(0.2) {
                self.send_again();
            }
            sleep(Duration::from_millis(self.rng.random_range(0..=REST_MAX)));
        }
        self.told
    }

    fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::SeqCst)
    }

    /// Sends a request until it is acknowledged; now and then only once.
    fn send(&mut self, request: &mut Request) {
        let is_patient = self.rng.random_bool(0.9);
        loop {
            self.try_once(request);
            if request.is_acknowledged {
                self.shared.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            if request.is_acknowledged || !is_patient || self.is_over() {
                return;
            }
            sleep(RETRY_AFTER);
        }
    }

    /// Sends a request again that was acknowledged, where there is one.
    fn send_again(&mut self) {
        let count = self.told.requests.len();
        let at = self.rng.random_range(count.saturating_sub(20)..count);
        if self.told.requests[at].is_acknowledged {
            let mut request = self.told.requests.swap_remove(at);
            self.told.again += 1;
            self.try_once(&mut request);
            self.told.requests.push(request);
        }
    }

    /// Sends a request to one streamer, now and then to two of them at once.
    fn try_once(&mut self, request: &mut Request) {
        let wait = if self.rng.random_bool(0.3) { "?wait=commit" } else { "" };
        let path = format!("/streams/{STREAM}/events{wait}");
        let at = self.rng.random_range(0..self.ports.len());
        let post = |at: usize| {
            let headers = [("Content-Type", "text/csv"), ("Idempotency-Key", &*request.key())];
            let port = self.ports[at % self.ports.len()];
            Http { port }.ask("POST", &path, &headers, request.body().as_bytes())
        };
        let is_at_once = self.rng.random_bool(0.15);
        let answers = if is_at_once {
            self.told.at_once += 1;
            scope(|scope| {
                let other = scope.spawn(|| post(at + 1));
                vec![post(at), other.join().expect("it asks")]
            })
        } else {
            vec![post(at)]
        };
        for answer in answers {
            match answer {
                Ok(answer) => self.hear(request, &answer),
                Err(error) => {
                    let is_refused = error.kind() == ErrorKind::ConnectionRefused;
                    self.told.unanswered += u32::from(!is_refused);
                }
            }
        }
    }

    /// Takes an answer, and holds it against what is true.
    fn hear(&mut self, request: &mut Request, answer: &Answer) {
        match answer.status {
            202 => {}
            200 => {
                let new = json!({
                    "accepted": request.records,
                    "rows": request.records,
                    "duplicates": 0,
                    "dead_letters": 0,
                });
                let repeated = json!({"accepted": request.records, "repeated": true});
                let told = answer.json();
                assert!(told == new || told == repeated, "{request:?}: {answer:?}");
                if told == new {
                    assert!(!request.is_told_new, "new for the second time: {request:?}");
                    request.is_told_new = true;
                }
                self.told.committed += 1;
                if self.rng.random_bool(0.5) {
                    self.look_for(request);
                }
            }
            // The table is not known yet, or the spool is busy.
            429 | 503 => return,
            _ => panic!("{request:?}: {answer:?}"),
        }
        assert_eq!(answer.json()["accepted"], request.records, "{request:?}: {answer:?}");
        request.is_acknowledged = true;
    }

    /// Looks for a request in the table whose rows are said to be there.
    fn look_for(&mut self, request: &Request) {
        loop {
            match Handle::current().block_on(rows_of(&self.url, request.id)) {
                Ok(rows) => {
                    assert_eq!(rows, request.records, "{request:?} is not in the table whole");
                    self.told.looked_for += 1;
                    return;
                }
                Err(_) if self.is_over() => return,
                // A fault has hit the server.
                Err(_) => sleep(RETRY_AFTER),
            }
        }
    }
}

async fn rows_of(url: &str, request: i64) -> Result<i64, sqlx::Error> {
    let mut conn = PgConnection::connect(url).await?;
    let rows = "select count(*) from public.requests where request = $1";
    sqlx::query_scalar(rows).bind(request).fetch_one(&mut conn).await
}
