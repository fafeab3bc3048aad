package directory

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// Staff is somebody who is known by a token's issuer and subject, with the id by which events name them.
type Staff struct {
	ID, Issuer, Subject string
	Role, Name          string // as last seen
	CreatedAt           time.Time
}

// LogValue shows the id only.
func (s Staff) LogValue() slog.Value { return slog.StringValue("actor " + s.ID) }

// Case is what a hold was placed for.
type Case struct {
	Consultation, Hold string
	Reference          string
	CreatedAt          time.Time
}

// LogValue shows the id only.
func (c Case) LogValue() slog.Value { return slog.StringValue("hold " + c.Hold) }

const (
	allStaff = `select id::text, issuer, subject, role, name, created_at from directory.actors order by id`
	allCases = `select consultation::text, id::text, reference, created_at from directory.holds order by consultation, id`
	// Events name somebody by the id of the back-up, whatever id they got here since.
	keepStaff = `
		insert into directory.actors (id, issuer, subject, role, name, created_at) values ($1, $2, $3, $4, $5, $6)
		on conflict (issuer, subject) do update set id = excluded.id, role = excluded.role, name = excluded.name`
	keepCase = `
		insert into directory.holds (consultation, id, reference, created_at) values ($1, $2, $3, $4)
		on conflict (consultation, id) do update set reference = excluded.reference`
)

// AllStaff gives everybody, in the order of their ids.
func (d *Directory) AllStaff(ctx context.Context) ([]Staff, error) {
	rows, err := d.pool.Query(ctx, allStaff)
	if err != nil {
		return nil, fmt.Errorf("read staff from the directory: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Staff])
	if err != nil {
		return nil, fmt.Errorf("read staff from the directory: %w", err)
	}
	return all, nil
}

// AllCases gives every case, in the order of consultations and holds.
func (d *Directory) AllCases(ctx context.Context) ([]Case, error) {
	rows, err := d.pool.Query(ctx, allCases)
	if err != nil {
		return nil, fmt.Errorf("read cases from the directory: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Case])
	if err != nil {
		return nil, fmt.Errorf("read cases from the directory: %w", err)
	}
	return all, nil
}

// KeepStaff brings somebody back, as AllStaff gave them.
func (d *Directory) KeepStaff(ctx context.Context, s Staff) error {
	if _, err := d.pool.Exec(ctx, keepStaff, s.ID, s.Issuer, s.Subject, s.Role, s.Name, s.CreatedAt); err != nil {
		return fmt.Errorf("put actor %s into the directory: %w", s.ID, err)
	}
	return nil
}

// KeepCase brings a case back, as AllCases gave it.
func (d *Directory) KeepCase(ctx context.Context, c Case) error {
	if _, err := d.pool.Exec(ctx, keepCase, c.Consultation, c.Hold, c.Reference, c.CreatedAt); err != nil {
		return fmt.Errorf("put the case of hold %s into the directory: %w", c.Hold, err)
	}
	return nil
}
