-- Views, clicks and purchases of advertisements, as `generator ad-events` makes them.
create table public.ad_events (
    user_id       uuid        not null,
    page_id       uuid        not null,
    ad_id         uuid        not null,
    ad_type       text        not null,
    event_type    text        not null,
    event_time_ns bigint      not null,
    window_id     bigint,
    ip_address    inet,
    campaign_id   uuid        not null,
    produce_time  bigint,
    -- Double precision holds the microseconds of these years exactly.
    event_time    timestamptz generated always as (to_timestamp((event_time_ns / 1000)::double precision / 1000000)) stored,
    batch_id      bigint,
    ingested_at   timestamptz default now(),
    constraint ad_events_pkey primary key (event_time_ns, user_id, ad_id),
    constraint ad_events_ad_type_check check (ad_type in ('image', 'video', 'carousel', 'text', 'story', 'shopping', 'collection')),
    constraint ad_events_event_type_check check (event_type in ('view', 'click', 'purchase'))
);
create index ad_events_batch_id_idx on public.ad_events using brin (batch_id);

comment on table public.ad_events is 'What users did with the ads that they were shown. The events have no number of their own: a user does one thing with an ad at a time.';
comment on column public.ad_events.event_time_ns is 'When it happened, in nanoseconds since 1970.';
comment on column public.ad_events.event_time is 'The same as a time, cut to microseconds.';
comment on column public.ad_events.window_id is 'Which ten seconds since 1970 it happened in, as its maker counts them.';
comment on column public.ad_events.produce_time is 'When its maker sent it, in milliseconds since 1970.';
comment on column public.ad_events.batch_id is 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';
comment on column public.ad_events.ingested_at is 'When that micro-batch''s transaction began.';
