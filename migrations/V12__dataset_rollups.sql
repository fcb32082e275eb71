-- The rollups of the datasets; `streamer.change_rollup` gives them other windows or aggregates. Longer windows, and
-- windows that slide, are views over them.
select streamer.create_rollup('public.user_events_per_minute', 'public.user_events', 'event_time', '1 minute',
    '{event_type,category}',
    'events = count(*)',
    'revenue = sum(price) where event_type = ''purchase''');

-- It is computed from a column that is never NULL.
alter table public.ad_events alter column event_time set not null;
select streamer.create_rollup('public.ad_events_per_window', 'public.ad_events', 'event_time', '10 seconds',
    '{campaign_id}',
    'views = count(*) where event_type = ''view''',
    'clicks = count(*) where event_type = ''click''',
    'purchases = count(*) where event_type = ''purchase''',
    'events = count(*)',
    'last_produce_time = max(produce_time)');

select streamer.create_rollup('public.emoji_reactions_per_minute', 'public.emoji_reactions', 'timestamp', '1 minute',
    '{emoji_type}',
    'reactions = count(*)',
    'scaled_count = greatest(reactions / 1000, 1)');

select streamer.create_rollup('public.simulator_events_per_window', 'public.simulator_events', 'time', '10 seconds',
    '{}',
    'events = count(*)',
    'sum = sum(value)',
    'average = "sum" / nullif(events, 0)',
    'min = min(value)',
    'max = max(value)');

select streamer.create_rollup('public.credit_flow', 'public.transfers', null, null,
    '{account_region}',
    'transfers = count(*)',
    'total = sum(transaction_value)');

select streamer.create_rollup('public.transfers_per_minute', 'public.transfers', 'event_time', '1 minute',
    '{account_region}',
    'transfers = count(*)',
    'total = sum(transaction_value)',
    'largest = max(transaction_value)');

comment on table public.user_events_per_minute is 'User events per minute, kind and category.';
comment on column public.user_events_per_minute.revenue is 'The prices of what was purchased; 0 for all other kinds of events.';
comment on table public.ad_events_per_window is 'What was done with the ads of each campaign, per ten seconds.';
comment on column public.ad_events_per_window.last_produce_time is 'When the last of the events was sent, in milliseconds since 1970.';
comment on table public.emoji_reactions_per_minute is 'Reactions per minute and kind.';
comment on column public.emoji_reactions_per_minute.scaled_count is 'Thousands of reactions, at least 1: how many to show on a screen.';
comment on table public.simulator_events_per_window is 'The wandering value per ten seconds.';
comment on table public.credit_flow is 'Transfers and their sum per region, since the beginning.';
comment on table public.transfers_per_minute is 'Transfers, their sum and the largest of them, per minute and region.';

create view public.user_events_per_hour as
select date_trunc('hour', window_start, 'UTC') as window_start, event_type, category,
       sum(events)::bigint as events, sum(revenue) as revenue
  from public.user_events_per_minute
 group by 1, 2, 3;
comment on view public.user_events_per_hour is 'User events per hour, kind and category.';

create view public.user_events_per_day as
select date_trunc('day', window_start, 'UTC') as window_start, event_type, category,
       sum(events)::bigint as events, sum(revenue) as revenue
  from public.user_events_per_minute
 group by 1, 2, 3;
comment on view public.user_events_per_day is 'User events per day (UTC), kind and category.';

create view public.simulator_events_sliding as
select window_start + interval '10 seconds' as window_end,
       sum(events) over minute as events,
       sum("sum") over minute as "sum",
       sum("sum") over minute / nullif(sum(events) over minute, 0) as average,
       min("min") over minute as "min",
       max("max") over minute as "max"
  from public.simulator_events_per_window
 where isfinite(window_start)
window minute as (order by window_start range between interval '50 seconds' preceding and current row);
comment on view public.simulator_events_sliding is 'The minute before each window_end, every ten seconds in which there was something: a sliding window over the tumbling windows of ten seconds.';
