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

-- Rows arrive in order of batch_id: a block range index costs next to nothing and finds the rows of a micro-batch.
create index user_events_batch_id_idx on public.user_events using brin (batch_id);

comment on table public.user_events is 'What users did in the shop: views, carts, purchases.';
comment on column public.user_events.batch_id is 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';
comment on column public.user_events.ingested_at is 'When that micro-batch''s transaction began.';
