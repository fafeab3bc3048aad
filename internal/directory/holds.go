package directory

import (
	"context"
	"fmt"
)

// Another text replaces the one before; none leaves no row.
const (
	putHold = `
		insert into directory.holds (consultation, id, reference, created_at) values ($1, $2, $3, now())
		on conflict (consultation, id) do update set reference = excluded.reference`
	dropHold = `delete from directory.holds where consultation = $1 and id = $2`
)

// PutHold keeps for which case a hold was placed: a number or a name, as somebody typed it. The consultation need not be in the
// directory. The error is an *InvalidError when the text or an id is not acceptable.
func (d *Directory) PutHold(ctx context.Context, consultation, hold, reference string) error {
	reference, err := Text("reference", reference, false)
	if err != nil {
		return err
	}
	for of, id := range map[string]string{"consultation": consultation, "hold": hold} {
		if err := checkID(of, id); err != nil {
			return err
		}
	}
	if reference == "" {
		_, err = d.pool.Exec(ctx, dropHold, consultation, hold)
	} else {
		_, err = d.pool.Exec(ctx, putHold, consultation, hold, reference)
	}
	if err != nil {
		return fmt.Errorf("put hold %s into the directory: %w", hold, err)
	}
	return nil
}
