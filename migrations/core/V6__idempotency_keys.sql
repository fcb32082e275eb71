-- Which requests were committed under an Idempotency-Key. A key is decided by the insert here, in
-- the transaction that writes its records: so it counts for all streamers, and with its records or
-- not at all.

create table streamer.idempotency_key (
    stream       text        not null,
    key          uuid        not null,
    records_hash uuid        not null,
    records      bigint      not null,
    created_at   timestamptz not null default now(),
    constraint idempotency_key_pkey primary key (stream, key),
    constraint idempotency_key_records_check check (records >= 0)
);
create index idempotency_key_age_idx on streamer.idempotency_key (stream, created_at);

comment on table streamer.idempotency_key is 'The Idempotency-Keys under which records were committed, for as long as the stream''s idempotency_keep says. A row takes about 145 bytes with its indexes.';
comment on column streamer.idempotency_key.key is 'xxh3-128 of the key as the client sent it.';
comment on column streamer.idempotency_key.records_hash is 'xxh3-128 of the records: who sends others under the key is told so.';
comment on column streamer.idempotency_key.records is 'How many records came under the key.';
comment on column streamer.idempotency_key.created_at is 'When the transaction began that committed them.';

alter table streamer.micro_batch
    add column repeated bigint not null default 0,
    drop constraint micro_batch_records_check,
    add constraint micro_batch_records_check check (records = rows + duplicates + repeated + dead_letters);

comment on column streamer.micro_batch.repeated is 'Records of requests whose Idempotency-Key was committed before: they were skipped.';
comment on column streamer.checkpoint.records is 'Records taken so far: rows + duplicates + repeated + dead letters.';
