//! Lost replies, and a server that goes away.

use crate::support::{Cut, Ended, Proxy, Running, TestDb, folder, generate, judge, streamer};

/// Loads files through a proxy that cuts every fifth time that a step comes, `cuts` times in all.
async fn load_through(cut: Cut, (files, rows, seed): (u32, u64, u64), cuts: u32) {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), files, rows, seed));
    let proxy = Proxy::start(db.socket_file()).await;
    // The checkpoints are read once a connection.
    proxy.arm(cut, if cut == Cut::CheckpointRead { 1 } else { 5 }, cuts);
    let url = db.tcp_url(proxy.port);
    let path = folder.path().to_owned();
    let load = move || {
        let run = ["run", "--available-now", "--max-rows", "100"];
        Ended::of(streamer(&path, &run).env("DATABASE_URL", url)).expect(3)
    };
    let ended = tokio::task::spawn_blocking(load).await.unwrap();
    // Shown where one of the following fails.
    println!("{}", ended.stderr);
    assert_eq!(proxy.wait_for_cuts(cuts).await, cuts, "the fault hit");
    assert!(ended.stderr.contains("trying again"), "{}", ended.stderr);
    assert!(ended.stderr.contains("the database is "), "{}", ended.stderr);
    db.agrees_with(&verdict).await;
    // The summary counts each micro-batch once, also those whose reply was lost.
    let total = ended.stdout.lines().find(|line| line.contains(&format!("{files} files"))).unwrap();
    let records: String = total.split_whitespace().nth(2).unwrap().replace(',', "");
    assert_eq!(records, verdict.records.to_string(), "{}", ended.stdout);
}

#[tokio::test]
async fn a_lost_commit_reply_neither_loses_nor_doubles_rows() {
    load_through(Cut::AfterCommit, (2, 2000, 21), 8).await;
}

#[tokio::test]
async fn a_lost_reply_for_several_small_files_counts_each_once() {
    load_through(Cut::AfterCommit, (100, 25, 27), 4).await;
}

#[tokio::test]
async fn a_connection_cut_before_begin_costs_nothing() {
    load_through(Cut::BeforeBegin, (2, 2000, 41), 8).await;
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_the_rows_costs_nothing() {
    load_through(Cut::MidCopy, (2, 2000, 42), 8).await;
}

#[tokio::test]
async fn a_connection_cut_behind_the_rows_costs_nothing() {
    load_through(Cut::AfterCopy, (2, 2000, 43), 8).await;
}

#[tokio::test]
async fn a_connection_cut_while_the_checkpoints_are_read_costs_nothing() {
    load_through(Cut::CheckpointRead, (2, 2000, 44), 3).await;
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_done_again() {
    load_through(Cut::BeforeCommit, (2, 2000, 22), 8).await;
}

#[tokio::test]
async fn a_commit_that_arrives_while_it_is_done_again_counts_once() {
    load_through(Cut::LateCommit, (2, 2000, 23), 6).await;
}

#[tokio::test]
async fn an_unreachable_database_is_told_once_and_waited_for() {
    let (db, folder) = (TestDb::create().await, folder());
    let verdict = judge(&generate(folder.path(), 1, 500, 25));
    // A port that nothing listens on yet.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = db.tcp_url(port);
    let running = Running::start(streamer(folder.path(), &["run"]).env("DATABASE_URL", url));
    running.wait_for_log("trying again");
    let asked = Ended::of(&mut streamer(folder.path(), &["health"])).expect(1);
    assert!(asked.stderr.contains("no database at 127.0.0.1"), "{}", asked.stderr);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let socket = db.socket_file();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = tokio::net::UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(async move {
                // Ends when either side does.
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    let running = tokio::task::spawn_blocking(move || {
        running.wait_for_log("the database is there");
        running.wait_for_log("committed");
        running
    });
    let running = running.await.unwrap();
    let asked = Ended::of(&mut streamer(folder.path(), &["health"])).expect(0);
    assert_eq!(asked.stdout, "healthy\n");
    assert_eq!(running.terminate().0, Some(0));
    let asked = Ended::of(&mut streamer(folder.path(), &["health"])).expect(1);
    assert!(asked.stderr.contains("no `streamer run` is at work"), "{}", asked.stderr);
    db.agrees_with(&verdict).await;
}

#[tokio::test]
async fn a_missing_database_stops_it_with_the_remedy_and_no_secret() {
    let (db, folder) = (TestDb::create().await, folder());
    let url = db.url().replace("/test_", "/missing_").replace("streamer@", "streamer:s3cret@");
    let ended = Ended::of(streamer(folder.path(), &["run"]).env("DATABASE_URL", &url)).expect(1);
    assert!(ended.stderr.contains("create the database, or name another"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
}

#[tokio::test]
async fn sigterm_ends_it_in_time_even_when_the_database_says_nothing() {
    let folder = folder();
    // It takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://a@127.0.0.1:{}/b", silent.local_addr().unwrap().port());
    let running = Running::start(streamer(folder.path(), &["run"]).env("DATABASE_URL", url));
    let (_connection, _) = silent.accept().unwrap();
    let (code, time) = running.terminate();
    assert_eq!(code, Some(0));
    assert!(time < std::time::Duration::from_secs(5), "it took {time:?}");
}

#[tokio::test]
async fn a_url_with_an_unknown_parameter_is_refused_without_its_value() {
    let folder = folder();
    let url = "postgres://a@127.0.0.1:1/b?sslmode=disable&pasword=s3cret";
    let ended = Ended::of(streamer(folder.path(), &["run"]).env("DATABASE_URL", url)).expect(1);
    assert!(ended.stderr.contains("unknown parameter \"pasword\""), "{}", ended.stderr);
    assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
}
