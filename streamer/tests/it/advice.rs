//! What is told of a table that can't be written into: what is in the way, and how it is removed.

use std::fs;
use std::path::Path;

use crate::support::{Ended, TestDb, folder, streamer};

/// A table, and a file for it.
async fn orders(folder: &Path, table: &str) -> TestDb {
    let db = TestDb::create().await;
    db.execute("create schema \"The shop\"").await;
    db.execute(&format!("create table {table} (id serial primary key, note text)")).await;
    let settings = format!("[stream.orders]\nfiles = '*.csv'\ntable = '{table}'\n");
    fs::write(folder.join("streams.toml"), settings).unwrap();
    fs::write(folder.join("1.csv"), "id,note\n1,good\n2,bad\n3,good\n").unwrap();
    db
}

/// Loads the file, as `role`.
fn load(db: &TestDb, folder: &Path, role: &str) -> Ended {
    let url = db.url().replace("//streamer@", &format!("//{role}@"));
    Ended::of(streamer(folder, &["run", "--available-now"]).env("DATABASE_URL", url))
}

/// The rights that README.md names for a role that loads into the table.
fn readme_grants(table: &str, role: &str) -> String {
    let readme = include_str!("../../../README.md");
    let grants = readme.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    grants.replace("user_events", table).replace("loader", role)
}

/// Has a trigger do `what` with the record that is bad.
fn trigger(what: &str) -> String {
    format!(
        "create function judge() returns trigger language plpgsql as $$
         begin
             if new.note = 'bad' then {what}; end if;
             return new;
         end $$;
         create trigger judges before insert on orders for each row execute function judge()"
    )
}

#[tokio::test]
async fn a_state_that_a_trigger_lacks_costs_its_row() {
    let folder = folder();
    let db = orders(folder.path(), "orders").await;
    db.execute("create sequence numbers").await;
    db.execute(&trigger("perform currval('numbers')")).await;
    load(&db, folder.path(), "streamer").expect(3);
    assert_eq!(db.rows("select id from orders order by id").await, ["1", "3"]);
    let letter = "select line, reasons->0->>'sqlstate' from streamer.dead_letter";
    assert_eq!(db.rows(letter).await, ["3|55000"]);
}

#[tokio::test]
async fn a_trigger_that_fails_is_named_with_what_it_says() {
    let folder = folder();
    let db = orders(folder.path(), "orders").await;
    db.execute(&trigger("insert into no_such_table values (1)")).await;
    db.execute(
        "create function other() returns trigger language plpgsql as 'begin return new; end'",
    )
    .await;
    db.execute(
        "create trigger another before insert on orders for each row execute function other()",
    )
    .await;
    let told = load(&db, folder.path(), "streamer").expect(1).stderr;
    for words in [
        "trigger judges of table public.orders, by judge()",
        "`alter table public.orders disable trigger judges`",
        "no_such_table",
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!told.contains("streamer migrate") && !told.contains("has changed"), "{told}");
    assert_eq!(db.number("select count(*) from orders").await, 0);
}

#[tokio::test]
async fn row_level_security_is_named_with_the_ways_out() {
    let folder = folder();
    let db = orders(folder.path(), "orders").await;
    let grants = readme_grants("orders", "\"Tenant\"");
    db.execute(&format!("create role \"Tenant\" login; {grants}")).await;
    db.execute(
        "alter table orders enable row level security;
         create policy all_of_it on orders using (true) with check (true)",
    )
    .await;
    let url = db.url().replace("//streamer@", "//Tenant@");
    let check = || Ended::of(streamer(folder.path(), &["check"]).env("DATABASE_URL", &url));
    for told in [load(&db, folder.path(), "Tenant").expect(1).stderr, check().expect(1).stderr] {
        for words in [
            "row-level security of table public.orders",
            "`alter role \"Tenant\" bypassrls`",
            "`alter table public.orders disable row level security`",
            "load as the table's owner",
        ] {
            assert!(told.contains(words), "{told}");
        }
    }
    db.execute("alter role \"Tenant\" bypassrls").await;
    load(&db, folder.path(), "Tenant").expect(0);
}

#[tokio::test]
async fn what_is_granted_as_told_is_enough() {
    let folder = folder();
    let table = "\"The shop\".orders";
    let db = orders(folder.path(), table).await;
    fs::write(folder.path().join("1.csv"), "note\ngood\nbad\n").unwrap();
    db.execute("create role beginner login").await;
    let (mut told, mut granted) = (String::new(), 0);
    for _ in 0..5 {
        let ended = load(&db, folder.path(), "beginner");
        if ended.code == Some(0) {
            break;
        }
        told = ended.stderr;
        let grants: Vec<&str> = told.split("grant ").skip(1).collect();
        for grant in grants.iter().filter_map(|rest| rest.split_once(" to beginner")) {
            db.execute(&format!("grant {} to beginner", grant.0)).await;
            granted += 1;
        }
    }
    assert_eq!(db.number(&format!("select count(*) from {table}")).await, 2, "{told}");
    assert!(granted > 3, "{granted}");
    let rights = "select has_schema_privilege('beginner', 'The shop', 'usage'),
                         has_table_privilege('beginner', '\"The shop\".orders', 'update')";
    assert_eq!(db.rows(rights).await, ["t|f"], "no more than that");
}

#[tokio::test]
async fn a_table_in_a_schema_of_the_search_path_that_may_not_be_used_is_told_with_the_right() {
    let folder = folder();
    let db = orders(folder.path(), "\"The shop\".orders").await;
    let settings = "[stream.orders]\nfiles = '*.csv'\n";
    fs::write(folder.path().join("streams.toml"), settings).unwrap();
    db.execute(
        "create role outsider login; alter role outsider set search_path = 'The shop', public",
    )
    .await;
    let url = db.url().replace("//streamer@", "//outsider@");
    let grants = readme_grants("\"The shop\".orders", "outsider");
    db.execute(&format!("{grants}; revoke usage on schema \"The shop\" from outsider")).await;
    let check = || Ended::of(streamer(folder.path(), &["check"]).env("DATABASE_URL", &url));
    for told in [load(&db, folder.path(), "outsider").expect(1).stderr, check().expect(1).stderr] {
        assert!(told.contains("grant usage on schema \"The shop\" to outsider"), "{told}");
        assert!(!told.contains("there is no table"), "{told}");
    }
    db.execute("grant usage on schema \"The shop\" to outsider").await;
    load(&db, folder.path(), "outsider").expect(0);
    // One that is nowhere is missing as ever.
    db.execute("drop table \"The shop\".orders").await;
    let told = load(&db, folder.path(), "outsider").expect(1).stderr;
    assert!(told.contains("there is no table orders"), "{told}");
}
