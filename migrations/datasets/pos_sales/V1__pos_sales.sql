-- Sales at the tills of stores, as `generator pos` makes them.
create table public.pos_sales (
    sale_id     uuid           not null,
    store_id    integer        not null,
    till        integer        not null,
    sold_at     timestamptz    not null,
    items       integer        not null,
    amount      numeric(10, 2) not null,
    batch_id    bigint,
    ingested_at timestamptz    default now(),
    constraint pos_sales_pkey primary key (sale_id),
    constraint pos_sales_items_check check (items > 0)
);
create index pos_sales_batch_id_idx on public.pos_sales using brin (batch_id);

comment on table public.pos_sales is 'Sales at the tills of stores.';
comment on column public.pos_sales.till is 'Counted from 1 in each store.';
comment on column public.pos_sales.items is 'How many were bought.';
comment on column public.pos_sales.batch_id is 'The micro-batch (streamer.micro_batch) that brought the row, and so its file and offsets.';
comment on column public.pos_sales.ingested_at is 'When that micro-batch''s transaction began.';

select streamer.show_datasets();
