package stitch

import (
	"math"
	"slices"
)

// Voices come from all kinds of microphones at all kinds of distances. Each is brought toward one loudness by one gain
// for the whole archive, which is found in its first minute of speech: what is heard never pumps, and the gain of a voice
// does not change when the consultation goes on.

const (
	// targetLUFS is what players of the web are used to.
	targetLUFS = -16.0
	// mostGain and leastGain in dB: more would only lift the noise of a room.
	mostGain, leastGain = 15.0, -12.0
	// enoughSpeech is how many blocks of speech are measured, leastSpeech how many are needed to say anything: a minute and
	// two seconds, at ten blocks a second.
	enoughSpeech, leastSpeech = 600, 20
	// speechLUFS: a block below is no speech. EBU R 128 gates at -70, which a quiet room passes.
	speechLUFS = -50.0
)

// kWeighting is the filter of ITU-R BS.1770-4 for 48 kHz: a shelf for the head, then a high pass.
var kWeighting = [2]biquad{
	{b: [3]float64{1.53512485958697, -2.69169618940638, 1.19839281085285}, a: [2]float64{-1.69065929318241, 0.73248077421585}},
	{b: [3]float64{1, -2, 1}, a: [2]float64{-1.99004745483398, 0.99007225036621}},
}

// biquad is a filter of second order with its memory.
type biquad struct {
	b      [3]float64
	a      [2]float64 // a0 is 1
	z0, z1 float64
}

func (f *biquad) next(x float64) float64 {
	y := f.b[0]*x + f.z0
	f.z0 = f.b[1]*x - f.a[0]*y + f.z1
	f.z1 = f.b[2]*x - f.a[1]*y
	return y
}

// loudnessMeter measures speech in blocks of 400 ms, one every 100 ms (ITU-R BS.1770-4).
type loudnessMeter struct {
	filters [len(frame{})][2]biquad
	squares float64   // of the current tenth of a second
	samples int       // in it
	tenths  []float64 // mean squares of the last four
	blocks  []float64 // mean squares of those with speech
}

func newLoudnessMeter() *loudnessMeter {
	m := &loudnessMeter{}
	for c := range m.filters {
		m.filters[c] = kWeighting
	}
	return m
}

// weigh gives the square of a sample, as loud as it seems, of all channels together.
func (m *loudnessMeter) weigh(f frame) float64 {
	sum := 0.0
	for c, v := range f {
		y := m.filters[c][1].next(m.filters[c][0].next(float64(v)))
		sum += y * y
	}
	return sum
}

// add takes a sample and says whether more are wanted.
func (m *loudnessMeter) add(f frame) bool {
	m.squares += m.weigh(f)
	if m.samples++; m.samples == mixBlock {
		m.tenths = append(m.tenths, m.squares/mixBlock)
		m.squares, m.samples = 0, 0
		if len(m.tenths) == 4 {
			if block := (m.tenths[0] + m.tenths[1] + m.tenths[2] + m.tenths[3]) / 4; lufs(block) > speechLUFS {
				m.blocks = append(m.blocks, block)
			}
			m.tenths = slices.Delete(m.tenths, 0, 1)
		}
	}
	return len(m.blocks) < enoughSpeech
}

func lufs(meanSquare float64) float64 { return -0.691 + 10*math.Log10(meanSquare) }

// integrated is the loudness of the speech in LUFS; false when there was too little.
func (m *loudnessMeter) integrated() (float64, bool) {
	if len(m.blocks) < leastSpeech {
		return 0, false
	}
	const relativeGate = -10 // LU below the mean of all
	gate := lufs(mean(m.blocks)) + relativeGate
	var loud []float64
	for _, b := range m.blocks {
		if lufs(b) > gate {
			loud = append(loud, b)
		}
	}
	return lufs(mean(loud)), true
}

func mean(all []float64) float64 {
	sum := 0.0
	for _, v := range all {
		sum += v
	}
	return sum / float64(len(all))
}

// gain is by how many dB the measured voice is to be changed: to a tenth, 0 when nothing is known.
func (m *loudnessMeter) gain() float64 {
	l, ok := m.integrated()
	if !ok {
		return 0
	}
	return math.Round(10*min(mostGain, max(leastGain, targetLUFS-l))) / 10
}

// factor is a gain as a factor of samples.
func factor(db float64) float32 { return float32(math.Pow(10, db/20)) }
