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
