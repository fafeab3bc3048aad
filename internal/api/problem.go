package api

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"consilium/internal/auth"
	"consilium/internal/blob"
	"consilium/internal/conference"
	"consilium/internal/consultation"
	"consilium/internal/directory"
	"consilium/internal/disk"
	"consilium/internal/media/sfu"
	"consilium/internal/signaling"
	"consilium/internal/store"
	"consilium/internal/webhook"

	"github.com/danielgtaylor/huma/v2"
)

// Problem is the body of every refusal (RFC 9457). Type is a stable URI reference below /problems/, Code its last part:
// what a program decides on. Detail is one plain sentence for people.
type Problem struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Detail string   `json:"detail,omitempty"`
	Code   string   `json:"code"`
	Fields []string `json:"fields,omitempty" doc:"What is wrong with which field of the request."`
}

// Error makes Problem an error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus tells huma the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType names the media type of RFC 9457.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

var _ huma.StatusError = (*Problem)(nil)

func problem(status int, code, detail string) *Problem {
	return &Problem{Type: "/problems/" + code, Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

// sentence is what a known error means to the person at the screen.
type sentence struct {
	err    error
	status int
	code   string
	text   string
}

// sentences is the one table of texts for people. The first entry that errors.Is matches counts. A consultation that
// does not exist and one that is not the caller's own read alike.
var sentences = []sentence{
	{auth.ErrExpired, http.StatusUnauthorized, "token_expired", "This link has expired. Please ask for a new one."},
	{auth.ErrEarly, http.StatusUnauthorized, "token_early", "This link is not valid yet. Please come back at the time of your appointment."},
	{auth.ErrInvalid, http.StatusUnauthorized, "unauthorized", "This link or token is not valid here. Please use the link exactly as you received it."},
	{errForbidden, http.StatusForbidden, "forbidden", "You are not allowed to do this."},
	{errReceipt, http.StatusForbidden, "receipt_needed", "Please say for what you watch this recording first."},
	{consultation.ErrUnknown, http.StatusNotFound, "unknown_consultation", "There is no such consultation."},
	{store.ErrNotFound, http.StatusNotFound, "unknown_consultation", "There is no such consultation."},
	{directory.ErrNotFound, http.StatusNotFound, "unknown_consultation", "There is no such consultation."},
	{consultation.ErrUnknownParticipant, http.StatusNotFound, "unknown_participant", "There is no such participant in this consultation."},
	{consultation.ErrEnded, http.StatusConflict, "ended", "The consultation has ended."},
	{consultation.ErrNotOpen, http.StatusConflict, "not_open", "The consultation is not open."},
	{consultation.ErrConsentNeeded, http.StatusForbidden, "consent_needed", "The participant must agree to the recording first."},
	{consultation.ErrRefused, http.StatusForbidden, "consent_refused", "This consultation is recorded. Without consent to the recording one cannot take part."},
	{consultation.ErrAnswered, http.StatusConflict, "answered", "The participant has answered the recording notice differently. Only they can change that."},
	{consultation.ErrKicked, http.StatusForbidden, "kicked", "The host has removed this participant."},
	{consultation.ErrTooLate, http.StatusConflict, "too_late", "The consultation ended more than 15 minutes ago and cannot be reopened."},
	{consultation.ErrNotEnded, http.StatusConflict, "not_ended", "The consultation has not ended."},
	{consultation.ErrNotComplete, http.StatusConflict, "not_complete", "The recording is not complete yet. An archive follows by itself."},
	{consultation.ErrArchivePending, http.StatusConflict, "archive_pending", "An archive is being made already."},
	{consultation.ErrHeld, http.StatusConflict, "held", "A hold forbids to delete anything of this consultation."},
	{consultation.ErrUnknownHold, http.StatusNotFound, "unknown_hold", "There is no such hold on this consultation."},
	{consultation.ErrHoldReleased, http.StatusConflict, "hold_released", "The hold was released already."},
	{consultation.ErrReleasePending, http.StatusConflict, "release_pending", "The release of this hold was requested already. Another person has to approve or decline it."},
	{consultation.ErrReleaseNotRequested, http.StatusConflict, "release_not_requested", "Nobody has requested the release of this hold."},
	{consultation.ErrReleaseExpired, http.StatusConflict, "release_expired", "The release of this hold was requested more than seven days ago. Please request it again."},
	{consultation.ErrSecondPerson, http.StatusForbidden, "second_person", "You have requested this release. Another person has to approve it."},
	{disk.ErrFull, http.StatusInsufficientStorage, "insufficient_storage", "There is too little storage left to record another consultation. Please tell the people who run this service."},
	{conference.ErrNotJoined, http.StatusConflict, "not_joined", "Join first."},
	{conference.ErrNoConnection, http.StatusNotFound, "unknown_connection", "There is no such connection any more."},
	{conference.ErrShutdown, http.StatusServiceUnavailable, "stopping", "The server is stopping. Please try again in a moment."},
	{sfu.ErrSDPTooLarge, http.StatusRequestEntityTooLarge, "sdp_too_large", "The session description is larger than 64 KiB."},
	{sfu.ErrNoTracks, http.StatusUnprocessableEntity, "no_tracks", "The session description offers neither audio nor video."},
	{sfu.ErrUnsupportedCodec, http.StatusUnprocessableEntity, "unsupported_codec", "None of the offered codecs is supported. Use Opus for audio and VP8 for video."},
	{sfu.ErrTooManyTracks, http.StatusUnprocessableEntity, "too_many", "The session description offers too many tracks."},
	{sfu.ErrBadSDP, http.StatusBadRequest, "bad_sdp", "The session description cannot be read."},
	{webhook.ErrNotFound, http.StatusNotFound, "unknown_webhook", "There is no such webhook, or no such letter of it."},
	{blob.ErrNotFound, http.StatusNotFound, "not_found", "There is nothing at this address."},
}

// problemOf turns any error into a problem. What is not in the table is a fault of ours: it goes to the log, and the
// person learns only that.
func problemOf(logger *slog.Logger, err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	for _, s := range sentences {
		if errors.Is(err, s.err) {
			return problem(s.status, s.code, s.text)
		}
	}
	var field *store.InvalidError
	if errors.As(err, &field) {
		p := problem(http.StatusBadRequest, "invalid", asSentence(field.Reason))
		p.Fields = []string{"query." + field.Field + ": " + field.Reason}
		return p
	}
	var named *webhook.InvalidError
	if errors.As(err, &named) {
		p := problem(http.StatusUnprocessableEntity, "invalid", asSentence(named.Reason))
		p.Fields = []string{"body." + named.Field + ": " + named.Reason}
		return p
	}
	if errors.Is(err, consultation.ErrInvalid) || errors.Is(err, directory.ErrInvalid) || errors.Is(err, store.ErrInvalid) {
		return problem(http.StatusUnprocessableEntity, "invalid", asSentence(err.Error()))
	}
	logger.Error("request failed", "error", err)
	return problem(http.StatusInternalServerError, "internal", "Something went wrong on the server. Please try again.")
}

func asSentence(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// writeProblem answers a request outside huma.
func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}

// Explain gives the signaling room the same code and sentence.
func (s *Server) Explain(err error) signaling.Error {
	p := problemOf(s.deps.Logger, err)
	return signaling.Error{Code: p.Code, Message: p.Detail}
}

// newHumaError makes huma's own refusals (validation, unknown media types) problems like ours.
func newHumaError(status int, msg string, errs ...error) huma.StatusError {
	for _, err := range errs {
		var p *Problem
		if errors.As(err, &p) {
			return p
		}
	}
	fields := fieldsOf(errs)
	code := strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_")
	if status == http.StatusUnprocessableEntity || status == http.StatusBadRequest {
		code = "invalid"
	}
	p := problem(status, code, asSentence(msg))
	p.Fields = fields
	return p
}

// newHumaErrorOf is newHumaError for a request: a question with a filter or a cursor that makes no sense is a bad request,
// while an order that makes none cannot be processed.
func newHumaErrorOf(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
	if status == http.StatusUnprocessableEntity && ctx.Method() == http.MethodGet {
		status = http.StatusBadRequest
	}
	return newHumaError(status, msg, errs...)
}

// fieldsOf says what is wrong with which field, the field first. Values are not repeated: they may be names.
func fieldsOf(errs []error) []string {
	var fields []string
	for _, err := range errs {
		var d *huma.ErrorDetail
		switch {
		case err == nil:
		case errors.As(err, &d) && d.Location != "":
			fields = append(fields, d.Location+": "+d.Message)
		default:
			fields = append(fields, err.Error())
		}
	}
	return fields
}
