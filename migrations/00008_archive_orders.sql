-- +goose Up

-- What a version of the archive was ordered with beside layout and profile, and what is not known of a ready one: lists say
-- both. Rows that are there are made again from the log, because the projection is a new one.
alter table readmodel.archives
	add column stamp      boolean not null default false, -- the wall clock stands in the picture
	add column voices     boolean not null default false, -- each participant's sound lies in a file of its own
	add column unverified text[]  not null default '{}';  -- codes of checks that were not made
