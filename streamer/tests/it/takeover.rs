//! A database that the streamer of V14 has made is taken over with all that is in it; any other
//! history is refused.
//!
//! `v14/` holds such a database as pg_dump wrote it, and the files that it was loaded from.

use std::fs;
use std::path::{Path, PathBuf};

use sqlx::Executor;
use tempfile::TempDir;

use crate::rollups::agree;
use crate::support::{Ended, Http, Running, TestDb, folder, judge, streamer};

const FILES: [&str; 4] =
    ["ad_events_1.csv", "transfers_1.csv", "user_events_1.csv", "user_events_2.csv"];

/// The database and a folder with its files.
async fn v14() -> (TestDb, TempDir) {
    let (db, folder) = (TestDb::empty().await, folder());
    db.execute(include_str!("v14/dump.sql")).await;
    for name in FILES {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/v14").join(name);
        fs::copy(source, folder.path().join(name)).unwrap();
    }
    (db, folder)
}

fn run(db: &TestDb, folder: &Path, args: &[&str]) -> Ended {
    Ended::of(streamer(folder, args).env("DATABASE_URL", db.url()))
}

/// What must be there after as before, `CAMPAIGN` being a campaign's uuid.
const KEPT: [&str; 9] = [
    "select to_jsonb(c) - 'waits_for' from streamer.checkpoint c order by stream, partition",
    "select batch_id, stream, partition, start_offset, end_offset, records, rows, duplicates,
            dead_letters, path, started_at, written_at from streamer.micro_batch order by batch_id",
    "select to_jsonb(d) - '{kind,tried_with}'::text[] from streamer.dead_letter d order by dead_letter_id",
    "select * from public.user_events order by event_id",
    "select * from public.transfers order by transfer_id",
    "select user_id, page_id, ad_id, ad_type, event_type, event_time_ns, window_id, ip_address, CAMPAIGN, produce_time,
            event_time, batch_id, ingested_at from public.ad_events o order by event_time_ns, user_id",
    "select * from public.transfers_per_minute order by window_start, account_region",
    "select window_start, CAMPAIGN, views, clicks, purchases, events, last_produce_time
       from public.ad_events_per_window o order by 1, 2",
    "select CAMPAIGN, n from public.ads_per_campaign o order by 1, 2",
];

async fn kept(db: &TestDb, campaign: &str) -> Vec<Vec<String>> {
    let mut kept = Vec::new();
    for query in KEPT {
        kept.push(db.rows(&query.replace("CAMPAIGN", campaign)).await);
    }
    kept
}

/// A rollup per campaign of the user's own, and a campaign that only rollups know any more.
const OWN: &str =
    "select streamer.create_rollup('public.ads_per_campaign', 'public.ad_events', null, null, '{campaign_id}', 'n = count(*)');
     begin;
     set local streamer.keep_rollups = on;
     delete from public.ad_events where campaign_id = (select max(campaign_id::text)::uuid from public.ad_events);
     commit";

#[tokio::test]
async fn rows_checkpoints_rollups_and_dead_letters_are_kept() {
    let (db, folder) = v14().await;
    db.execute(OWN).await;
    let before = kept(&db, "campaign_id").await;
    assert!(before.iter().all(|rows| !rows.is_empty()), "{before:?}");
    let told = run(&db, folder.path(), &["check"]).expect(1).stderr;
    assert!(told.contains("the database of the streamer before is to be taken over"), "{told}");
    let told = run(&db, folder.path(), &["migrate"]).expect(0).stdout;
    assert!(told.starts_with("took over the database of the streamer before\n"), "{told}");
    let former =
        "(select former_id from streamer.former_campaign f where f.campaign_id = o.campaign_id)";
    let after = kept(&db, former).await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    let ranks = "select count(*) from (
        select campaign_id, rank() over (order by coalesce(
                   (select min(event_time) from ad_events e where e.campaign_id = f.campaign_id),
                   (select min(window_start) from ad_events_per_window w where w.campaign_id = f.campaign_id)),
               former_id) as place from streamer.former_campaign f) r where campaign_id <> place";
    assert_eq!(db.number(ranks).await, 0);
    let told = run(&db, folder.path(), &["migrate"]).expect(0).stdout;
    assert_eq!(told, "nothing to do: all migrations are applied\n");
}

