-- Old bookkeeping takes less room: neighbouring micro-batches become one line, which still tells of each number in it
-- where it came from.

alter table streamer.micro_batch
    add column first_batch_id bigint,
    add column members bit varying,
    add constraint micro_batch_first_batch_id_check
        check (first_batch_id < batch_id and batch_id - first_batch_id < 1048576),
    add constraint micro_batch_members_check
        check (members is null or first_batch_id is not null and length(members) = batch_id - first_batch_id + 1),
    drop constraint micro_batch_path_check,
    add constraint micro_batch_path_check check (path in ('direct', 'filtered', 'careful', 'retry', 'merged'));

comment on table streamer.micro_batch is 'What one transaction took from one partition, or, once that is old, several one after the other. A row''s batch_id leads here by streamer.batch_origin(batch_id), and so to its file and offsets.';
comment on column streamer.micro_batch.batch_id is 'The number of the micro-batch; of the last one, where the line is of several.';
comment on column streamer.micro_batch.first_batch_id is 'The number of the first one, where the line is of several; else NULL.';
comment on column streamer.micro_batch.members is 'Which numbers from first_batch_id to batch_id the line is of, a bit for each; NULL where all are. The others are of other partitions or streams, or of transactions that were rolled back.';
comment on column streamer.micro_batch.path is 'direct: copied straight in. filtered: existing keys looked up first. careful: split until each refused record stood alone. retry: dead letters loaded later (records 0: they were counted when they were read). merged: the line is of several micro-batches.';
comment on column streamer.micro_batch.started_at is 'When the transaction began; the first of several.';
comment on column streamer.micro_batch.written_at is 'When its rows were written, just before the commit; the last of several.';

-- Where old lines are: apart from new ones, so that those leave whole pages of their indexes empty, which are used again.
-- A few lines that stayed on each page would hold them all. Who reads or removes from micro_batch means both.
create table streamer.micro_batch_old (
    constraint micro_batch_old_pkey primary key (batch_id)
) inherits (streamer.micro_batch);
create index micro_batch_old_partition_idx on streamer.micro_batch_old (stream, partition, start_offset);
comment on table streamer.micro_batch_old is 'The old lines of streamer.micro_batch: a select from that has them, too.';

-- The numbers of the micro-batches that a line is of.
create function streamer.batch_ids(first_batch_id bigint, batch_id bigint, members bit varying) returns setof bigint
    language sql immutable set search_path = pg_catalog, pg_temp as $body$
    select n from generate_series(coalesce($1, $2), $2) n where $3 is null
     union all
    select $1 + b.place - 1 from unnest(string_to_array($3::text, null)) with ordinality b (bit, place) where b.bit = '1'
$body$;
comment on function streamer.batch_ids is 'The numbers of the micro-batches that a line of streamer.micro_batch is of.';

-- Lines end at batch_id and are of at most 1,048,576 numbers: so the primary key leads to the one that is asked for.
-- Without a search path of its own, PostgreSQL makes it a part of the statement that calls it, which is then planned once.
create function streamer.batch_origin(batch_id bigint) returns setof streamer.micro_batch
    language sql stable rows 1 as $body$
    select m.*
      from streamer.micro_batch m
     where m.batch_id >= $1 and m.batch_id < $1 + 1048576 and coalesce(m.first_batch_id, m.batch_id) <= $1
       and (m.members is null or pg_catalog.get_bit(m.members, ($1 - m.first_batch_id)::integer) = 1)
     order by m.batch_id
     limit 1
$body$;
comment on function streamer.batch_origin is 'The line of streamer.micro_batch that the micro-batch of this number is in, and so the file and offsets that the rows with this batch_id came from.';

-- Looked at again and again while a stream is at work.
create index dead_letter_resolved_idx on streamer.dead_letter (stream, resolved_at) where resolved_at is not null;

-- So that not every streamer looks through all of it at each start.
create table streamer.compaction (
    stream  text        not null,
    done_at timestamptz not null default now(),
    constraint compaction_pkey primary key (stream)
);
comment on table streamer.compaction is 'When the old bookkeeping of a stream was last made smaller. The streamers look for more an hour later.';

-- Whoever loads may remove what is old, too. What is new belongs to whoever owns the rest.
do $body$
declare
    owner name := (select pg_get_userbyid(relowner) from pg_class where oid = 'streamer.checkpoint'::regclass);
    made  text;
    r     record;
begin
    for r in
        select case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as grantee,
               bool_or(a.privilege_type = 'UPDATE') as loads
          from pg_class c
         cross join lateral aclexplode(c.relacl) a
         where c.oid = 'streamer.checkpoint'::regclass and a.grantee <> c.relowner
           and a.privilege_type in ('SELECT', 'UPDATE')
         group by a.grantee
    loop
        execute format('grant select on streamer.compaction, streamer.micro_batch_old to %s', r.grantee);
        if r.loads then
            execute format('grant delete on streamer.checkpoint, streamer.micro_batch, streamer.dead_letter to %s', r.grantee);
            execute format('grant insert, update on streamer.compaction to %s', r.grantee);
            execute format('grant insert on streamer.micro_batch_old to %s', r.grantee);
        end if;
    end loop;
    if owner <> current_user then
        execute format('alter table streamer.compaction owner to %I', owner);
        execute format('alter table streamer.micro_batch_old owner to %I', owner);
        foreach made in array array['batch_ids(bigint, bigint, bit varying)', 'batch_origin(bigint)'] loop
            execute format('alter function streamer.%s owner to %I', made, owner);
        end loop;
    end if;
end $body$;
