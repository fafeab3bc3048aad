package simpeer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"

	"consilium/internal/media"
)

// subprotocol is what the WebSocket speaks.
const subprotocol = "consilium.v1"

// message is every message of the protocol that a participant reads, and what it needs of it.
type message struct {
	Type string `json:"type"`
	Re   *int   `json:"re"`

	Welcome
	State
	SDP string `json:"sdp"` // answer
	// Tracks of an answer.
	Tracks []struct {
		MID         string       `json:"mid"`
		Participant string       `json:"participant"`
		Track       string       `json:"track"`
		Source      media.Source `json:"source"`
	} `json:"tracks"`
	Candidate     string  `json:"candidate"`
	SDPMid        *string `json:"sdpMid"`
	SDPMLineIndex *uint16 `json:"sdpMLineIndex"`
	Audio         int     `json:"audio"` // please_offer
	Video         int     `json:"video"`
	Reason        string  `json:"reason"` // ended
	URL           string  `json:"url"`    // moved
	Code          string  `json:"code"`   // error
	Text          string  `json:"message"`
}

// Welcome is what the server says about the participant itself.
type Welcome struct {
	Consultation string `json:"consultation"`
	Participant  string `json:"participant"`
	Name         string `json:"name"`
	Role         string `json:"role"`
	Policy       string `json:"policy"`
	Consent      string `json:"consent"`
	Host         bool   `json:"host"`

	ICEServers []ICEServer `json:"iceServers"`
}

// State is what the server shows of the consultation.
type State struct {
	Phase        string `json:"phase"`
	Recording    string `json:"recording"`
	Joined       bool   `json:"joined"`
	Participants []struct {
		ID       string `json:"id"`
		Present  bool   `json:"present"`
		Online   bool   `json:"online"`
		Recorded string `json:"recorded"`
		Tracks   []struct {
			ID     string       `json:"id"`
			Kind   media.Kind   `json:"kind"`
			Source media.Source `json:"source"`
			Muted  bool         `json:"muted"`
		} `json:"tracks"`
	} `json:"participants"`
}

// ServerError is an error that the server answered with.
type ServerError struct{ Code, Message string }

func (e ServerError) Error() string { return e.Code + ": " + e.Message }

// JoinWebSocket brings a participant in through the WebSocket at url (http, https, ws or wss), with a join token. It
// returns when media can flow.
func JoinWebSocket(ctx context.Context, url, token string, o Options) (*Participant, error) {
	return newParticipant(ctx, o, func() door { return &webSocket{url: url, token: token} })
}

// webSocket is a door.
type webSocket struct {
	url, token string
	s          *session
	ws         *websocket.Conn
	stop       context.CancelFunc // of read and what it started

	print   string       // fingerprint of the server's side of the connection
	offers  chan message // requests to offer again, one waits
	reading sync.WaitGroup
	gone    chan struct{} // closed when the server has hung up

	mu      sync.Mutex // guards what follows
	next    int        // id of the next message
	waiting map[int]chan message
	offered bool
	early   []*webrtc.ICECandidate // found before the offer was sent
	state   State
	ended   string // reason of the server's last word
}

var _ door = (*webSocket)(nil)

func (w *webSocket) enter(ctx context.Context, s *session) error {
	w.s = s
	life, err := w.open(ctx)
	if err != nil {
		return err
	}
	if err := w.greet(ctx); err != nil {
		return err
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if err := s.addReceiver(kind); err != nil {
			return err
		}
	}
	s.pc.OnICECandidate(func(c *webrtc.ICECandidate) { w.candidate(life, c) })
	return w.offer(ctx, true)
}

// open dials and begins to read. What is started ends with the context that it gives.
func (w *webSocket) open(ctx context.Context) (life context.Context, err error) {
	w.waiting, w.gone = map[int]chan message{}, make(chan struct{})
	w.offers = make(chan message, 1)
	w.s.steps.first(&w.s.steps.Dialed)
	ws, _, err := websocket.Dial(ctx, w.url, &websocket.DialOptions{
		Subprotocols: []string{subprotocol}, CompressionMode: websocket.CompressionDisabled,
		HTTPClient: &http.Client{Transport: w.s.p.options.Reach.transport()},
	})
	if err != nil {
		return nil, fmt.Errorf("open websocket: %w", err)
	}
	w.s.steps.first(&w.s.steps.Opened)
	ws.SetReadLimit(1 << 20)
	w.ws = ws
	life, w.stop = context.WithCancel(context.Background())
	w.reading.Go(func() { w.read(life) })
	w.reading.Go(func() { w.offerAgain(life) })
	return life, nil
}

// greet says hello and joins.
func (w *webSocket) greet(ctx context.Context) error {
	welcome, err := w.ask(ctx, "hello", map[string]any{"token": w.token})
	if err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	w.s.steps.first(&w.s.steps.Welcomed)
	if err := w.s.use(welcome.ICEServers); err != nil {
		return err
	}
	if f := w.s.p.options.BeforeJoin; f != nil {
		if err := f(ctx, welcome.Welcome); err != nil {
			return fmt.Errorf("before joining: %w", err)
		}
	}
	if _, err := w.ask(ctx, "join", nil); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	w.s.steps.first(&w.s.steps.Joined)
	return nil
}

