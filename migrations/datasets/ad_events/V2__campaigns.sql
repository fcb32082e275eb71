-- Views of campaigns, over the rollup.

select streamer.offer_view('campaign_windows', $view$
select window_start, floor(extract(epoch from window_start) / extract(epoch from r.window_size))::bigint as window_id,
       campaign_id, views, clicks, purchases
  from public.ad_events_per_window w
 cross join streamer.rollup r
 where r.rollup = 'public.ad_events_per_window'::regclass and isfinite(window_start)
 order by window_start, campaign_id$view$,
    'What was done with the ads of each campaign, per window. window_id counts the windows since 1970, by the window of now, whatever makers wrote into ad_events.window_id.');

select streamer.offer_view('campaign_performance', $view$
select campaign_id, views, clicks, purchases,
       round(clicks / nullif(views, 0), 4) as ctr,
       round(purchases / nullif(clicks, 0), 4) as conversion,
       case when last_produce_time between 0 and 253402300799999
            then to_timestamp(last_produce_time / 1000.0) end as last_event
  from (select campaign_id, sum(views) as views, sum(clicks) as clicks, sum(purchases) as purchases,
               max(last_produce_time) as last_produce_time
          from public.ad_events_per_window
         group by campaign_id) c
 order by clicks / nullif(views, 0) desc nulls last, campaign_id$view$,
    'Campaigns by their click-through rate (ctr, clicks per view); conversion is purchases per click.');

select streamer.show_datasets();
