-- +goose Up

-- A search finds ids by their words and then needs the newest of them: this index alone puts them in order, and only the
-- rows of one page are read.
create index consultations_order on readmodel.consultations (id) include (held_at);
