package simpeer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

// PublishWHIP brings a participant in that only sends, by WHIP (RFC 9725): it posts its offer to url with a bearer token.
// It returns when media can flow.
func PublishWHIP(ctx context.Context, url, bearer string, o Options) (*Participant, error) {
	if o.VideoSource == "" {
		o.VideoSource = media.Device
	}
	if o.AudioSource == "" {
		o.AudioSource = media.Device
	}
	return newParticipant(ctx, o, func() door { return &whip{url: url, bearer: bearer} })
}

// whip is a door.
type whip struct {
	url, bearer string
	resource    string // where the session can be deleted
}

var _ door = (*whip)(nil)

// StatusError is an HTTP answer that was not the one hoped for.
type StatusError struct {
	Status int
	Body   string
}

func (e StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Status, e.Body) }

func (w *whip) enter(ctx context.Context, s *session) error {
	offer, err := s.pc.CreateOffer(nil)
	if err != nil {
		return fmt.Errorf("create offer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(offer); err != nil {
		return fmt.Errorf("create offer: %w", err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return fmt.Errorf("gather candidates: %w", ctx.Err())
	}
	response, answer, err := w.do(ctx, http.MethodPost, w.url, s.pc.LocalDescription().SDP)
	if err != nil {
		return fmt.Errorf("post offer: %w", err)
	}
	if response.StatusCode != http.StatusCreated {
		return fmt.Errorf("post offer: %w", StatusError{Status: response.StatusCode, Body: answer})
	}
	location, err := response.Location()
	if err != nil {
		return fmt.Errorf("post offer: %w", err)
	}
	w.resource = location.String()
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return fmt.Errorf("apply answer: %w", err)
	}
	s.cable.announce(answer)
	return nil
}

func (w *whip) do(ctx context.Context, method, url, body string) (*http.Response, string, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	request.Header.Set("Authorization", "Bearer "+w.bearer)
	if body != "" {
		request.Header.Set("Content-Type", "application/sdp")
	}
	request.Close = true // no idle connection outlives the participant
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response, string(raw), err
}

// renegotiate implements door: WHIP knows of no second offer (RFC 9725 §4.4).
func (w *whip) renegotiate(context.Context) error {
	return errors.New("what came in by WHIP cannot offer again")
}

// mute implements door: a device has no switch that anybody would be told of.
func (w *whip) mute(context.Context, media.Source, bool) error { return nil }

func (w *whip) leave(ctx context.Context) error {
	response, body, err := w.do(ctx, http.MethodDelete, w.resource, "")
	if err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("delete session: %w", StatusError{Status: response.StatusCode, Body: body})
	}
	return nil
}

// drop implements door: there is no connection beside the media's.
func (w *whip) drop() {}
