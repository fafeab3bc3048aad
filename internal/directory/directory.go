// Package directory keeps what is not derived from the log: titles, external references and the names of participants.
//
// In come texts as people typed them; out come the same texts, cleaned, and render sheets, the only form in which names
// leave for the stitcher. No event ever holds them. What belongs to a name here never reaches a log either: the types
// that carry names show ids only there.
package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"consilium/internal/sheet"
)

// ErrNotFound says that the directory has no such consultation.
var ErrNotFound = errors.New("no such consultation in the directory")

// Consultation is one entry.
type Consultation struct {
	ID           string // UUID
	Title        string
	ExternalRef  string       // the calling system's own number; may be empty
	Language     string       // BCP 47; empty means DefaultLanguage
	TimeZone     string       // IANA name; empty means UTC
	CreatedAt    time.Time    // zero: when it is put
	Participants Participants // in the order of their ids, which is the order of invitation
}

// Participant is a participant's name.
type Participant struct {
	ID        string // UUID
	Name      string
	CreatedAt time.Time // zero: when it is put
}

// Participants are the names of one consultation.
type Participants []Participant

// LogValue shows the id only.
func (c Consultation) LogValue() slog.Value { return slog.StringValue("consultation " + c.ID) }

// LogValue shows the id only.
func (p Participant) LogValue() slog.Value { return slog.StringValue("participant " + p.ID) }

// LogValue shows the ids only.
func (ps Participants) LogValue() slog.Value {
	ids := make([]string, len(ps))
	for i, p := range ps {
		ids[i] = p.ID
	}
	return slog.AnyValue(ids)
}

// Name gives the name of a participant, or otherwise when the directory has none.
func (c Consultation) Name(participant, otherwise string) string {
	for _, p := range c.Participants {
		if p.ID == participant && p.Name != "" {
			return p.Name
		}
	}
	return otherwise
}

// Directory reads and writes the schema "directory". It is safe for concurrent use.
type Directory struct {
	pool *pgxpool.Pool
}

// New works on a database that has all migrations. The caller closes the pool.
func New(pool *pgxpool.Pool) *Directory {
	return &Directory{pool: pool}
}

const (
	putConsultation = `
		insert into directory.consultations (id, title, external_ref, language, time_zone, created_at, search)
		values ($1, $2, $3, $4, $5, coalesce($6, now()), '')
		on conflict (id) do update set title = excluded.title, external_ref = excluded.external_ref,
			language = excluded.language, time_zone = excluded.time_zone`
	putParticipant = `
		insert into directory.participants (consultation, id, name, created_at)
		values ($1, $2, $3, coalesce($4, now()))
		on conflict (consultation, id) do update set name = excluded.name`
	lockConsultation = `
		select 1 from directory.consultations where id = $1 for update`
	// The fold is the database's, because the search folds there as well.
	refreshSearch = `
		update directory.consultations c
		set search = directory.fold(concat_ws(E'\n', c.title, nullif(c.external_ref, ''), (
			select string_agg(p.name, E'\n' order by p.id) from directory.participants p where p.consultation = c.id)))
		where c.id = $1`
	getConsultation = `
		select id::text, title, external_ref, language, time_zone, created_at from directory.consultations where id = $1`
	getParticipants = `
		select id::text, name, created_at from directory.participants where consultation = $1 order by id`
)

// Put writes a consultation and the participants that it lists, all or none. What is there already is replaced;
// participants that are not listed stay. The error is an *InvalidError when a text or an id is not acceptable.
func (d *Directory) Put(ctx context.Context, c Consultation) error {
	c, err := c.Clean()
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, putConsultation, c.ID, c.Title, c.ExternalRef, c.Language, c.TimeZone, orNow(c.CreatedAt)); err != nil {
			return err
		}
		for _, p := range c.Participants {
			if _, err := tx.Exec(ctx, putParticipant, c.ID, p.ID, p.Name, orNow(p.CreatedAt)); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, refreshSearch, c.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("put consultation %s into the directory: %w", c.ID, err)
	}
	return nil
}

// PutParticipant writes one participant's name. The error is an *InvalidError or wraps ErrNotFound when the reason is
// the caller's.
func (d *Directory) PutParticipant(ctx context.Context, consultation string, p Participant) error {
	p, err := p.Clean()
	if err != nil {
		return err
	}
	if err := checkID("consultation", consultation); err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		// The lock keeps two new participants from each writing a search text without the other.
		if err := tx.QueryRow(ctx, lockConsultation, consultation).Scan(nil); err != nil {
			return notFound(err)
		}
		if _, err := tx.Exec(ctx, putParticipant, consultation, p.ID, p.Name, orNow(p.CreatedAt)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, refreshSearch, consultation)
		return err
	})
	if err != nil {
		return fmt.Errorf("put participant %s of %s into the directory: %w", p.ID, consultation, err)
	}
	return nil
}

// Consultation reads one entry with all names. The error wraps ErrNotFound when there is none.
func (d *Directory) Consultation(ctx context.Context, id string) (Consultation, error) {
	if checkID("consultation", id) != nil {
		return Consultation{}, fmt.Errorf("read consultation from the directory: %w", ErrNotFound)
	}
	var c Consultation
	err := pgx.BeginTxFunc(ctx, d.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		row := tx.QueryRow(ctx, getConsultation, id)
		if err := row.Scan(&c.ID, &c.Title, &c.ExternalRef, &c.Language, &c.TimeZone, &c.CreatedAt); err != nil {
			return notFound(err)
		}
		rows, err := tx.Query(ctx, getParticipants, id)
		if err != nil {
			return err
		}
		c.Participants, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Participant])
		return err
	})
	if err != nil {
		return Consultation{}, fmt.Errorf("read consultation %s from the directory: %w", id, err)
	}
	return c, nil
}

// Names gives the names of all participants of a consultation by id; none when the directory does not know it.
func (d *Directory) Names(ctx context.Context, consultation string) (map[string]string, error) {
	c, err := d.Consultation(ctx, consultation)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	names := make(map[string]string, len(c.Participants))
	for _, p := range c.Participants {
		names[p.ID] = p.Name
	}
	return names, nil
}

// Sheet makes the render sheet of a consultation, given the roles of its participants by id, which are in the log. Whom
// the directory does not know has no name on it: an archive can be made after names were erased.
func (d *Directory) Sheet(ctx context.Context, consultation string, roles map[string]string) (sheet.Sheet, error) {
	c, err := d.Consultation(ctx, consultation)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return sheet.Sheet{}, err
	}
	s := sheet.Sheet{
		Consultation: consultation, Title: c.Title, Language: orElse(c.Language, DefaultLanguage), TimeZone: orElse(c.TimeZone, "UTC"),
		Participants: []sheet.Participant{},
	}
	for _, id := range slices.Sorted(maps.Keys(roles)) {
		s.Participants = append(s.Participants, sheet.Participant{ID: id, Name: c.Name(id, ""), Role: roles[id]})
	}
	return s, nil
}

// SheetOf is Sheet as the bytes to store. The same names and roles give the same bytes.
func (d *Directory) SheetOf(ctx context.Context, consultation string, roles map[string]string) ([]byte, error) {
	s, err := d.Sheet(ctx, consultation, roles)
	if err != nil {
		return nil, err
	}
	return s.Encode()
}

func notFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// orNow gives null, which the statements replace by the database's time, for the zero time.
func orNow(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