// again opens the WebSocket anew for the same session.
func (w *webSocket) again(ctx context.Context) error {
	w.drop()
	life, err := w.open(ctx)
	if err != nil {
		return err
	}
	w.s.pc.OnICECandidate(func(c *webrtc.ICECandidate) { w.candidate(life, c) })
	return w.greet(ctx)
}

func (s *session) addReceiver(kind webrtc.RTPCodecType) error {
	_, err := s.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	if err != nil {
		return fmt.Errorf("add receiver: %w", err)
	}
	return nil
}

// ErrForgotten says that the server answered for another connection than the one that there is: it was started anew. Only
// a new connection helps.
var ErrForgotten = errors.New("the server has forgotten the connection")

// fingerprint is that of the certificate in an SDP, "" if there is none.
func fingerprint(sdp string) string {
	_, rest, _ := strings.Cut(sdp, "a=fingerprint:")
	line, _, _ := strings.Cut(rest, "\r\n")
	return line
}

// offer negotiates once.
func (w *webSocket) offer(ctx context.Context, fresh bool) error { return w.offerWith(ctx, fresh, nil) }

func (w *webSocket) offerWith(ctx context.Context, fresh bool, options *webrtc.OfferOptions) error {
	w.s.negotiating.Lock()
	defer w.s.negotiating.Unlock()
	pc := w.s.pc
	offer, err := pc.CreateOffer(options)
	if err != nil {
		return fmt.Errorf("create offer: %w", err)
	}
	if err := pc.SetLocalDescription(offer); err != nil {
		return fmt.Errorf("create offer: %w", err)
	}
	answered, err := w.request(ctx, "offer", map[string]any{"sdp": offer.SDP, "tracks": w.s.offeredTracks(), "new": fresh})
	if err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	w.sendEarly(ctx)
	answer, err := w.await(ctx, answered)
	if err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	w.s.steps.first(&w.s.steps.Answered)
	print := fingerprint(answer.SDP)
	if w.print != "" && print != w.print {
		return ErrForgotten
	}
	w.print = print
	lines := map[string]carried{}
	for _, t := range answer.Tracks {
		lines[t.MID] = carried{track: t.Track, participant: t.Participant, source: t.Source}
	}
	w.s.setCarrying(lines)
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer.SDP}); err != nil {
		return fmt.Errorf("apply answer: %w", err)
	}
	w.s.cable.announce(answer.SDP)
	return nil
}

// offeredTracks says what the sending m-lines carry.
func (s *session) offeredTracks() []map[string]any {
	tracks := []map[string]any{}
	for _, t := range s.pc.GetTransceivers() {
		for _, l := range s.sender.announced() {
			if t.Sender() == l.sender {
				tracks = append(tracks, map[string]any{"mid": t.Mid(), "source": l.source, "muted": s.sender.isMuted(l.source)})
			}
		}
	}
	return tracks
}

// offerAgain does what the server asks for: an offer with enough receiving m-lines that carry nothing.
func (w *webSocket) offerAgain(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-w.offers:
			if w.s.p.options.Deaf {
				continue
			}
			for kind, n := range map[webrtc.RTPCodecType]int{webrtc.RTPCodecTypeAudio: m.Audio, webrtc.RTPCodecTypeVideo: m.Video} {
				for range n - w.free(kind) {
					_ = w.s.addReceiver(kind) // fails when the connection is closed
				}
			}
			_ = w.offer(ctx, false) // same; a test that waits for media in vain sees it
		}
	}
}

// free counts the receiving m-lines of a kind that carry nothing that still lives.
func (w *webSocket) free(kind webrtc.RTPCodecType) int {
	living := map[string]bool{}
	for _, p := range w.shown().Participants {
		for _, t := range p.Tracks {
			living[t.ID] = true
		}
	}
	n := 0
	for _, t := range w.s.pc.GetTransceivers() {
		c, busy := w.s.carried(t.Mid())
		if t.Kind() == kind && t.Direction() == webrtc.RTPTransceiverDirectionRecvonly && !(busy && living[c.track]) {
			n++
		}
	}
	return n
}

func (w *webSocket) shown() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// ask sends a message and waits for its answer.
func (w *webSocket) ask(ctx context.Context, kind string, body map[string]any) (message, error) {
	answer, err := w.request(ctx, kind, body)
	if err != nil {
		return message{}, err
	}
	return w.await(ctx, answer)
}

// request sends a message; its answer comes on the channel.
func (w *webSocket) request(ctx context.Context, kind string, body map[string]any) (<-chan message, error) {
	w.mu.Lock()
	w.next++
	id, answer := w.next, make(chan message, 1)
	w.waiting[id] = answer
	w.mu.Unlock()
	if body == nil {
		body = map[string]any{}
	}
	body["id"] = id
	return answer, w.say(ctx, kind, body)
}

