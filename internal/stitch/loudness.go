package stitch

import "math"

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

// loudnessMeter weighs sound as it is heard (ITU-R BS.1770-4) and gives the mean square of each tenth of a second.
type loudnessMeter struct {
	filters [len(frame{})][2]biquad
	squares float64   // of the current tenth of a second
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

// weigh gives the square of a sample, as loud as it seems, of all channels together.
func (m *loudnessMeter) weigh(f frame) float64 {
	sum := 0.0
	for c, v := range f {
		y := m.filters[c][1].next(m.filters[c][0].next(float64(v)))
		sum += y * y
	}
	return sum
}

// add takes a sample in.
func (m *loudnessMeter) add(f frame) {
	m.squares += m.weigh(f)
	if m.samples++; m.samples == mixBlock {
		m.end()
	}
}

// end ends a tenth of a second, which may be a shorter one at the end of the sound.
func (m *loudnessMeter) end() {
	if m.samples > 0 {
		m.tenths = append(m.tenths, float32(m.squares/float64(m.samples)))
		m.squares, m.samples = 0, 0
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
