//! What the faults happen to: a server, a proxy before it, a folder, and streamers at work.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use crate::clients::Clients;
use crate::inbox::{Inbox, Offsets};
use crate::requests;
use crate::schedule::Round;
use crate::support::{Proxy, Running, Server, TestDb, streamer};

/// Two streams over the same files: into a table with a key, and into one without.
pub(crate) const STREAMS: [&str; 2] = ["user_events", "event_log"];

const SETTINGS: &str = "
    [stream.user_events]
    files = 'user_events_*.csv'
    max_rows = 60
    every = '0s'
    scan_every = '1s'
    [stream.event_log]
    files = 'user_events_*.csv'
    max_rows = 60
    every = '0s'
    scan_every = '1s'
    [stream.requests]
    files = 'requests_*.csv'
    max_rows = 60
    every = '0s'
    scan_every = '1s'";

/// Puts tables that are divided by time in the place of those of events. The key has the time in
/// it, so the rows that are to be there are the same.
const DIVIDE: &str = "
    create table public.divided (like user_events including defaults) partition by range (event_time);
    create table public.log_divided (like user_events) partition by range (event_time);
    do $$
    declare
        minute timestamptz;
        parent text;
    begin
        foreach parent in array array['divided', 'log_divided'] loop
            -- The events of a seed begin there; later ones go where nothing else does.
            for minute in select generate_series('2026-01-01 00:00Z'::timestamptz, '2026-01-01 00:50Z', '10 minutes') loop
                execute format('create table public.%I partition of public.%I for values from (%L) to (%L)',
                    parent || to_char(minute, 'MI'), parent, minute, minute + interval '10 minutes');
            end loop;
            execute format('create table public.%I partition of public.%I default', parent || '_rest', parent);
        end loop;
    end $$;
    drop table public.user_events, public.user_events_per_minute cascade;
    alter table public.divided rename to user_events;
    alter table public.user_events add primary key (event_id, event_time);
    alter table public.log_divided rename to event_log;
    set streamer.partitions_by_recount = on;
    select streamer.create_rollup('public.user_events_per_minute', 'public.user_events', 'event_time', '1 minute',
        '{event_type,category}', 'events = count(*)', $$revenue = sum(price) where event_type = 'purchase'$$);";

/// The tables without a key, and a role with the rights that the README names and those that
/// Idempotency-Keys need: a superuser would always find a connection left.
const PREPARE: &str = "
    create table if not exists public.event_log (like user_events);
    create table public.requests (request bigint, record int, note text);
    do $$ begin
        if not exists (select from pg_roles where rolname = 'loader') then
            create role loader login;
        end if;
    end $$;
    grant insert, select on public.user_events, public.event_log, public.requests to loader;
    grant usage on schema streamer to loader;
    grant select on all tables in schema streamer to loader;
    grant insert, update on streamer.checkpoint, streamer.micro_batch, streamer.dead_letter to loader;
    grant insert, update, delete on streamer.instance, streamer.idempotency_key to loader;
    grant usage on all sequences in schema streamer to loader;";

/// When less than this is left to read, another file comes. Unit: bytes.
const LEFT_MIN: u64 = 400_000;

/// How long the streamers may take to get on after a fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a round happens in.
pub(crate) struct World {
    pub(crate) db: TestDb,
    pub(crate) inbox: Inbox,
    pub(crate) proxy: Proxy,
    /// Where the streamers listen, each at its place.
    ports: Vec<u16>,
    pub(crate) streamers: Vec<Running>,
    pub(crate) clients: Clients,
    /// All that the streamers told.
    pub(crate) log: Vec<String>,
}

impl World {
    pub(crate) async fn new(server: &Server, round: &Round) -> World {
        let db = server.create_db().await;
        if round.is_divided {
            db.execute(DIVIDE).await;
        }
        db.execute(PREPARE).await;
        let inbox = Inbox::new(round.seed);
        std::fs::write(inbox.folder.path().join("streams.toml"), SETTINGS).expect("write a file");
        let proxy = Proxy::start(db.socket_file()).await;
        let ports = free_ports(round.streamers);
        let clients = Clients::start(round.seed, &ports, &db.url());
        let (streamers, log) = (Vec::new(), Vec::new());
        let mut world = World { db, inbox, proxy, ports, streamers, clients, log };
        world.inbox.arrive();
        world.streamers = (0..round.streamers).map(|place| world.start(place)).collect();
        world
    }

