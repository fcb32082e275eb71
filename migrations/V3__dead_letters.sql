-- Dead letters can be exported under their file's own header; a file with too many of them stops its stream.
alter table streamer.dead_letter add column header bytea;

comment on column streamer.dead_letter.header is 'The file''s header as it stands in the file, without a byte order mark and the line end. NULL in letters older than this column.';
comment on column streamer.dead_letter.reasons is 'An array of {"column", "value", "sqlstate", "reason", "detail"}; column and value are null where the whole record is at fault, detail is there where PostgreSQL gave one.';

alter table streamer.checkpoint
    add column judged_records      bigint not null default 0,
    add column judged_dead_letters bigint not null default 0,
    add constraint checkpoint_judged_check check (judged_records >= 0 and judged_dead_letters >= 0),
    drop constraint checkpoint_state_check,
    add constraint checkpoint_state_check check (state in ('reading', 'done', 'refused', 'stopped')),
    drop constraint checkpoint_refusal_check,
    add constraint checkpoint_refusal_check check ((state in ('refused', 'stopped')) = (refusal is not null));

-- Asked in every transaction: nothing of a stopped stream is loaded. Not by state, which changes with every file
-- and would make each of these changes cost an entry in every index.
create index checkpoint_refusal_idx on streamer.checkpoint (stream) where refusal is not null;

comment on column streamer.checkpoint.state is 'reading, done, refused (the file cannot be loaded), or stopped (it had more dead letters than max_dead_letters; its stream rests until streamer retry-file, or until the setting lets it pass).';
comment on column streamer.checkpoint.refusal is 'Why a refused file cannot be loaded, or why a file has stopped its stream.';
comment on column streamer.checkpoint.judged_records is 'Records taken since the file began or streamer retry-file was run: what a share in max_dead_letters is of.';
comment on column streamer.checkpoint.judged_dead_letters is 'How many of those were refused: what max_dead_letters limits.';

comment on column streamer.micro_batch.dead_letters is 'Records refused; negative where path is retry: so many letters of earlier micro-batches became rows or duplicates, and the sums over a file stay true.';