#[tokio::test]
async fn whoever_loaded_before_loads_the_rest_and_can_not_write_the_histories_any_more() {
    let (db, folder) = v14().await;
    let role = format!("veteran_{}", std::process::id());
    db.execute(&format!(
        "create role {role} login;
         grant insert, select on user_events, transfers, ad_events to {role};
         grant usage on schema streamer to {role};
         grant select, insert, update on all tables in schema streamer to {role};
         grant usage on all sequences in schema streamer to {role}"
    ))
    .await;
    let bytes = "select sum(end_offset - start_offset)::bigint from streamer.micro_batch";
    let before = db.number(bytes).await;
    let settings = ["user_events", "transfers", "ad_events"]
        .map(|name| format!("[stream.{name}]\nfiles = '{name}_*.csv'\ndataset = '{name}'\n"));
    fs::write(folder.path().join("streams.toml"), settings.concat()).unwrap();
    // Two that start at once.
    let [first, second] = [(); 2].map(|()| {
        let mut command = streamer(folder.path(), &["migrate"]);
        Running::start(command.env("DATABASE_URL", db.url()))
    });
    assert_eq!([first.wait().0, second.wait().0], [Some(0), Some(0)]);
    agree(&db, "after the takeover").await;
    let mut command = streamer(folder.path(), &["run", "--available-now"]);
    command.env("DATABASE_URL", db.url().replace("streamer@", &format!("{role}@")));
    assert!(matches!(Ended::of(&mut command).code, Some(0 | 3)));
    assert_eq!(db.number(bytes).await, before + 2732, "only the rest is read");
    let rest =
        "select start_offset, end_offset from streamer.micro_batch order by batch_id desc limit 1";
    assert_eq!(db.rows(rest).await, ["4068|6800"]);
    let files: Vec<PathBuf> = FILES[2..].iter().map(|name| folder.path().join(name)).collect();
    assert_eq!(db.rows(crate::support::judge::TABLE_QUERY).await, judge(&files).table());
    agree(&db, "after the rest").await;
    let writable = format!(
        "select relname from pg_class where relnamespace = 'streamer'::regnamespace and relkind = 'r'
            and has_any_column_privilege('{role}', oid, 'insert, update') order by relname"
    );
    let loads =
        "checkpoint compaction dead_letter idempotency_key instance micro_batch micro_batch_old";
    assert_eq!(db.rows(&writable).await.join(" "), loads);
    let open =
        db.number("select count(*) from streamer.dead_letter where resolved_at is null").await;
    let retried = run(&db, folder.path(), &["dead-letters", "retry", "--all"]).expect(3).stdout;
    assert!(retried.contains(&format!(" {open} still refused")), "{retried}");
}

