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

-- Its rollup; `streamer.change_rollup` gives it another window or other aggregates. A window that
-- slides is a view over it.
select streamer.create_rollup('public.simulator_events_per_window', 'public.simulator_events', 'time', '10 seconds',
    '{}',
    'events = count(*)',
    'sum = sum(value)',
    'average = "sum" / nullif(events, 0)',
    'min = min(value)',
    'max = max(value)');
comment on table public.simulator_events_per_window is 'The wandering value per ten seconds.';

select streamer.offer_view('simulator_events_sliding', $view$
select window_start + interval '10 seconds' as window_end,
       sum(events) over minute as events,
       sum("sum") over minute as "sum",
       sum("sum") over minute / nullif(sum(events) over minute, 0) as average,
       min("min") over minute as "min",
       max("max") over minute as "max"
  from public.simulator_events_per_window
 where isfinite(window_start)
window minute as (order by window_start range between interval '50 seconds' preceding and current row)$view$,
    'The minute before each window_end, every ten seconds in which there was something: a sliding window over the tumbling windows of ten seconds.');

select streamer.show_datasets();
