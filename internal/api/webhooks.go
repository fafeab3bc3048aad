package api

import (
	"context"
	"net/http"
	"time"

	"consilium/internal/auth"
	"consilium/internal/events"
	"consilium/internal/webhook"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Server) routeWebhooks(a huma.API) {
	const path = prefix + "/webhooks"
	const one = path + "/{webhook}"
	view, manage := needs(auth.ViewWebhooks), needs(auth.ManageWebhooks)
	huma.Register(a, huma.Operation{
		OperationID: "list-webhooks", Method: http.MethodGet, Path: path, Summary: "Which systems are told of events, and how far each of them is",
		Security: bearerOnly, Extensions: view,
	}, s.listWebhooks)
	huma.Register(a, huma.Operation{
		OperationID: "add-webhook", Method: http.MethodPost, Path: path, Summary: "Tell one more system of events",
		Description:   "The answer holds the secret, which nobody can read again. Messages follow the Standard Webhooks specification.",
		DefaultStatus: http.StatusCreated, Security: bearerOnly, Extensions: manage,
	}, s.addWebhook)
	huma.Register(a, huma.Operation{
		OperationID: "get-webhook", Method: http.MethodGet, Path: one, Summary: "One system that is told of events", Security: bearerOnly, Extensions: view,
	}, s.getWebhook)
	huma.Register(a, huma.Operation{
		OperationID: "change-webhook", Method: http.MethodPatch, Path: one, Summary: "Give a webhook another address or other types", Security: bearerOnly, Extensions: manage,
	}, s.changeWebhook)
	huma.Register(a, huma.Operation{
		OperationID: "remove-webhook", Method: http.MethodDelete, Path: one, Summary: "Tell a system nothing any more, and forget its letters",
		DefaultStatus: http.StatusNoContent, Security: bearerOnly, Extensions: manage,
	}, s.webhookOrder(s.deps.Webhooks.Remove))
	huma.Register(a, huma.Operation{
		OperationID: "pause-webhook", Method: http.MethodPost, Path: one + "/pause", Summary: "Tell a system nothing until it is resumed",
		DefaultStatus: http.StatusNoContent, Security: bearerOnly, Extensions: manage,
	}, s.webhookOrder(s.deps.Webhooks.Pause))
	huma.Register(a, huma.Operation{
		OperationID: "resume-webhook", Method: http.MethodPost, Path: one + "/resume", Summary: "Go on where it stopped, after a pause or a suspension",
		DefaultStatus: http.StatusNoContent, Security: bearerOnly, Extensions: manage,
	}, s.webhookOrder(s.deps.Webhooks.Resume))
	huma.Register(a, huma.Operation{
		OperationID: "rotate-webhook-secret", Method: http.MethodPost, Path: one + "/secret", Summary: "Make a new secret",
		Description: "The one before signs beside it for a day.", Security: bearerOnly, Extensions: manage,
	}, s.rotateWebhook)
	huma.Register(a, huma.Operation{
		OperationID: "replay-webhook", Method: http.MethodPost, Path: one + "/replay", Summary: "Tell what was told before once more",
		Description: "With from: everything from that position of the log on. With consultation: that consultation's events from seq on. " +
			"A message that is told again has the webhook-id that it had.",
		DefaultStatus: http.StatusAccepted, Security: bearerOnly, Extensions: manage,
	}, s.replayWebhook)
	huma.Register(a, huma.Operation{
		OperationID: "list-webhook-letters", Method: http.MethodGet, Path: one + "/letters",
		Summary: "Events that a receiver has refused, and those behind them: dead ones were given up, the others are tried again", Security: bearerOnly, Extensions: view,
	}, s.webhookLetters)
	huma.Register(a, huma.Operation{
		OperationID: "send-webhook-letters", Method: http.MethodPost, Path: one + "/letters/again", Summary: "Send a dead letter once more, or all of them",
		DefaultStatus: http.StatusAccepted, Security: bearerOnly, Extensions: manage,
	}, s.sendLetters)
}

// webhookItem is one system that is told of events.
type webhookItem struct {
	ID             string     `json:"id"`
	URL            string     `json:"url"`
	Types          []string   `json:"types" doc:"Of events. Empty: those that docs/webhooks.md names."`
	State          string     `json:"state" enum:"active,paused,suspended"`
	Reason         string     `json:"reason,omitempty" doc:"Why it is suspended: gone, away, log, secret, rules."`
	Position       uint64     `json:"position" doc:"In the log. Every event up to here is delivered, set aside as a letter, or of no concern."`
	Behind         uint64     `json:"behind" doc:"Events in the log behind the position."`
	CreatedAt      time.Time  `json:"createdAt"`
	CreatedBy      string     `json:"createdBy"`
	DeliveredAt    *time.Time `json:"deliveredAt,omitempty" doc:"Newest success."`
	LastCode       string     `json:"lastCode,omitempty" doc:"Of the newest failure since then."`
	Attempts       int        `json:"attempts" doc:"In vain, one after another, while nobody takes anything."`
	AwaySince      *time.Time `json:"awaySince,omitempty"`
	NextAt         *time.Time `json:"nextAt,omitempty" doc:"Of the next attempt, while nobody takes anything."`
	OldSecretUntil *time.Time `json:"oldSecretUntil,omitempty" doc:"Until then the secret before signs as well."`
	Waiting        int        `json:"waitingLetters"`
	Dead           int        `json:"deadLetters"`
}

