package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"consilium/internal/auth"
	"consilium/internal/consultation"
	"consilium/internal/events"

	"github.com/danielgtaylor/huma/v2"
)

// receiptIdle is how long a receipt stays open without a use.
const receiptIdle = time.Hour

// maxReceipts bounds what is remembered; what is forgotten is found in the log again.
const maxReceipts = 10_000

// errReceipt says that a range was asked for without an open receipt of one's own.
var errReceipt = errors.New("no open receipt")

// receipt is one person's permission to watch one version of one archive.
type receipt struct {
	consultation string
	version      int
	purpose      string
	actor        string
	used         time.Time
	closed       bool
}

// receipts remembers those that are in use. The log has all of them: what is not here is looked up there.
type receipts struct {
	now func() time.Time

	mu  sync.Mutex // guards all
	all map[string]receipt
}

func newReceipts(now func() time.Time) *receipts {
	return &receipts{now: now, all: map[string]receipt{}}
}

func (rs *receipts) put(id string, r receipt) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.all) >= maxReceipts {
		for other, o := range rs.all {
			if rs.now().Sub(o.used) > receiptIdle {
				delete(rs.all, other)
			}
		}
		if len(rs.all) >= maxReceipts {
			clear(rs.all)
		}
	}
	rs.all[id] = r
}

// use gives an open receipt and prolongs it.
func (rs *receipts) use(id string) (r receipt, known bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r, known = rs.all[id]
	if now := rs.now(); known && !r.closed && now.Sub(r.used) <= receiptIdle {
		r.used = now
		rs.all[id] = r
	}
	return r, known
}

func (rs *receipts) open(r receipt) bool { return !r.closed && rs.now().Sub(r.used) <= receiptIdle }

func (s *Server) routeReceipts(a huma.API) {
	const path = prefix + "/consultations/{id}/archives/{version}/receipts"
	huma.Register(a, huma.Operation{
		OperationID: "open-receipt", Method: http.MethodPost, Path: path, Summary: "Say for what an archive is opened",
		Description:   "The answer's links are this person's own and end with the receipt: when it is closed, or after an hour without use.",
		DefaultStatus: http.StatusCreated, Security: bearerOnly, Extensions: needs(auth.ViewArchive),
	}, s.openReceipt)
	huma.Register(a, huma.Operation{
		OperationID: "report-watched", Method: http.MethodPost, Path: path + "/{receipt}/watched",
		Summary: "Say what was really watched", DefaultStatus: http.StatusNoContent, Security: bearerOnly, Extensions: needs(auth.ViewArchive),
	}, s.reportWatched)
	huma.Register(a, huma.Operation{
		OperationID: "close-receipt", Method: http.MethodPost, Path: path + "/{receipt}/close",
		Summary: "End the watching", DefaultStatus: http.StatusNoContent, Security: bearerOnly, Extensions: needs(auth.ViewArchive),
	}, s.closeReceipt)
}

type receiptOut struct {
	Body struct {
		ID            string    `json:"id"`
		Purpose       string    `json:"purpose"`
		Version       int       `json:"version"`
		ExpiresAt     time.Time `json:"expiresAt" doc:"Later with every use."`
		VideoURL      string    `json:"videoUrl"`
		ThumbnailsURL string    `json:"thumbnailsUrl"`
	}
}

func (s *Server) openReceipt(ctx context.Context, in *struct {
	ID      string `path:"id"`
	Version int    `path:"version" minimum:"1"`
	Body    struct {
		Purpose string `json:"purpose" enum:"treatment,quality,complaint,legal,patient_request,technical"`
	}
},
) (*receiptOut, error) {
	who := callerFrom(ctx)
	if err := who.may(auth.ViewArchive, in.ID, ""); err != nil {
		return nil, s.fail(err)
	}
	if !events.ValidID(in.ID) {
		return nil, s.fail(consultation.ErrUnknown)
	}
	if _, err := s.rendered(ctx, in.ID, in.Version); err != nil {
		return nil, s.fail(err)
	}
	actor, err := s.actorOf(ctx, who)
	if err != nil {
		return nil, s.fail(err)
	}
	id, err := s.say(ctx, in.ID, actor, "", events.AccessOpened{Purpose: in.Body.Purpose, Version: in.Version})
	if err != nil {
		return nil, s.fail(err)
	}
	now := s.deps.Now()
	s.receipts.put(id, receipt{consultation: in.ID, version: in.Version, purpose: in.Body.Purpose, actor: actor, used: now})
	out := &receiptOut{}
	out.Body.ID, out.Body.Purpose, out.Body.Version, out.Body.ExpiresAt = id, in.Body.Purpose, in.Version, now.Add(receiptIdle).UTC()
	base := fmt.Sprintf("%s/consultations/%s/archives/%d/", prefix, in.ID, in.Version)
	out.Body.VideoURL, out.Body.ThumbnailsURL = base+"archive.mp4?receipt="+id, base+"thumbnails.vtt?receipt="+id
	return out, nil
}

