-- A list can be asked for a person: each name is folded beside it, as titles and names together are already.

-- +goose Up
alter table directory.participants
	add column search text not null generated always as (directory.fold(name)) stored;

-- +goose StatementBegin
do $$
begin
	if exists (select from pg_extension where extname = 'pg_trgm') then
		create index participants_search on directory.participants using gin (search gin_trgm_ops);
	end if;
exception when insufficient_privilege or undefined_object or undefined_file then
	raise notice 'no trigram index: %', sqlerrm;
end
$$;
-- +goose StatementEnd

-- starts is the pattern for "a word begins with these letters or digits", for columns that were folded and ~.
-- One or two letters have no trigram of their own; with the edge of the word before them they have.
-- +goose StatementBegin
create function directory.starts(t text) returns text
	language sql immutable strict parallel safe
	return '(^|[ ' || chr(10) || '])' || directory.fold(t);
-- +goose StatementEnd

-- People who are known by a token's issuer and subject only. Events name them by this id.
create table directory.actors (
	id         uuid primary key,
	issuer     text not null,
	subject    text not null,
	role       text not null, -- as last seen
	name       text not null, -- as last seen; may be empty
	created_at timestamptz not null,
	unique (issuer, subject)
);

-- Answers to requests that named an Idempotency-Key, for a day. They may hold links with tokens, so they are encrypted.
create table directory.answers (
	caller     text not null, -- digest of issuer, subject and role
	key        text not null, -- digest of the client's key
	request    text not null, -- digest of method, path and body
	answer     bytea,         -- null while the request is being carried out
	created_at timestamptz not null,
	primary key (caller, key)
);
create index answers_created_at on directory.answers (created_at);
