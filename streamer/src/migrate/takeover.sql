-- Turns the core's objects of a database of V14 into those that the migrations of now make, where
-- they differ. What the core's migrations make anew by themselves (from V4 on) they do after this.
delete from streamer.schema_history;

-- A place in a log of messages stands on no line.
alter table streamer.checkpoint alter column next_line drop not null;
alter table streamer.dead_letter alter column line drop not null;
comment on column streamer.checkpoint.next_line is 'The line number, from 1, that starts at next_offset; NULL where records stand on no lines.';
comment on column streamer.dead_letter.line is 'The line of the file, from 1, on which the record starts; NULL where records stand on no lines.';