func (s *Server) reportWatched(ctx context.Context, in *struct {
	ID      string `path:"id"`
	Version int    `path:"version"`
	Receipt string `path:"receipt"`
	Body    struct {
		Ranges []rangeMS `json:"ranges" minItems:"1" maxItems:"200"`
	}
},
) (*struct{}, error) {
	r, err := s.ownReceipt(ctx, callerFrom(ctx), in.ID, in.Version, in.Receipt)
	if err != nil {
		return nil, s.fail(err)
	}
	watched := events.AccessWatched{Purpose: r.purpose}
	for _, one := range in.Body.Ranges {
		if one.ToMS <= one.FromMS {
			return nil, s.fail(problem(http.StatusUnprocessableEntity, "invalid", "A range ends after it begins."))
		}
		watched.Ranges = append(watched.Ranges, events.Range(one))
	}
	_, err = s.say(ctx, in.ID, r.actor, in.Receipt, watched)
	return nil, s.failed(err)
}

func (s *Server) closeReceipt(ctx context.Context, in *struct {
	ID      string `path:"id"`
	Version int    `path:"version"`
	Receipt string `path:"receipt"`
},
) (*struct{}, error) {
	r, err := s.ownReceipt(ctx, callerFrom(ctx), in.ID, in.Version, in.Receipt)
	if err != nil {
		return nil, s.fail(err)
	}
	if _, err := s.say(ctx, in.ID, r.actor, in.Receipt, events.AccessClosed{Purpose: r.purpose}); err != nil {
		return nil, s.fail(err)
	}
	r.closed = true
	s.receipts.put(in.Receipt, r)
	return nil, nil
}

// failed is fail for what may have gone well.
func (s *Server) failed(err error) error {
	if err == nil {
		return nil
	}
	return s.fail(err)
}

// say appends a fact about access by an actor and waits until lists show it. It gives the event's id.
func (s *Server) say(ctx context.Context, id, actor, cause string, e events.Event) (string, error) {
	by := s.deps.Manager.By(actor)
	var said string
	at, err := s.deps.Appender.Command(ctx, id, func(history []events.Stored) ([]events.Draft, error) {
		if len(history) == 0 {
			return nil, consultation.ErrUnknown
		}
		d := events.NewDraft(by.Source, s.deps.Now(), e)
		d.Actor, d.CausationID = actor, cause
		said = d.ID
		return []events.Draft{d}, nil
	})
	if err != nil {
		return "", err
	}
	s.shown(ctx, at.Stream)
	return said, nil
}

// actorOf is the id by which events name the caller: a participant's own, or one that the directory keeps for somebody
// who is known by a token only.
func (s *Server) actorOf(ctx context.Context, who caller) (string, error) {
	if id := who.actor(); id != "" {
		return id, nil
	}
	return s.deps.Directory.Actor(ctx, who.Issuer, who.Subject, who.Role, who.Name)
}

// ownReceipt finds an open receipt of the caller for this version. The error wraps errReceipt when there is none.
func (s *Server) ownReceipt(ctx context.Context, who caller, id string, version int, name string) (receipt, error) {
	if err := who.may(auth.ViewArchive, id, ""); err != nil {
		return receipt{}, err
	}
	r, known := s.receipts.use(name)
	if !known {
		var err error
		if r, err = s.findReceipt(ctx, id, name); err != nil {
			return receipt{}, err
		}
		s.receipts.put(name, r)
	}
	if r.consultation != id || r.version != version || !s.receipts.open(r) {
		return receipt{}, errReceipt
	}
	actor, err := s.actorOf(ctx, who)
	if err != nil {
		return receipt{}, err
	}
	if actor != r.actor {
		return receipt{}, errReceipt
	}
	return r, nil
}

// findReceipt looks in the log for a receipt that this process has not seen: it was restarted, or another one opened it.
func (s *Server) findReceipt(ctx context.Context, id, name string) (receipt, error) {
	if !events.ValidID(id) || !events.ValidID(name) {
		return receipt{}, errReceipt
	}
	var r receipt
	for e, err := range s.deps.Log.Read(ctx, id, 1) {
		if err != nil {
			return receipt{}, err
		}
		opened, ok := e.Event.(events.AccessOpened)
		switch {
		case ok && e.ID == name:
			r = receipt{consultation: id, version: opened.Version, purpose: opened.Purpose, actor: e.Actor, used: e.Time}
		case e.CausationID == name && e.Type == events.TypeAccessWatched:
			r.used = e.Time
		case e.CausationID == name && e.Type == events.TypeAccessClosed:
			r.closed = true
		}
	}
	if r.consultation == "" {
		return receipt{}, errReceipt
	}
	return r, nil
}

// mayWatch refuses media to people without a receipt of their own. Calling systems and scripts, which show a bearer
// token, are not people at a screen; officers always are. A link that names a receipt is for its owner only, whoever asks.
func (s *Server) mayWatch(r *http.Request, who caller, id string, version int) error {
	name := r.URL.Query().Get("receipt")
	_, byBearer := bearer(r)
	person := !byBearer || who.Role == auth.RoleCompliance
	if name == "" && !(s.cfg.Receipts && person) {
		return nil
	}
	if name == "" {
		return errReceipt
	}
	_, err := s.ownReceipt(r.Context(), who, id, version, name)
	return err
}