type webhookLetter struct {
	Position     uint64     `json:"position" doc:"In the log."`
	Consultation string     `json:"consultation"`
	Seq          uint64     `json:"seq"`
	Event        string     `json:"event" doc:"Id, as in webhook-id."`
	Type         string     `json:"type"`
	Dead         bool       `json:"dead"`
	Attempts     int        `json:"attempts" doc:"0: it waits behind another of its consultation."`
	Code         string     `json:"code,omitempty" doc:"Of the newest failure: http_404, timeout, dns, connect, tls, address …"`
	SetAsideAt   time.Time  `json:"setAsideAt"`
	NextAt       *time.Time `json:"nextAt,omitempty" doc:"Not before; missing when it is dead."`
}

func webhookItemOf(e webhook.Endpoint, last uint64) webhookItem {
	return webhookItem{
		ID: e.ID, URL: e.URL, Types: texts(e.Types), State: string(e.State), Reason: e.Reason, Position: e.Position, Behind: last - min(last, e.Position),
		CreatedAt: e.CreatedAt.UTC(), CreatedBy: e.CreatedBy, DeliveredAt: e.DeliveredAt, LastCode: e.LastCode, Attempts: e.Attempts,
		AwaySince: e.AwaySince, NextAt: e.NextAt, OldSecretUntil: e.OldUntil, Waiting: e.Waiting, Dead: e.Dead,
	}
}

func texts(types []events.Type) []string {
	all := make([]string, len(types))
	for i, t := range types {
		all[i] = string(t)
	}
	return all
}

// typesOf keeps nil apart from empty: nothing was said.
func typesOf(names []string) []events.Type {
	if names == nil {
		return nil
	}
	all := make([]events.Type, len(names))
	for i, n := range names {
		all[i] = events.Type(n)
	}
	return all
}

type webhookOut struct{ Body webhookItem }

type webhooksOut struct {
	Body struct {
		Items []webhookItem `json:"items"`
	}
}

type addedWebhookOut struct {
	Body struct {
		Webhook webhookItem `json:"webhook"`
		Secret  string      `json:"secret" doc:"Signs all messages. Nobody can read it again."`
	}
}

type webhookSecretOut struct {
	Body struct {
		Secret string `json:"secret" doc:"Nobody can read it again."`
	}
}

type webhookLettersOut struct {
	Body struct {
		Items []webhookLetter `json:"items"`
	}
}

// oneWebhook is the address of one.
type oneWebhook struct {
	Webhook string `path:"webhook"`
}

func (s *Server) listWebhooks(ctx context.Context, _ *struct{}) (*webhooksOut, error) {
	if err := callerFrom(ctx).may(auth.ViewWebhooks, "", ""); err != nil {
		return nil, s.fail(err)
	}
	all, err := s.deps.Webhooks.List(ctx)
	if err != nil {
		return nil, s.fail(err)
	}
	info, err := s.deps.Log.Info(ctx)
	if err != nil {
		return nil, s.fail(err)
	}
	out := &webhooksOut{}
	out.Body.Items = []webhookItem{}
	for _, e := range all {
		out.Body.Items = append(out.Body.Items, webhookItemOf(e, info.Last))
	}
	return out, nil
}

func (s *Server) addWebhook(ctx context.Context, in *struct {
	Body struct {
		URL   string   `json:"url" maxLength:"2000" doc:"https://…"`
		Types []string `json:"types,omitempty" maxItems:"100" doc:"Of events. Empty: those that docs/webhooks.md names."`
		From  uint64   `json:"from,omitempty" doc:"Position in the log of the first event that is told. Missing: what comes from now on."`
	}
},
) (*addedWebhookOut, error) {
	who := callerFrom(ctx)
	if err := who.may(auth.ManageWebhooks, "", ""); err != nil {
		return nil, s.fail(err)
	}
	actor, err := s.actorOf(ctx, who)
	if err != nil {
		return nil, s.fail(err)
	}
	e, secret, err := s.deps.Webhooks.Add(ctx, webhook.New{URL: in.Body.URL, Types: typesOf(in.Body.Types), From: in.Body.From, By: actor})
	if err != nil {
		return nil, s.fail(err)
	}
	item, err := s.describeWebhook(ctx, e)
	if err != nil {
		return nil, s.fail(err)
	}
	s.deps.Logger.Info("a system is told of events from now on", "webhook", e.ID, "by", actor)
	out := &addedWebhookOut{}
	out.Body.Webhook, out.Body.Secret = item, secret
	return out, nil
}

func (s *Server) describeWebhook(ctx context.Context, e webhook.Endpoint) (webhookItem, error) {
	info, err := s.deps.Log.Info(ctx)
	return webhookItemOf(e, info.Last), err
}

