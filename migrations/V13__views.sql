-- Views to look at, all over rollups: they cost what the rollups are large, not what the tables are.

create view public.traffic_by_region as
select rank() over (order by transfers desc) as place, account_region, transfers,
       round(transfers / sum(transfers) over (), 4) as share, total
  from public.credit_flow
 order by transfers desc, account_region;
comment on view public.traffic_by_region is 'Regions by the number of their transfers, the highest first; share is of all transfers.';

create function public.volume_by_region(minutes integer default 10, until timestamptz default null)
    returns table (account_region text, transfers bigint, total numeric, largest numeric)
    language sql stable as $body$
    select r.account_region, sum(r.transfers)::bigint, sum(r.total), max(r.largest)
      from public.transfers_per_minute r
     where r.window_start <= coalesce($2, 'infinity')
       and r.window_start > coalesce($2, (select max(n.window_start) from public.transfers_per_minute n
                                           where n.window_start < 'infinity')) - make_interval(mins => $1)
     group by r.account_region
     order by 3 desc, 1
$body$;
comment on function public.volume_by_region is 'Regions by the sum of their transfers, the highest first, in the last minutes: up to the given time, or else up to the newest transfer.';

create view public.highest_volume as
select account_region, sum(transfers)::bigint as transfers, sum(total) as total, max(largest) as largest
  from public.transfers_per_minute
 where window_start > (select max(n.window_start) from public.transfers_per_minute n
                        where n.window_start < 'infinity') - interval '10 minutes'
   and window_start < 'infinity'
 group by account_region
 order by total desc, account_region;
comment on view public.highest_volume is 'Regions by the sum of their transfers in the ten minutes up to the newest. For other minutes: select * from volume_by_region(60).';

create view public.top_regions_by_average as
select account_region, round(total / nullif(transfers, 0), 2) as average, transfers, total
  from public.credit_flow
 order by total / nullif(transfers, 0) desc nulls last, account_region
 limit 3;
comment on view public.top_regions_by_average is 'The three regions with the highest average transfer.';

create view public.purchase_funnel as
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
 order by purchases desc, category;
comment on view public.purchase_funnel is 'From views over carts to purchases, per category: how many, and which share goes on.';

create view public.campaign_performance as
select campaign_id, views, clicks, purchases,
       round(clicks / nullif(views, 0), 4) as ctr,
       round(purchases / nullif(clicks, 0), 4) as conversion,
       case when last_produce_time between 0 and 253402300799999
            then to_timestamp(last_produce_time / 1000.0) end as last_event
  from (select campaign_id, sum(views) as views, sum(clicks) as clicks, sum(purchases) as purchases,
               max(last_produce_time) as last_produce_time
          from public.ad_events_per_window
         group by campaign_id) c
 order by clicks / nullif(views, 0) desc nulls last, campaign_id;
comment on view public.campaign_performance is 'Campaigns by their click-through rate (ctr, clicks per view); conversion is purchases per click.';

create view public.events_per_second as
select dataset, window_start, events, round(events / seconds, 3) as per_second
  from (select 'user_events' as dataset, window_start, sum(events) as events, 60 as seconds
          from public.user_events_per_minute group by window_start
         union all
        select 'ad_events', window_start, sum(events), 10 from public.ad_events_per_window group by window_start
         union all
        select 'transfers', window_start, sum(transfers), 60 from public.transfers_per_minute group by window_start
         union all
        select 'emoji_reactions', window_start, sum(reactions), 60 from public.emoji_reactions_per_minute
         group by window_start
         union all
        select 'simulator_events', window_start, events, 10 from public.simulator_events_per_window) d
 order by dataset, window_start;
comment on view public.events_per_second is 'How many events happened a second, by their own times, per dataset and window.';

create view streamer.pending_file as
select stream, partition, state, next_offset, (fingerprint -> 'stat' ->> 'size')::bigint - next_offset as lag_bytes,
       records, updated_at, now() - updated_at as since, refusal
  from streamer.checkpoint
 where state <> 'done'
 order by stream, partition;
comment on view streamer.pending_file is 'Files that are not read to their end, as far as the database knows; streamer status also knows those that nobody has opened.';
comment on column streamer.pending_file.lag_bytes is 'Bytes to read, by the file''s size when its last micro-batch was committed; NULL where the file was changing.';

create view streamer.dead_letter_reason as
select l.stream, r.reason ->> 'column' as "column", r.reason ->> 'sqlstate' as sqlstate, r.reason ->> 'reason' as reason,
       count(*) as letters, count(*) filter (where l.resolved_at is null) as open,
       min(l.created_at) as first, max(l.created_at) as last
  from streamer.dead_letter l
 cross join lateral jsonb_array_elements(l.reasons) r (reason)
 group by 1, 2, 3, 4
 order by open desc, letters desc;
comment on view streamer.dead_letter_reason is 'Why records were refused, and how often; a letter with several reasons counts for each. open: neither retried nor discarded.';
