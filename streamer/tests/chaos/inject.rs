//! The faults themselves. Each tells whether it hit what it was meant to hit.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use crate::schedule::{Fault, Step};
use crate::support::{Cut, Server};
use crate::world::{World, close, execute};

/// How long a step of the protocol may take to come.
const STEP_COMES: Duration = Duration::from_secs(20);

/// Makes the step's fault happen; whether it hit.
pub(crate) async fn inject(world: &mut World, server: &mut Server, step: &Step) -> bool {
    let pick = step.pick % world.streamers.len();
    match step.fault {
        Fault::Kill => kill_streamer(world, pick).await,
        Fault::Freeze => {
            world.streamers[pick].signal(Signal::SIGSTOP);
            let hit = world.open_transactions().await > 0;
            sleep(step.hold).await;
            world.streamers[pick].signal(Signal::SIGCONT);
            hit
        }
        Fault::FreezeLong => {
            world.streamers[pick].signal(Signal::SIGSTOP);
            let hit = world.open_transactions().await > 0;
            world.hang_up().await;
            sleep(step.hold).await;
            world.streamers[pick].signal(Signal::SIGCONT);
            hit
        }
        Fault::Terminate => {
            let hit = world.open_transactions().await > 0;
            world.hang_up().await > 0 && hit
        }
        Fault::KillBackend => kill_backend(world, server, step.pick).await,
        Fault::StopServer => {
            let canary = world.connect().await;
            let hit = world.open_transactions().await > 0;
            server.stop_at_once();
            dies(canary).await;
            sleep(step.hold).await;
            server.ensure_running().await;
            hit
        }
        Fault::Cut(cut) => cut_connection(world, cut).await,
        Fault::Lock => {
            let mut conn = world.connect().await;
            execute(
                &mut conn,
                "begin; lock table public.user_events, public.event_log, public.requests",
            )
            .await;
            sleep(step.hold).await;
            let hit = waiting(world).await > 0;
            close(conn).await;
            hit
        }
        Fault::Deadlock => deadlock(world).await,
        Fault::Conflict => conflict(world, step.hold).await,
        Fault::TooManyConnections => {
            let mut conn = world.connect().await;
            execute(&mut conn, "alter role loader connection limit 0").await;
            let hit = world.hang_up().await > 0;
            sleep(step.hold).await;
            execute(&mut conn, "alter role loader connection limit -1").await;
            close(conn).await;
            hit
        }
    }
}

/// Stands still first, so that what is seen is what the kill hits.
async fn kill_streamer(world: &mut World, pick: usize) -> bool {
    world.streamers[pick].signal(Signal::SIGSTOP);
    // The server may be busy with a statement of it for a moment.
    let hit = world.open_transactions().await > 0;
    world.replace(pick);
    hit
}

async fn kill_backend(world: &World, server: &mut Server, pick: usize) -> bool {
    let busiest = "select pid::bigint from pg_stat_activity
        where datname = current_database() and application_name = 'streamer'
        order by xact_start is null, pid";
    let canary = world.connect().await;
    let pids = world.db.rows(busiest).await;
    let open = world.open_transactions().await;
    let Some(pid) = pids.get(pick % pids.len().max(1)) else { return false };
    let killed = kill(Pid::from_raw(pid.parse().expect("a number")), Signal::SIGKILL).is_ok();
    // One that was about to end by itself, as those do that look keys up, takes nobody with it.
    let killed = killed && tokio::time::timeout(STEP_COMES, dies(canary)).await.is_ok();
    server.ensure_running().await;
    killed && open > 0
}

/// Waits until the server has thrown everybody out.
async fn dies(mut canary: PgConnection) {
    while canary.ping().await.is_ok() {
        sleep(Duration::from_millis(2)).await;
    }
}

async fn cut_connection(world: &mut World, cut: Cut) -> bool {
    let before = world.proxy.cuts();
    world.proxy.arm(cut, 1, 1);
    if cut == Cut::CheckpointRead {
        // It is read at the start.
        world.hang_up().await;
        world.replace(0);
    }
    let cut = async {
        while world.proxy.cuts() == before {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let hit = tokio::time::timeout(STEP_COMES, cut).await.is_ok();
    world.proxy.disarm();
    hit
}

/// Takes the lock on the tables, lets a streamer that has moved its checkpoint wait for it, and
/// then wants the checkpoints. PostgreSQL breaks off whoever waited first, which is a streamer;
/// where several wait, it may be this transaction in the end.
async fn deadlock(world: &mut World) -> bool {
    let before = world.told("deadlock detected");
    let mut conn = world.connect().await;
    execute(
        &mut conn,
        "begin; set local deadlock_timeout = '3s';
         lock table public.user_events, public.event_log, public.requests",
    )
    .await;
    for _ in 0..200 {
        if waiting(world).await > 0 {
            break;
        }
        sleep(Duration::from_millis(5)).await;
    }
    let wish = sqlx::raw_sql("select from streamer.checkpoint for update").execute(&mut conn).await;
    close(conn).await;
    world.told("deadlock detected") > before || wish.is_err()
}

/// Touches the checkpoints again and again while the streamers' transactions are serializable.
async fn conflict(world: &mut World, hold: Duration) -> bool {
    let failures = "could not serialize";
    let before = world.told(failures);
    let mut conn = world.connect().await;
    execute(&mut conn, "alter role loader set default_transaction_isolation = serializable").await;
    world.hang_up().await;
    let until = std::time::Instant::now() + hold * 4;
    while std::time::Instant::now() < until {
        let touch =
            "begin; update streamer.checkpoint set updated_at = now() where state = 'reading';
                     select pg_sleep(0.005); commit";
        // A streamer's transaction may stand in the way; then it is ours that fails.
        drop(sqlx::raw_sql(touch).execute(&mut conn).await);
        drop(sqlx::raw_sql("rollback").execute(&mut conn).await);
        sleep(Duration::from_millis(3)).await;
    }
    execute(&mut conn, "alter role loader reset default_transaction_isolation").await;
    close(conn).await;
    world.hang_up().await;
    world.told(failures) > before
}

/// How many of the streamers' transactions wait for a lock.
async fn waiting(world: &World) -> i64 {
    let waiting = "select count(distinct l.pid) from pg_locks l join pg_stat_activity a using (pid)
        where a.datname = current_database() and a.application_name = 'streamer' and not l.granted";
    world.db.number(waiting).await
}
