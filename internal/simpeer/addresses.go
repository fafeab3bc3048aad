package simpeer

import (
	"net"
	"strconv"

	"github.com/pion/webrtc/v4"
)

// Addresses are those by which the participant could be reached, "192.0.2.7:50000", as it told the server. Nobody else is to
// learn one. They are known once the participant is connected.
func (p *Participant) Addresses() []string {
	s := p.present()
	if s == nil {
		return nil
	}
	var all []string
	for _, stats := range s.pc.GetStats() {
		if c, ok := stats.(webrtc.ICECandidateStats); ok && c.Type == webrtc.StatsTypeLocalCandidate {
			all = append(all, net.JoinHostPort(c.IP, strconv.Itoa(int(c.Port))))
		}
	}
	return all
}
