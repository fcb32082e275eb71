-- Bank transfers, as `generator transfers` makes them.
create table public.transfers (
    transfer_id       uuid           not null,
    account_id        integer        not null,
    account_region    text           not null,
    transaction_value numeric(10, 2) not null,
    event_time        timestamptz    not null,
    account_name      text,
    counterparty      text,
    batch_id          bigint,
    ingested_at       timestamptz    default now(),
    constraint transfers_pkey primary key (transfer_id),
    constraint transfers_account_id_check check (account_id between 1000000 and 9999999),
    constraint transfers_transaction_value_check check (transaction_value between 0.01 and 10000.00)
);
create index transfers_batch_id_idx on public.transfers using brin (batch_id);

comment on table public.transfers is 'Bank transfers: who moved how much, and where the account is.';
comment on column public.transfers.account_id is 'A number of seven digits.';
comment on column public.transfers.account_name is 'Who holds the account; only where the file tells people''s names.';
comment on column public.transfers.counterparty is 'Who is on the other side; likewise.';
comment on column public.transfers.batch_id is 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';
comment on column public.transfers.ingested_at is 'When that micro-batch''s transaction began.';

-- Its rollups; `streamer.change_rollup` gives them other windows or aggregates. Longer windows, and
-- windows that slide, are views over them.
select streamer.create_rollup('public.credit_flow', 'public.transfers', null, null,
    '{account_region}',
    'transfers = count(*)',
    'total = sum(transaction_value)');

select streamer.create_rollup('public.transfers_per_minute', 'public.transfers', 'event_time', '1 minute',
    '{account_region}',
    'transfers = count(*)',
    'total = sum(transaction_value)',
    'largest = max(transaction_value)');
comment on table public.credit_flow is 'Transfers and their sum per region, since the beginning.';
comment on table public.transfers_per_minute is 'Transfers, their sum and the largest of them, per minute and region.';

-- Views to look at, all over rollups: they cost what the rollups are large, not what the table is.
select streamer.offer_view('traffic_by_region', $view$
select rank() over (order by transfers desc) as place, account_region, transfers,
       round(transfers / sum(transfers) over (), 4) as share, total
  from public.credit_flow
 order by transfers desc, account_region$view$,
    'Regions by the number of their transfers, the highest first; share is of all transfers.');

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

select streamer.offer_view('highest_volume', $view$
select account_region, sum(transfers)::bigint as transfers, sum(total) as total, max(largest) as largest
  from public.transfers_per_minute
 where window_start > (select max(n.window_start) from public.transfers_per_minute n
                        where n.window_start < 'infinity') - interval '10 minutes'
   and window_start < 'infinity'
 group by account_region
 order by total desc, account_region$view$,
    'Regions by the sum of their transfers in the ten minutes up to the newest. For other minutes: select * from volume_by_region(60).');

select streamer.offer_view('top_regions_by_average', $view$
select account_region, round(total / nullif(transfers, 0), 2) as average, transfers, total
  from public.credit_flow
 order by total / nullif(transfers, 0) desc nulls last, account_region
 limit 3$view$,
    'The three regions with the highest average transfer.');

select streamer.show_datasets();