/// Every object with all that tells how it is made.
const SHAPE: &str = "
    with own as (select oid, nspname from pg_namespace where nspname in ('public', 'streamer')),
         relation as (select c.*, own.nspname from pg_class c join own on own.oid = c.relnamespace
                       where c.relname <> 'former_campaign' and c.relname not like 'former\\_campaign\\_%')
    select 'relation', nspname, relname, relkind::text, reloptions::text, obj_description(oid, 'pg_class'),
           case relkind when 'v' then pg_get_viewdef(oid) when 'i' then pg_get_indexdef(oid) end
      from relation
    union all
    select 'column', nspname, relname, attname, row_number() over (partition by r.oid order by attnum)::text,
           concat_ws(' ', format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated,
                     col_description(r.oid, attnum)), pg_get_expr(adbin, adrelid)
      from relation r join pg_attribute a on a.attrelid = r.oid and attnum > 0 and not attisdropped
      left join pg_attrdef d on d.adrelid = r.oid and d.adnum = attnum
    union all
    select 'constraint', nspname, relname, conname, contype::text, null, pg_get_constraintdef(c.oid)
      from relation r join pg_constraint c on c.conrelid = r.oid
    union all
    select 'trigger', nspname, relname, tgname, null, null, pg_get_triggerdef(t.oid)
      from relation r join pg_trigger t on t.tgrelid = r.oid and not tgisinternal
    union all
    select 'function', nspname, proname, (proacl is null)::text, null, obj_description(p.oid, 'pg_proc'),
           pg_get_functiondef(p.oid)
      from own join pg_proc p on p.pronamespace = own.oid
    union all
    select 'migration', 'streamer', h, null, null, null, x
      from (select 'core' as h, string_agg(version || name || checksum, ',' order by version) as x
              from streamer.schema_history
             union all select 'ads', string_agg(version || name || checksum, ',' order by version)
              from streamer.history_ad_events) m
     order by 1, 2, 3, 4, 5, 6, 7";

