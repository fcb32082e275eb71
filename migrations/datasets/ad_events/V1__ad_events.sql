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
    campaign_id   integer     not null,
    produce_time  bigint,
    -- Double precision holds the microseconds of these years exactly.
    event_time    timestamptz generated always as (to_timestamp((event_time_ns / 1000)::double precision / 1000000)) stored not null,
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
comment on column public.ad_events.window_id is 'Which window since 1970 it happened in, as its maker counts them; NULL where the maker does not.';
comment on column public.ad_events.produce_time is 'When its maker sent it, in milliseconds since 1970.';
comment on column public.ad_events.batch_id is 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';
comment on column public.ad_events.ingested_at is 'When that micro-batch''s transaction began.';

-- Its window is these ten seconds until a setting of the stream (`window`) or
-- `streamer.change_rollup` says otherwise. Whatever else needs the window takes it from the rollup.
select streamer.create_rollup('public.ad_events_per_window', 'public.ad_events', 'event_time', '10 seconds',
    '{campaign_id}',
    'views = count(*) where event_type = ''view''',
    'clicks = count(*) where event_type = ''click''',
    'purchases = count(*) where event_type = ''purchase''',
    'events = count(*)',
    'last_produce_time = max(produce_time)');
comment on table public.ad_events_per_window is 'What was done with the ads of each campaign, per window.';
comment on column public.ad_events_per_window.last_produce_time is 'When the last of the events was sent, in milliseconds since 1970.';
