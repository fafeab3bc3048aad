package sfu

// RemoteDescription is the client's newest offer that was answered, as it came; "" before the first. It is what an ICE
// restart without a whole offer (RFC 9725 §4.3.2) exchanges the credentials of.
func (p *Peer) RemoteDescription() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.offer == nil {
		return ""
	}
	return p.offer.raw
}

// LocalDescription is the newest answer, as it went; "" before the first.
func (p *Peer) LocalDescription() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.answer
}

// CheckOffer says whether an offer could be answered, with the errors of Peer.Answer. It changes nothing.
func CheckOffer(sdp string) error {
	_, err := parseOffer(sdp)
	return err
}