#[tokio::test]
async fn a_database_taken_over_is_made_like_a_new_one() {
    let (db, folder) = v14().await;
    run(&db, folder.path(), &["migrate"]).expect(0);
    let (taken, new) = (db.rows(SHAPE).await, TestDb::create().await.rows(SHAPE).await);
    for (taken, new) in taken.iter().zip(&new) {
        assert_eq!(taken, new);
    }
    assert_eq!(taken.len(), new.len());
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_takeover_is_named_and_nothing_is_changed() {
    let (db, folder) = v14().await;
    db.execute("create view public.mine as select campaign_id from public.ad_events").await;
    let before = db.rows("select * from streamer.schema_history").await;
    let told = run(&db, folder.path(), &["migrate"]).expect(1).stderr;
    assert!(told.contains("nothing was changed") && told.contains("view public.mine"), "{told}");
    assert_eq!(db.rows("select * from streamer.schema_history").await, before);
    assert_eq!(db.rows("select to_regclass('streamer.former_campaign')").await, ["∅"]);
    db.execute("drop view public.mine").await;
    run(&db, folder.path(), &["migrate"]).expect(0);
}

#[tokio::test]
async fn a_rollup_keeps_the_window_that_it_was_given_and_what_it_tells_of_rows_that_are_gone() {
    let (db, folder) = v14().await;
    db.execute("select streamer.change_rollup('public.ad_events_per_window', '1 minute')").await;
    db.execute(OWN).await;
    let windows = "select window_start, events from ad_events_per_window order by 1, 2";
    let before = db.rows(windows).await;
    let settings = "[stream.ads]\nfiles = 'ad_*.csv'\ndataset = 'ad_events'\n";
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    run(&db, folder.path(), &["migrate"]).expect(0);
    assert_eq!(db.rows(windows).await, before);
}

/// What `nextval` leaves is not rolled back: it tells that somebody's function was called.
const CALLED: &str = "select is_called from public.calls";

#[tokio::test]
async fn what_looks_like_a_rollup_or_is_called_like_a_function_of_postgresql_is_not_called() {
    let (db, folder) = v14().await;
    let role = format!("mallory_{}", std::process::id());
    db.execute(&format!(
        "create role {role};
         create sequence public.calls;
         grant select on all tables in schema streamer to {role};
         create function public.called() returns text language plpgsql immutable as
             $$begin perform nextval('public.calls'); return 'x'; end$$;
         create function public.quote_ident(name) returns text language sql as 'select public.called()';
         create function public.concat(name, name) returns text language sql as 'select public.called()';
         create operator public.|| (leftarg = name, rightarg = name, function = public.concat);
         create function public.pg_advisory_xact_lock(int) returns text language sql as 'select public.called()'"
    ))
    .await;
    // One of a dataset without a rollup, and one of campaigns; both of somebody who may make
    // tables.
    for (rollup, source) in [("gps_positions_per_window", "gps_positions"), ("ads", "ad_events")] {
        db.execute(&format!(
            "create table public.{rollup} (campaign_id uuid check (public.called() is not null), n bigint);
             insert into public.{rollup} select campaign_id, 1 from ad_events limit 1;
             alter sequence public.calls restart;
             create function public.{rollup}_rollup() returns trigger language plpgsql as 'begin return null; end';
             comment on function public.{rollup}_rollup() is '{{\"source\": \"public.{source}\", \"time\": null,
                 \"size\": null, \"keys\": [\"campaign_id\"],
                 \"aggregates\": [\"n = count(*)\", \"most = max(public.called())\"]}}';
             alter table public.{rollup} owner to {role};
             alter function public.{rollup}_rollup() owner to {role}"
        ))
        .await;
    }
    assert_eq!(
        db.number("select count(*) from streamer.rollup where keys = '{campaign_id}'").await,
        3
    );
    run(&db, folder.path(), &["migrate"]).expect(0);
    assert_eq!(db.rows(CALLED).await, ["f"]);
    assert_eq!(db.number("select count(*) from streamer.former_campaign").await, 8);
}

#[tokio::test]
async fn a_campaign_that_comes_meanwhile_gets_a_number_too() {
    let (db, folder) = v14().await;
    let mut loader = db.connect().await;
    let insert = "begin;
        insert into ad_events (user_id, page_id, ad_id, ad_type, event_type, event_time_ns, campaign_id)
        select gen_random_uuid(), page_id, ad_id, ad_type, event_type, event_time_ns, gen_random_uuid()
          from ad_events limit 1";
    loader.execute(insert).await.unwrap();
    let mut command = streamer(folder.path(), &["migrate"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    let waits = "select count(*) from pg_locks where not granted and relation = 'ad_events'::regclass
                    and database = (select oid from pg_database where datname = current_database())";
    db.wait_for(waits, 1).await;
    loader.execute("commit").await.unwrap();
    assert_eq!(running.wait().0, Some(0));
    let numbered = "select count(*) from ad_events where campaign_id is not null";
    let rows = db.number("select count(*) from ad_events").await;
    assert_eq!(db.number(numbered).await, rows);
    let campaigns =
        "select count(distinct campaign_id) = (select count(*) from streamer.former_campaign)
                       from ad_events";
    assert_eq!(db.rows(campaigns).await, ["t"]);
}

#[tokio::test]
async fn whoever_could_read_campaigns_still_can_whatever_has_become_of_the_column() {
    let role = format!("analyst_{}", std::process::id());
    let (db, folder) = v14().await;
    db.execute(&format!("create role {role}; grant select on campaign_performance to {role}"))
        .await;
    db.execute("alter table ad_events alter column campaign_id type text").await;
    let campaigns = "select campaign_id, views, clicks from campaign_performance";
    let before = db.rows(campaigns).await;
    run(&db, folder.path(), &["migrate"]).expect(0);
    assert_eq!(db.rows(campaigns).await, before);
    let may = format!("select has_table_privilege('{role}', 'campaign_performance', 'select')");
    assert_eq!(db.rows(&may).await, ["t"]);
}

/// A database of V14 whose owner is no superuser, and in which only the owner may make anything.
async fn v14_of(owner: &str) -> (TestDb, TempDir) {
    let (db, folder) = (TestDb::empty().await, folder());
    db.execute(&format!(
        "create role {owner} login;
         do $$ begin
             execute format('grant create on database %I to {owner}', current_database());
             execute format('revoke temporary on database %I from public', current_database());
         end $$;
         alter schema public owner to {owner}"
    ))
    .await;
    db.execute(&format!("set role {owner}; {}", include_str!("v14/dump.sql"))).await;
    (db, folder)
}

#[tokio::test]
async fn the_owner_goes_on_with_what_it_or_a_superuser_has_taken_over() {
    for is_by_owner in [true, false] {
        let owner = format!("owner_{is_by_owner}_{}", std::process::id());
        let (db, folder) = v14_of(&owner).await;
        db.execute("grant select on campaign_performance to pg_monitor with grant option").await;
        let as_owner = |args: &[&str]| {
            let url = db.url().replace("streamer@", &format!("{owner}@"));
            Ended::of(streamer(folder.path(), args).env("DATABASE_URL", url))
        };
        match is_by_owner {
            true => as_owner(&["migrate"]).expect(0),
            false => run(&db, folder.path(), &["migrate"]).expect(0),
        };
        let told = as_owner(&["migrate"]).expect(0).stdout;
        assert_eq!(told, "nothing to do: all migrations are applied\n");
        as_owner(&["run", "--available-now"]).expect(0);
        let others = format!(
            "select oid::regclass::text from pg_class where relkind in ('r', 'v')
                and relnamespace in ('streamer'::regnamespace, 'public'::regnamespace) and relowner <> '{owner}'::regrole
              union all
             select proname from pg_proc where pronamespace = 'streamer'::regnamespace and proowner <> '{owner}'::regrole"
        );
        assert_eq!(db.rows(&others).await, [""; 0]);
        let may = "select has_table_privilege('pg_monitor', 'campaign_performance', 'select with grant option')";
        assert_eq!(db.rows(may).await, ["t"]);
    }
}

#[tokio::test]
async fn any_other_history_is_refused_by_every_command_and_nothing_is_changed() {
    for (change, says) in [
        (
            "update streamer.schema_history set checksum = '7' where version = 13",
            "streamer.schema_history has V13__views (checksum 7), which is not this streamer's V13__views",
        ),
        (
            "delete from streamer.schema_history where version > 9",
            "streamer.schema_history ends at V9__simulator_events, and only what goes to V14__latency",
        ),
        (
            "insert into streamer.schema_history values (15, 'more', '2026-01-01T00:00:00Z', '1')",
            "streamer.schema_history has V15__more, which this one does not know",
        ),
    ] {
        let (db, folder) = v14().await;
        db.execute(change).await;
        let state = "select (select count(*) from pg_class), (select sum(hashtext(s::text))
                        from streamer.schema_history s), (select count(*) from streamer.micro_batch)";
        let before = db.rows(state).await;
        let commands: [&[&str]; 5] = [
            &["run", "--available-now"],
            &["migrate"],
            &["check"],
            &["status"],
            &["load", "transfers"],
        ];
        for command in commands {
            let told = run(&db, folder.path(), command).expect(1).stderr;
            assert!(told.contains(says), "{command:?}: {told}");
        }
        assert_eq!(db.rows(state).await, before, "{change}");
    }
}

#[tokio::test]
async fn a_dataset_with_a_history_that_is_not_known_is_refused_too() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("update streamer.history_transfers set name = 'other'").await;
    let told = run(&db, folder.path(), &["migrate"]).expect(1).stderr;
    assert!(told.contains("streamer.history_transfers has V1__other, which is not this"), "{told}");
}

#[tokio::test]
async fn a_streamer_that_can_not_work_on_a_database_says_so_once_and_stays_unwell() {
    let (db, folder) = (TestDb::create().await, folder());
    db.execute("update streamer.schema_history set checksum = '7' where version = 1").await;
    let mut command = streamer(folder.path(), &["run", "--listen", "127.0.0.1:0"]);
    let running = Running::start(command.env("DATABASE_URL", db.url()));
    let http = Http::of(&running);
    let says = "streamer.schema_history has V1__ledger (checksum 7), which is not this streamer's";
    running.wait_for_log(&format!("nothing is loaded: {}", "the database was changed"));
    let told = run(&db, folder.path(), &["health"]).expect(1).stderr;
    assert!(told.contains(says) && !told.contains("starting"), "{told}");
    assert_eq!(http.get("/readyz").status, 503);
    assert_eq!(running.log(), [""; 0], "it is said once");
    let (code, _) = running.terminate();
    assert_eq!(code, Some(1));
}
