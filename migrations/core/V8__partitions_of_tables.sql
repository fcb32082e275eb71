-- Tables that PostgreSQL divides into partitions: records that no partition takes.

alter table streamer.dead_letter
    add column kind text not null default 'refused',
    add column tried_with text,
    add constraint dead_letter_kind_check check (kind in ('refused', 'no partition'));
comment on column streamer.dead_letter.kind is 'refused, or no partition: the table has no partition for the record; the streamer tries it again by itself once the table has other partitions.';

comment on column streamer.dead_letter.tried_with is 'A hash of the partitions that the table had when the record was tried again by the streamer and still had none.';

-- Looked at again and again while a stream is at work.
create index dead_letter_no_partition_idx on streamer.dead_letter (stream, dead_letter_id)
 where kind = 'no partition' and resolved_at is null;

alter table streamer.checkpoint add column waits_for text;
comment on column streamer.checkpoint.waits_for is 'What the next records of the file wait for: the partition that their table lacks.';

create or replace view streamer.pending_file as
select stream, partition, state, next_offset, (fingerprint -> 'stat' ->> 'size')::bigint - next_offset as lag_bytes,
       records, updated_at, now() - updated_at as since, refusal, waits_for
  from streamer.checkpoint
 where state <> 'done'
 order by stream, partition;
comment on column streamer.pending_file.waits_for is 'What its next records wait for: the partition that their table lacks.';