func (w *webSocket) await(ctx context.Context, answer <-chan message) (message, error) {
	var m message
	select {
	case m = <-answer:
	case <-w.gone:
		select {
		case m = <-answer: // a refusal, before the server hung up
		default:
			return message{}, fmt.Errorf("the server hung up: %s", w.lastWord())
		}
	case <-ctx.Done():
		return message{}, ctx.Err()
	}
	if m.Type == "error" {
		return m, ServerError{Code: m.Code, Message: m.Text}
	}
	return m, nil
}

// candidate sends a candidate, but none before the offer that it belongs to.
func (w *webSocket) candidate(ctx context.Context, c *webrtc.ICECandidate) {
	if c == nil {
		return
	}
	w.mu.Lock()
	offered := w.offered
	if !offered {
		w.early = append(w.early, c)
	}
	w.mu.Unlock()
	if offered {
		init := c.ToJSON()
		_ = w.say(ctx, "candidate", map[string]any{ // whose connection is gone needs no candidate
			"candidate": init.Candidate, "sdpMid": init.SDPMid, "sdpMLineIndex": init.SDPMLineIndex,
		})
	}
}

// sendEarly sends the candidates that were found before the offer was sent.
func (w *webSocket) sendEarly(ctx context.Context) {
	w.mu.Lock()
	early := w.early
	w.early, w.offered = nil, true
	w.mu.Unlock()
	for _, c := range early {
		w.candidate(ctx, c)
	}
}

func (w *webSocket) say(ctx context.Context, kind string, body map[string]any) error {
	if body == nil {
		body = map[string]any{}
	}
	body["type"] = kind
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return w.ws.Write(ctx, websocket.MessageText, raw)
}

// read takes messages until the connection ends.
func (w *webSocket) read(ctx context.Context) {
	defer close(w.gone)
	for {
		_, raw, err := w.ws.Read(ctx)
		if err != nil {
			return
		}
		if f := w.s.p.options.OnMessage; f != nil {
			f(raw)
		}
		var m message
		if json.Unmarshal(raw, &m) == nil {
			w.handle(m)
		}
	}
}

func (w *webSocket) handle(m message) {
	switch m.Type {
	case "state":
		w.mu.Lock()
		w.state = m.State
		w.mu.Unlock()
	case "candidate":
		// An empty one says that there are no more, and one that comes before the answer stands in it too.
		_ = w.s.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: m.Candidate, SDPMid: m.SDPMid, SDPMLineIndex: m.SDPMLineIndex})
	case "please_offer":
		select {
		case <-w.offers: // an older request: the newest counts
		default:
		}
		w.offers <- m
	case "ended":
		w.mu.Lock()
		w.ended = m.Reason
		w.mu.Unlock()
	}
	if m.Re == nil {
		return
	}
	w.mu.Lock()
	answer := w.waiting[*m.Re]
	delete(w.waiting, *m.Re)
	w.mu.Unlock()
	if answer != nil {
		answer <- m
	}
}

func (w *webSocket) lastWord() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended
}

func (w *webSocket) renegotiate(ctx context.Context) error { return w.offer(ctx, false) }

func (w *webSocket) mute(ctx context.Context, source media.Source, muted bool) error {
	return w.say(ctx, "mute", map[string]any{"source": source, "muted": muted})
}

func (w *webSocket) leave(ctx context.Context) error {
	if err := w.say(ctx, "leave", nil); err != nil && w.lastWord() == "" {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	select {
	case <-w.gone:
		if w.lastWord() == "" {
			return errors.New("the server hung up without a word")
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the server did not hang up: %w", ctx.Err())
	}
}

func (w *webSocket) drop() {
	if w.ws == nil {
		return
	}
	w.ws.CloseNow()
	w.stop()
	w.reading.Wait()
}

// State is what the server showed last of the consultation. It is empty for a participant that came in by WHIP.
func (p *Participant) State() State {
	if s := p.present(); s != nil {
		if w, ok := s.door.(*webSocket); ok {
			return w.shown()
		}
	}
	return State{}
}

// End ends the consultation for everybody; only hosts can.
func (p *Participant) End(ctx context.Context) error {
	s := p.present()
	if s == nil {
		return errors.New("simulated participant: it is away")
	}
	w, ok := s.door.(*webSocket)
	if !ok {
		return errors.New("simulated participant: it came in by WHIP and cannot end anything")
	}
	if err := w.say(ctx, "end", nil); err != nil {
		return fmt.Errorf("simulated participant: end: %w", err)
	}
	return nil
}

// EndedBy is the server's last word to a participant that came in by WebSocket: the reason why its part is over, "" while
// it is not.
func (p *Participant) EndedBy() string {
	if s := p.present(); s != nil {
		if w, ok := s.door.(*webSocket); ok {
			return w.lastWord()
		}
	}
	return ""
}
