# shellcheck shell=bash
# What tests/stack/run is written with: finding the tools, waiting, asking the database, judging.
# Of its caller: $log, the file for what is not looked at, and $outside, the container of another database.
# shellcheck disable=SC2154

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
say() { printf '   %s\n' "$*"; }

# Compose of this test's project, in the current folder.
project=streamer-test
compose() { "${compose_command[@]}" --project-name "$project" "$@"; }
# What the stack test does not look at goes to its log.
quietly() { "$@" >>"$log" 2>&1 || { tail -n 20 "$log" >&2; fail "$*"; }; }

find_tools() {
    docker info >/dev/null 2>&1 || fail "no Docker engine answers; install one and start it (\`docker info\` must work)"
    if docker compose version >/dev/null 2>&1; then
        compose_command=(docker compose)
    elif command -v docker-compose >/dev/null; then
        compose_command=(docker-compose)
        export DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1
    else
        fail "neither \`docker compose\` nor \`docker-compose\` is installed"
    fi
    say "Docker $(docker version --format '{{.Server.Version}}'), Compose $("${compose_command[@]}" version --short)"
    command -v curl >/dev/null || fail "curl is not installed"
    command -v node >/dev/null || fail "Node.js is not installed; the browser test needs it"
    for browser in "${BROWSER:-}" chromium chromium-browser google-chrome; do
        if [ -n "$browser" ] && BROWSER=$(command -v "$browser"); then export BROWSER; return; fi
    done
    fail "no Chromium is installed (\`apt-get install chromium\`), nor named by BROWSER"
}

# Takes away what this or an earlier run has left.
remove_all() {
    local project
    docker rm --force --volumes "$outside" >/dev/null 2>&1 || true
    for project in streamer-test streamer-test-other; do
        docker ps --all --quiet --filter "label=com.docker.compose.project=$project" |
            xargs --no-run-if-empty docker rm --force --volumes >/dev/null
        docker volume ls --quiet --filter "label=com.docker.compose.project=$project" |
            xargs --no-run-if-empty docker volume rm >/dev/null
        docker network ls --quiet --filter "label=com.docker.compose.project=$project" |
            xargs --no-run-if-empty docker network rm >/dev/null
    done
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
    local limit=$1 what=$2 begun=$SECONDS
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [ $((SECONDS - begun)) -ge "$limit" ]; then
            compose ps --all >&2
            compose logs --tail 20 >&2
            fail "$what: not within $limit s"
        fi
        sleep 0.2
    done
}

container() { compose ps --all --quiet "$1" | head -n 1; }
inspect() { docker inspect --format "$2" "$(container "$1")"; }
is_healthy() { [ "$(inspect "$1" '{{.State.Health.Status}}')" = healthy ]; }
has_ended_well() { [ "$(inspect "$1" '{{.State.Status}} {{.State.ExitCode}}')" = "exited 0" ]; }

sql() { compose exec -T postgres psql -XqAt -v ON_ERROR_STOP=1 -U streamer -d streamer -c "$1"; }
rows() { sql 'select count(*) from user_events'; }
has_rows() { [ "$(rows)" = "$1" ]; }
has_rows_more_than() { [ "$(rows)" -gt "$1" ]; }

# Whether as many files as are in data/ are done, to their last byte.
all_files_are_done() {
    local bytes
    bytes=$(cat data/*.csv | wc -c)
    [ "$(sql "select count(*), sum(next_offset) from streamer.checkpoint where state = 'done' and partition not like 'spool/%'")" = \
        "$(find data -name '*.csv' | wc -l)|$bytes" ]
}

# Waits until all files are done, then has PostgreSQL read them by itself and compare: the rows of the table
# are the distinct records of the files, and every record is counted, once.
nothing_is_lost_or_doubled() {
    local columns=event_id,user_id,product_id,event_type,event_time,price,category,user_device,user_location
    local found
    wait_for 180 "all files are loaded" all_files_are_done
    [ "$(cat data/*.csv | grep -c '^event_id,')" = "$(cat data/*.csv | grep -c "^$columns\$")" ] ||
        fail "the files have other columns than this test compares"
    found=$({
        echo "create temp table file as select $columns from user_events limit 0;"
        echo "copy file ($columns) from stdin with (format csv);"
        cat data/*.csv | grep -v '^event_id,'
        echo '\.'
        echo "with record as (select distinct * from file), line as (select $columns from user_events)
              select (select count(*) from (table record except all table line) a),
                     (select count(*) from (table line except all table record) b),
                     (select count(*) from file) - (select sum(records) from streamer.micro_batch),
                     (select sum(records - rows - duplicates - dead_letters) from streamer.micro_batch),
                     (select count(*) from line) - (select sum(rows) from streamer.micro_batch)"
    } | compose exec -T postgres psql -XqAt -v ON_ERROR_STOP=1 -U streamer -d streamer)
    [ "$found" = "0|0|0|0|0" ] ||
        fail "lost | invented | records not counted | records without outcome | rows not counted: $found"
    say "$(rows) rows: nothing lost, nothing doubled"
}
