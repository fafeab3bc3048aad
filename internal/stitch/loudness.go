package stitch

import (
	"math"

	"consilium/internal/ffmpeg"
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
var kWeighting = [...]biquad{
	{b: [3]float64{1.53512485958697, -2.69169618940638, 1.19839281085285}, a: [2]float64{-1.69065929318241, 0.73248077421585}},
	{b: [3]float64{1, -2, 1}, a: [2]float64{-1.99004745483398, 0.99007225036621}},
}

// biquad is a filter of second order with its memory (the second of the transposed direct forms).
type biquad struct {
	b      [3]float64
	a      [2]float64 // a0 is 1
	z0, z1 float64
}

// weighing is the filter of one channel.
type weighing [len(kWeighting)]biquad

// squares is the sum of the squares of samples, as loud as they seem.
func (w *weighing) squares(samples []float32) (sum float64) {
	head, pass := w[0], w[1]
	for _, v := range samples {
		x := float64(v)
		y := head.b[0]*x + head.z0
		head.z0 = head.b[1]*x - head.a[0]*y + head.z1
		head.z1 = head.b[2]*x - head.a[1]*y
		z := pass.b[0]*y + pass.z0
		pass.z0 = pass.b[1]*y - pass.a[0]*z + pass.z1
		pass.z1 = pass.b[2]*y - pass.a[1]*z
		sum += z * z
	}
	w[0], w[1] = head.settled(), pass.settled()
	return sum
}

// faded is what no sum of squares would notice. Numbers that fade further and further cost a processor much.
const faded = 1e-30

// settled is the filter without what has faded away.
func (f biquad) settled() biquad {
	if math.Abs(f.z0) < faded && math.Abs(f.z1) < faded {
		f.z0, f.z1 = 0, 0
	}
	return f
}

// loudnessMeter weighs sound as it is heard (ITU-R BS.1770-4) and gives the mean square of each tenth of a second.
type loudnessMeter struct {
	filters [ffmpeg.Channels]weighing
	sum     float64   // of the squares of the current tenth of a second
	samples int       // in it
	tenths  []float32 // mean squares
}

func newLoudnessMeter() *loudnessMeter {
	m := &loudnessMeter{}
	for c := range m.filters {
		m.filters[c] = kWeighting
	}
	return m
}

// weigh gives the sum of the squares of samples, as loud as they seem, of all channels together.
func (m *loudnessMeter) weigh(b *block) float64 {
	first := &m.filters[0]
	if b.single && *first == m.filters[1] {
		sum := first.squares(b.channels[0])
		m.filters[1] = *first
		return ffmpeg.Channels * sum
	}
	sum := 0.0
	for c := range m.filters {
		sum += m.filters[c].squares(b.channel(c))
	}
	return sum
}

// add takes a block in.
func (m *loudnessMeter) add(b *block) {
	for from := 0; from < b.len(); {
		to := min(b.len(), from+mixBlock-m.samples)
		m.sum += m.weigh(b.part(from, to))
		if m.samples += to - from; m.samples == mixBlock {
			m.end()
		}
		from = to
	}
}

// end ends a tenth of a second, which may be a shorter one at the end of the sound.
func (m *loudnessMeter) end() {
	if m.samples > 0 {
		m.tenths = append(m.tenths, float32(m.sum/float64(m.samples)))
		m.sum, m.samples = 0, 0
	}
}

func lufs(meanSquare float64) float64 { return -0.691 + 10*math.Log10(meanSquare) }

func mean(all []float64) float64 {
	sum := 0.0
	for _, v := range all {
		sum += v
	}
	return sum / float64(len(all))
}

// factor is a gain as a factor of samples.
func factor(db float64) float32 { return float32(math.Pow(10, db/20)) }

// EBU R 128.
const (
	silenceLUFS  = -70.0 // the absolute gate
	relativeGate = -10.0 // LU below the mean of all
)

// integratedLoudness is that of EBU R 128 of tenths of a second, in LUFS; -70 is silence.
func integratedLoudness(tenths []float32) float64 {
	blocks := blocksAbove(tenths, silenceLUFS)
	if len(blocks) == 0 {
		return silenceLUFS
	}
	return math.Round(10*loudnessOf(blocks)) / 10
}

// loudnessOf is the loudness of blocks without those that are much softer than the others.
func loudnessOf(blocks []float64) float64 {
	gate := lufs(mean(blocks)) + relativeGate
	var loud []float64
	for _, b := range blocks {
		if lufs(b) > gate {
			loud = append(loud, b)
		}
	}
	return lufs(mean(loud))
}

// blocksAbove are the mean squares of the blocks of 400 ms, one every 100 ms, that are louder than a gate in LUFS.
func blocksAbove(tenths []float32, gate float64) []float64 {
	var all []float64
	for i := 3; i < len(tenths); i++ {
		block := 0.0
		for _, t := range tenths[i-3 : i+1] {
			block += float64(t) / 4
		}
		if lufs(block) > gate {
			all = append(all, block)
		}
	}
	return all
}

// speechBlocks are the blocks in which somebody speaks, as many as are measured.
func speechBlocks(tenths []float32) []float64 {
	all := blocksAbove(tenths, speechLUFS)
	return all[:min(len(all), enoughSpeech)]
}

// gainFor is by how many dB a voice is to be changed: to a tenth, 0 when nothing is known.
func gainFor(tenths []float32) float64 {
	blocks := speechBlocks(tenths)
	if len(blocks) < leastSpeech {
		return 0
	}
	return math.Round(10*min(mostGain, max(leastGain, targetLUFS-loudnessOf(blocks)))) / 10
}