func (s *Server) getWebhook(ctx context.Context, in *oneWebhook) (*webhookOut, error) {
	if err := callerFrom(ctx).may(auth.ViewWebhooks, "", ""); err != nil {
		return nil, s.fail(err)
	}
	return s.webhook(ctx, in.Webhook)
}

func (s *Server) webhook(ctx context.Context, id string) (*webhookOut, error) {
	e, err := s.deps.Webhooks.Get(ctx, id)
	if err != nil {
		return nil, s.fail(err)
	}
	item, err := s.describeWebhook(ctx, e)
	if err != nil {
		return nil, s.fail(err)
	}
	return &webhookOut{Body: item}, nil
}

func (s *Server) changeWebhook(ctx context.Context, in *struct {
	Webhook string `path:"webhook"`
	Body    struct {
		URL   *string  `json:"url,omitempty" maxLength:"2000"`
		Types []string `json:"types,omitempty" maxItems:"100" doc:"Empty: those that docs/webhooks.md names. Missing: as they are."`
	}
},
) (*webhookOut, error) {
	if err := callerFrom(ctx).may(auth.ManageWebhooks, "", ""); err != nil {
		return nil, s.fail(err)
	}
	if err := s.deps.Webhooks.Change(ctx, in.Webhook, in.Body.URL, typesOf(in.Body.Types)); err != nil {
		return nil, s.fail(err)
	}
	return s.webhook(ctx, in.Webhook)
}

// webhookOrder is an operation without a body and without an answer.
func (s *Server) webhookOrder(do func(context.Context, string) error) func(context.Context, *oneWebhook) (*struct{}, error) {
	return func(ctx context.Context, in *oneWebhook) (*struct{}, error) {
		if err := callerFrom(ctx).may(auth.ManageWebhooks, "", ""); err != nil {
			return nil, s.fail(err)
		}
		return nil, s.failed(do(ctx, in.Webhook))
	}
}

func (s *Server) rotateWebhook(ctx context.Context, in *oneWebhook) (*webhookSecretOut, error) {
	if err := callerFrom(ctx).may(auth.ManageWebhooks, "", ""); err != nil {
		return nil, s.fail(err)
	}
	secret, err := s.deps.Webhooks.Rotate(ctx, in.Webhook)
	if err != nil {
		return nil, s.fail(err)
	}
	out := &webhookSecretOut{}
	out.Body.Secret = secret
	return out, nil
}

func (s *Server) replayWebhook(ctx context.Context, in *struct {
	Webhook string `path:"webhook"`
	Body    struct {
		From         uint64 `json:"from,omitempty" doc:"Position in the log, 1 and more."`
		Consultation string `json:"consultation,omitempty"`
		Seq          uint64 `json:"seq,omitempty" doc:"Of the consultation; missing: from its first event on."`
	}
},
) (*struct{}, error) {
	if err := callerFrom(ctx).may(auth.ManageWebhooks, "", ""); err != nil {
		return nil, s.fail(err)
	}
	if in.Body.Consultation != "" {
		return nil, s.failed(s.deps.Webhooks.ReplayConsultation(ctx, in.Webhook, in.Body.Consultation, in.Body.Seq))
	}
	return nil, s.failed(s.deps.Webhooks.Replay(ctx, in.Webhook, in.Body.From))
}

func (s *Server) webhookLetters(ctx context.Context, in *struct {
	Webhook string `path:"webhook"`
	After   uint64 `query:"after" doc:"Only behind this position of the log."`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"200"`
},
) (*webhookLettersOut, error) {
	if err := callerFrom(ctx).may(auth.ViewWebhooks, "", ""); err != nil {
		return nil, s.fail(err)
	}
	all, err := s.deps.Webhooks.Letters(ctx, in.Webhook, in.After, in.Limit)
	if err != nil {
		return nil, s.fail(err)
	}
	out := &webhookLettersOut{}
	out.Body.Items = []webhookLetter{}
	for _, l := range all {
		item := webhookLetter{
			Position: l.Position, Consultation: l.Consultation, Seq: l.Seq, Event: l.Event, Type: string(l.Type), Dead: l.Dead, Attempts: l.Attempts,
			Code: l.Code, SetAsideAt: l.SetAsideAt.UTC(),
		}
		if !l.Dead {
			item.NextAt = &l.NextAt
		}
		out.Body.Items = append(out.Body.Items, item)
	}
	return out, nil
}

func (s *Server) sendLetters(ctx context.Context, in *struct {
	Webhook string `path:"webhook"`
	Body    struct {
		Position *uint64 `json:"position,omitempty" doc:"Of the dead letter; missing: all of them."`
	}
},
) (*struct{}, error) {
	if err := callerFrom(ctx).may(auth.ManageWebhooks, "", ""); err != nil {
		return nil, s.fail(err)
	}
	return nil, s.failed(s.deps.Webhooks.Again(ctx, in.Webhook, in.Body.Position))
}
