package netlab

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Link is what happens to packets between a network and the rest of the world, the same in both directions. The zero
// Link is a cable.
type Link struct {
	Delay  time.Duration // one way
	Jitter time.Duration // a packet takes up to that longer; none overtakes another
	Loss   float64       // fraction that never arrives
	Rate   int           // bits per second, 0 for as fast as it goes
	Queue  time.Duration // how long a packet may wait for its turn before it is dropped; default 500 ms
	MTU    int           // bytes; what is longer is dropped and nobody is told. 0 for 1500

	translate [2]func([]byte) []byte // packets on their way out and in; nil leaves them as they are
}

// cable says that nothing happens to packets.
func (l Link) cable() bool {
	return l.Delay == 0 && l.Jitter == 0 && l.Loss == 0 && l.Rate == 0 && l.MTU == 0
}

// wire carries packets between two TUN devices in two namespaces. Not every kernel has netem, and packets from a TUN
// device have whole checksums.
type wire struct {
	ends [2]*os.File
	done sync.WaitGroup
}

// newWire makes interface a in one namespace and b in another, and carries packets between them until close.
func newWire(from *namespace, a string, to *namespace, b string, link Link) (*wire, error) {
	if link.Queue == 0 {
		link.Queue = 500 * time.Millisecond
	}
	one, err := openTUN(from, a)
	if err != nil {
		return nil, err
	}
	other, err := openTUN(to, b)
	if err != nil {
		return nil, errors.Join(err, one.Close())
	}
	w := &wire{ends: [2]*os.File{one, other}}
	for i := range w.ends {
		lane := &delayLine{to: w.ends[1-i], link: link, change: link.translate[i], wake: make(chan struct{}, 1), ended: make(chan struct{})}
		w.done.Go(lane.run)
		w.done.Go(func() { lane.read(w.ends[i]) })
	}
	return w, nil
}

// close ends the wire; the devices go with it.
func (w *wire) close() error {
	err := errors.Join(w.ends[0].Close(), w.ends[1].Close())
	w.done.Wait()
	return err
}

func openTUN(n *namespace, name string) (file *os.File, err error) {
	err = n.do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		file = os.NewFile(uintptr(fd), "tun "+name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open TUN device %s in %s: %w", name, n.name, err)
	}
	return file, nil
}

// delayLine is one direction of a wire.
type delayLine struct {
	to   *os.File
	link Link
	// change makes another packet of one, nil to drop it.
	change func([]byte) []byte
	wake   chan struct{} // holds a token when the queue has changed
	ended  chan struct{} // closed when nothing is read any more

	mu    sync.Mutex // guards what follows
	queue flight
	count int       // packets that were taken
	free  time.Time // when the line has sent all that it was given
	last  time.Time // newest arrival
}

// read takes packets until the device is closed.
func (d *delayLine) read(from *os.File) {
	defer close(d.ended)
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		packet := append([]byte(nil), buf[:n]...)
		if d.change != nil {
			packet = d.change(packet)
		}
		if packet != nil {
			d.take(packet, time.Now())
		}
	}
}

func (d *delayLine) take(packet []byte, now time.Time) {
	if d.link.MTU > 0 && len(packet) > d.link.MTU || rand.Float64() < d.link.Loss {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at := now
	if d.link.Rate > 0 {
		if d.free.Before(now) {
			d.free = now
		}
		if d.free.Sub(now) > d.link.Queue {
			return
		}
		d.free = d.free.Add(time.Duration(len(packet)) * 8 * time.Second / time.Duration(d.link.Rate))
		at = d.free
	}
	at = at.Add(d.link.Delay)
	if d.link.Jitter > 0 {
		at = at.Add(rand.N(d.link.Jitter))
	}
	if at.Before(d.last) {
		at = d.last
	}
	d.last = at
	d.count++
	heap.Push(&d.queue, parcel{at, d.count, packet})
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run delivers until nothing is read any more.
func (d *delayLine) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		due, wait := d.due(time.Now())
		for _, packet := range due {
			_, _ = d.to.Write(packet) // the other end may be down: a cable does not care
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-d.wake:
		case <-d.ended:
			return
		}
	}
}

func (d *delayLine) due(now time.Time) (due [][]byte, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.queue) > 0 && !d.queue[0].at.After(now) {
		due = append(due, heap.Pop(&d.queue).(parcel).packet)
	}
	if len(d.queue) == 0 {
		return due, time.Hour
	}
	return due, d.queue[0].at.Sub(now)
}

type parcel struct {
	at     time.Time
	order  int
	packet []byte
}

// flight is a heap, earliest first, and in the order in which they were taken among equals.
type flight []parcel

// Len implements heap.Interface.
func (f flight) Len() int { return len(f) }

// Less implements heap.Interface.
func (f flight) Less(i, j int) bool {
	if f[i].at.Equal(f[j].at) {
		return f[i].order < f[j].order
	}
	return f[i].at.Before(f[j].at)
}

// Swap implements heap.Interface.
func (f flight) Swap(i, j int) { f[i], f[j] = f[j], f[i] }

// Push implements heap.Interface.
func (f *flight) Push(x any) { *f = append(*f, x.(parcel)) }

// Pop implements heap.Interface.
func (f *flight) Pop() any {
	last := (*f)[len(*f)-1]
	*f = (*f)[:len(*f)-1]
	return last
}
