package netlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"github.com/pion/transport/v5"

	"consilium/internal/media"
	"consilium/internal/simpeer"
)

// dice gives a number from 0 to 1.
func dice() float64 { return rand.Float64() }

// runVirtual holds a call over the virtual network of a kind and says how it went. It needs no root.
func runVirtual(kind Kind, computer *computer) (r Result) {
	r.Kind = kind
	folder, err := os.MkdirTemp("", "consilium-netlab-virtual-")
	if err != nil {
		r.Err = err
		return r
	}
	defer os.RemoveAll(folder)
	v, err := newVirtual(kind, folder)
	if err != nil {
		r.Err = err
		return r
	}
	c := &call{kind: kind, world: &world{computer: computer}}
	r.Err = errors.Join(v.hold(c, &r), c.end(), v.close())
	return r
}

// hold lets both come in, see and hear each other, and looks at what was recorded.
func (v *virtual) hold(c *call, r *Result) error {
	for i, n := range []transport.Net{v.client, v.doctor} {
		c.people[i].id = fmt.Sprintf("person-%d", i)
		c.people[i].agent = hireHere(task{
			URL: v.desk.web.URL, Token: c.people[i].id, Who: i, Within: waiting, Heals: c.kind.Mid != nil && (i == 0 || c.kind.Server == Restarted),
			Reach: simpeer.Reach{AllWays: true, Elsewhere: true, Improve: c.kind.Link.Loss > 0, Net: n},
		})
	}
	if err := c.connect(r); err != nil {
		return err
	}
	if err := c.flows(); err != nil {
		return err
	}
	s, _ := c.people[0].agent.now()
	r.Way = s.Way
	if v.middle(&c.kind) {
		if err := c.middle(r); err != nil {
			return err
		}
	}
	for _, p := range c.people {
		p.agent.dismiss(waiting)
	}
	v.desk.seal("ended")
	for i, p := range c.people {
		for _, kind := range []media.Kind{media.Audio, media.Video} {
			if v.desk.recorded(p.id, kind) < kept {
				return fmt.Errorf("the recorder does not hold %s of %s", kind, roles[i])
			}
		}
	}
	return nil
}

// middle puts what happens to a virtual network in mid-call in the place of what happens to a real one, if anything does.
func (v *virtual) middle(kind *Kind) bool {
	switch kind.Number {
	case 21:
		kind.Mid = mutedFor
	case 23:
		kind.Mid = v.move
	case 24:
		kind.Mid = v.fail
	case 25:
		kind.Mid = v.desk.restart
	default:
		return false
	}
	return true
}

// hireHere starts an agent in this process.
func hireHere(t task) *crewed {
	c := &crewed{done: make(chan struct{}), moved: make(chan struct{})}
	orders, in := io.Pipe()
	out, reports := io.Pipe()
	c.in = in
	go func() { // ends with the agent, which ends when it is dismissed
		defer close(c.done)
		defer orders.Close()
		go func() { // ends with the reports
			if err := newAgent(t, reports).run(context.Background(), orders); err != nil {
				_ = newAgent(t, reports).report(state{Error: err.Error(), Gone: true})
			}
			reports.Close()
		}()
		c.listen(out)
	}()
	return c
}
