package directory

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"
)

const allConsultations = `
	select c.id::text, c.title, c.external_ref, c.language, c.time_zone, c.created_at,
		array(select p.id::text from directory.participants p where p.consultation = c.id order by p.id),
		array(select p.name from directory.participants p where p.consultation = c.id order by p.id),
		array(select p.created_at from directory.participants p where p.consultation = c.id order by p.id)
	from directory.consultations c order by c.id`

// All gives every entry in the order of their ids, as they were at one moment.
func (d *Directory) All(ctx context.Context) iter.Seq2[Consultation, error] {
	return func(yield func(Consultation, error) bool) {
		rows, err := d.pool.Query(ctx, allConsultations)
		if err != nil {
			yield(Consultation{}, fmt.Errorf("read the directory: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			c, err := scanWhole(rows)
			if err != nil {
				yield(Consultation{}, fmt.Errorf("read the directory: %w", err))
				return
			}
			if !yield(c, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Consultation{}, fmt.Errorf("read the directory: %w", err))
		}
	}
}

func scanWhole(row pgx.Row) (Consultation, error) {
	var c Consultation
	var ids, names []string
	var created []time.Time
	err := row.Scan(&c.ID, &c.Title, &c.ExternalRef, &c.Language, &c.TimeZone, &c.CreatedAt, &ids, &names, &created)
	if err != nil {
		return c, err
	}
	for i, id := range ids {
		c.Participants = append(c.Participants, Participant{ID: id, Name: names[i], CreatedAt: created[i]})
	}
	return c, nil
}
