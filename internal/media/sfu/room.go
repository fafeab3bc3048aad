package sfu

import (
	"slices"
	"sync"
)

// Room joins connections: what one of its peers publishes, the others are offered.
type Room struct {
	sfu *SFU

	mu           sync.Mutex // guards what follows; never held while calling out
	peers        map[*Peer]struct{}
	publications []*Publication // oldest first
	closed       bool
}

// Publications lists what is being published, oldest first.
func (r *Room) Publications() []*Publication {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.publications)
}

// Close ends every connection of the room and waits for it.
func (r *Room) Close() {
	r.mu.Lock()
	r.closed = true
	peers := r.peersLocked(nil)
	r.mu.Unlock()
	var wg sync.WaitGroup
	for _, p := range peers {
		wg.Go(p.Close)
	}
	wg.Wait()
	r.sfu.forget(r)
}

// peersLocked lists the peers but one.
func (r *Room) peersLocked(except *Peer) []*Peer {
	peers := make([]*Peer, 0, len(r.peers))
	for p := range r.peers {
		if p != except {
			peers = append(peers, p)
		}
	}
	return peers
}

func (r *Room) enter(p *Peer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	r.peers[p] = struct{}{}
	r.sfu.metrics.peers.Inc()
	return nil
}

func (r *Room) leave(p *Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.peers[p]; ok {
		delete(r.peers, p)
		r.sfu.metrics.peers.Dec()
	}
}

// publish makes a publication known to the others.
func (r *Room) publish(pub *Publication) {
	r.mu.Lock()
	r.publications = append(r.publications, pub)
	r.mu.Unlock()
	r.sfu.metrics.publications.Inc()
}

// announce asks the others for an m-line to send a publication on, where they have none.
func (r *Room) announce(pub *Publication) {
	r.mu.Lock()
	others := r.peersLocked(pub.peer)
	r.mu.Unlock()
	for _, p := range others {
		p.checkNeed()
	}
}

// unpublish takes a publication away. The m-lines that carried it are free from the next offer of their client on.
func (r *Room) unpublish(pub *Publication) {
	r.mu.Lock()
	r.publications = slices.DeleteFunc(r.publications, func(p *Publication) bool { return p == pub })
	r.mu.Unlock()
	r.sfu.metrics.publications.Dec()
}
