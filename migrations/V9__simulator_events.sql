-- A value that wanders in time, as `generator simulator` makes it.
create table public.simulator_events (
    "time"      timestamptz    not null,
    value       numeric(12, 3) not null,
    batch_id    bigint,
    ingested_at timestamptz    default now(),
    constraint simulator_events_pkey primary key ("time", value)
);
create index simulator_events_batch_id_idx on public.simulator_events using brin (batch_id);

comment on table public.simulator_events is 'A value that wanders in time. Two makers may tell of the same time, so the value belongs to the key.';
comment on column public.simulator_events.batch_id is 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';
comment on column public.simulator_events.ingested_at is 'When that micro-batch''s transaction began.';
