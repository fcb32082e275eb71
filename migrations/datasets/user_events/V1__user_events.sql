-- E-commerce user events: what the generator makes and streams.toml loads by default.
create table public.user_events (
    event_id      uuid        not null,
    user_id       bigint      not null,
    product_id    bigint      not null,
    event_type    text        not null,
    event_time    timestamptz not null,
    price         numeric(10, 2),
    category      text,
    user_device   text,
    user_location text,
    batch_id      bigint,
    ingested_at   timestamptz default now(),
    constraint user_events_pkey primary key (event_id)
);

-- Rows arrive in order of batch_id: a block range index costs next to nothing and finds the rows of
-- a micro-batch.
create index user_events_batch_id_idx on public.user_events using brin (batch_id);

comment on table public.user_events is 'What users did in the shop: views, carts, purchases.';
comment on column public.user_events.batch_id is 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';
comment on column public.user_events.ingested_at is 'When that micro-batch''s transaction began.';

-- Its rollups; `streamer.change_rollup` gives them other windows or aggregates. Longer windows, and
-- windows that slide, are views over them.
select streamer.create_rollup('public.user_events_per_minute', 'public.user_events', 'event_time', '1 minute',
    '{event_type,category}',
    'events = count(*)',
    'revenue = sum(price) where event_type = ''purchase''');
comment on table public.user_events_per_minute is 'User events per minute, kind and category.';
comment on column public.user_events_per_minute.revenue is 'The prices of what was purchased; 0 for all other kinds of events.';

select streamer.offer_view('user_events_per_hour', $view$
select date_trunc('hour', window_start, 'UTC') as window_start, event_type, category,
       sum(events)::bigint as events, sum(revenue) as revenue
  from public.user_events_per_minute
 group by 1, 2, 3$view$,
    'User events per hour, kind and category.');

select streamer.offer_view('user_events_per_day', $view$
select date_trunc('day', window_start, 'UTC') as window_start, event_type, category,
       sum(events)::bigint as events, sum(revenue) as revenue
  from public.user_events_per_minute
 group by 1, 2, 3$view$,
    'User events per day (UTC), kind and category.');

select streamer.offer_view('purchase_funnel', $view$
select category, views, carts, purchases,
       round(carts / nullif(views, 0), 4) as views_to_carts,
       round(purchases / nullif(carts, 0), 4) as carts_to_purchases,
       round(purchases / nullif(views, 0), 4) as views_to_purchases,
       revenue
  from (select category,
               coalesce(sum(events) filter (where event_type = 'view'), 0) as views,
               coalesce(sum(events) filter (where event_type = 'add_to_cart'), 0) as carts,
               coalesce(sum(events) filter (where event_type = 'purchase'), 0) as purchases,
               sum(revenue) as revenue
          from public.user_events_per_minute
         group by category) c
 order by purchases desc, category$view$,
    'From views over carts to purchases, per category: how many, and which share goes on.');

select streamer.show_datasets();
