-- What is not derived from the log and therefore not rebuilt: names, titles, external references.

-- +goose Up
create schema directory;

-- fold makes "MÜLLER" and "muller" the same for a search: compatibility forms and case are gone, and so are accents.
-- +goose StatementBegin
create function directory.fold(t text) returns text
	language sql immutable strict parallel safe
	return lower(regexp_replace(normalize(t, NFKD), U&'[\0300-\036F]', '', 'g'));
-- +goose StatementEnd

-- contains is the LIKE pattern for "holds this text somewhere", for columns that were folded.
-- +goose StatementBegin
create function directory.contains(t text) returns text
	language sql immutable strict parallel safe
	return '%' || regexp_replace(directory.fold(t), '([\\%_])', '\\\1', 'g') || '%';
-- +goose StatementEnd

create table directory.consultations (
	id           uuid primary key,
	title        text not null,
	external_ref text not null,
	language     text not null, -- BCP 47
	time_zone    text not null, -- IANA name
	created_at   timestamptz not null,
	search       text not null  -- folded title, external reference and names of all participants, one a line
);
create index consultations_external_ref on directory.consultations (external_ref) where external_ref <> '';

create table directory.participants (
	consultation uuid not null references directory.consultations (id) on delete cascade,
	id           uuid not null,
	name         text not null,
	created_at   timestamptz not null,
	primary key (consultation, id)
);

-- A search for part of a name needs trigrams to be quick on very many rows. The extension belongs to PostgreSQL's
-- contrib part, which may be missing, and the user may lack the right to create it: then a search reads all rows.
-- +goose StatementBegin
do $$
begin
	if exists (select from pg_available_extensions where name = 'pg_trgm') then
		create extension if not exists pg_trgm;
		create index consultations_search on directory.consultations using gin (search gin_trgm_ops);
	end if;
exception when insufficient_privilege or undefined_object or undefined_file then
	raise notice 'no trigram index: %', sqlerrm;
end
$$;
-- +goose StatementEnd
