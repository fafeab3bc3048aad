package directory

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// The role and name are those of the newest visit.
const putActor = `
	insert into directory.actors as a (id, issuer, subject, role, name, created_at) values ($1, $2, $3, $4, $5, now())
	on conflict (issuer, subject) do update set role = excluded.role, name = coalesce(nullif(excluded.name, ''), a.name)
	returning id::text`

// Actor gives the id by which events name somebody who is no participant: the same for the same issuer and subject, and
// telling nothing about them. Who that is, only the directory knows.
func (d *Directory) Actor(ctx context.Context, issuer, subject, role, name string) (string, error) {
	fresh, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make actor id: %w", err)
	}
	var id string
	if err := d.pool.QueryRow(ctx, putActor, fresh, issuer, subject, role, name).Scan(&id); err != nil {
		return "", fmt.Errorf("find actor: %w", err)
	}
	return id, nil
}