    fn start(&self, place: usize) -> Running {
        let url = self.db.tcp_url(self.proxy.port).replace("streamer@", "loader@");
        let listen = format!("127.0.0.1:{}", self.ports[place]);
        let mut command = streamer(self.inbox.folder.path(), &["run", "--listen", &listen]);
        Running::start(command.env("DATABASE_URL", url))
    }

    /// Kills a streamer as kill -9 does, and starts another in its place.
    pub(crate) fn replace(&mut self, place: usize) {
        let streamer = self.streamers.remove(place);
        self.log.extend(streamer.log());
        streamer.kill();
        self.streamers.insert(place, self.start(place));
    }

    /// Waits until a COMMIT is answered; false if the streamers do not get on.
    pub(crate) async fn gets_on(&mut self) -> bool {
        let (before, deadline) = (self.proxy.commits(), Instant::now() + PATIENCE);
        while self.proxy.commits() == before {
            self.read_log();
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        true
    }

    /// Sees to it that there is enough left to read.
    pub(crate) async fn feed(&mut self) {
        let offsets = self.offsets().await;
        if self.inbox.left(&offsets) < LEFT_MIN {
            self.inbox.arrive();
        }
    }

    /// How far each partition was read by the stream that is behind.
    pub(crate) async fn offsets(&self) -> Offsets {
        let least = "select partition, min(next_offset) from streamer.checkpoint
                      group by partition having count(*) = 2";
        let rows = self.db.rows(least).await;
        let split = rows.iter().filter_map(|row| row.rsplit_once('|'));
        split.map(|(partition, offset)| (partition.to_owned(), offset.parse().unwrap())).collect()
    }

    /// What of the clients' requests is not committed, in bytes of segments.
    async fn spooled(&self) -> u64 {
        let prefix = format!("spool/{}/", requests::STREAM);
        let Ok(files) = self.inbox.folder.path().join(&prefix).read_dir() else { return 0 };
        // One that is gone by now is committed.
        let sizes =
            files.flatten().filter_map(|file| Some((file.file_name(), file.metadata().ok()?)));
        let sizes: Vec<_> = sizes.map(|(name, metadata)| (name, metadata.len())).collect();
        let mut left = 0;
        for (name, size) in sizes {
            let offset = format!(
                "select coalesce(max(next_offset), 0) from streamer.checkpoint
                  where stream = '{}' and partition = '{prefix}{}'",
                requests::STREAM,
                name.display()
            );
            let offset = u64::try_from(self.db.number(&offset).await).expect("it is no less");
            left += size.saturating_sub(offset);
        }
        left
    }

    /// Waits until all is read; false if that takes too long.
    pub(crate) async fn drain(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while self.inbox.left(&self.offsets().await) > 0 || self.spooled().await > 0 {
            self.read_log();
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        true
    }

    /// A connection of the harness itself, past the proxy.
    pub(crate) async fn connect(&self) -> PgConnection {
        self.db.connect().await
    }

    /// How many transactions of the streamers are open.
    pub(crate) async fn open_transactions(&self) -> i64 {
        let open = "select count(*) from pg_stat_activity
            where datname = current_database() and application_name = 'streamer'
              and xact_start is not null";
        self.db.number(open).await
    }

    /// Ends the streamers' connections; how many there were.
    pub(crate) async fn hang_up(&self) -> i64 {
        let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity
            where datname = current_database() and application_name = 'streamer'";
        self.db.number(end).await
    }

    /// Takes in what the streamers have told.
    pub(crate) fn read_log(&mut self) {
        self.log.extend(self.streamers.iter().flat_map(Running::log));
    }

    /// How many log lines hold `text`.
    pub(crate) fn told(&mut self, text: &str) -> usize {
        self.read_log();
        self.log.iter().filter(|line| line.contains(text)).count()
    }
}

/// Ports that nobody has, and that no connection gets by chance while their streamer is away.
fn free_ports(count: usize) -> Vec<u16> {
    let first = 10_000 + u16::try_from(std::process::id() % 20_000).expect("it fits");
    let free = (first..).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.take(count).collect()
}

/// Runs a statement of the harness.
pub(crate) async fn execute(conn: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(conn).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Ends a connection of the harness.
pub(crate) async fn close(conn: PgConnection) {
    conn.close().await.expect("close the connection");
}
