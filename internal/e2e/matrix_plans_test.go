package e2e

import (
	"image"
	"time"

	"consilium/internal/media"
	"consilium/internal/simpeer"
)

// matrixLength is how long the consultations of the matrix last. Whatever a plan does is over some seconds before.
const matrixLength = 24 * time.Second

// What the matrix is written with.
const (
	sec = time.Second
	mil = time.Millisecond
)

// does is one action of a plan.
func does(do simpeer.Verb, k media.Kind, at, lasts time.Duration) simpeer.Action {
	return simpeer.Action{At: at, Do: do, Kind: k, For: lasts}
}

// by is an action that moves something.
func by(do simpeer.Verb, k media.Kind, at, by time.Duration) simpeer.Action {
	return simpeer.Action{At: at, Do: do, Kind: k, By: by}
}

// sized is an action that changes the size of the picture.
func sized(at time.Duration, w, h int) simpeer.Action {
	return simpeer.Action{At: at, Do: simpeer.Resize, Size: image.Pt(w, h)}
}

// delays are those of a network that is the same for sound and pictures.
func delays(d time.Duration) simpeer.Network { return simpeer.Network{AudioDelay: d, VideoDelay: d} }

// ground is what most networks are like.
func ground(change func(*simpeer.Network)) simpeer.Network {
	n := delays(25 * mil)
	n.Seed = 11
	change(&n)
	return n
}

// matrix is the bad worlds, five to a consultation. Those that are of one consultation are told apart by their actions:
// what is done to everybody (a pause) explains holes in all five.
var matrix = [][]simpeer.Plan{
	{
		{Name: "nothing is wrong"},
		{Name: "picture takes 120 ms, sound 40 ms", Network: simpeer.Network{AudioDelay: 40 * mil, VideoDelay: 120 * mil}},
		{Name: "sound takes 200 ms, picture 20 ms", Network: simpeer.Network{AudioDelay: 200 * mil, VideoDelay: 20 * mil}},
		{Name: "everything takes 300 ms", Network: delays(300 * mil)},
		{Name: "microphone 300 ppm fast", Clocks: simpeer.Clocks{AudioPPM: 300}},
	},
	{
		{Name: "camera 300 ppm slow", Clocks: simpeer.Clocks{VideoPPM: -300}},
		{Name: "microphone 200 ppm slow, camera 200 ppm fast", Clocks: simpeer.Clocks{AudioPPM: -200, VideoPPM: 200}},
		{Name: "wall clock 700 ms ahead, jitter 5 ms", Clocks: simpeer.Clocks{WallError: 700 * mil}, Network: ground(func(n *simpeer.Network) { n.Jitter = 5 * mil })},
		{Name: "wall clock 40 years behind", Clocks: simpeer.Clocks{WallError: -40 * 365 * 24 * time.Hour}},
		{Name: "wall clock set 5 s ahead in mid-call", Clocks: simpeer.Clocks{WallError: -1300 * mil}, Actions: []simpeer.Action{by(simpeer.SetWall, "", 11*sec, 5*sec)}},
	},
	{
		{Name: "wall clock set 800 ms back in mid-call", Actions: []simpeer.Action{by(simpeer.SetWall, "", 13*sec, -800*mil)}},
		{Name: "first reports after 14 s", Network: delays(40 * mil), AudioReports: simpeer.Reports{First: 14 * sec}, VideoReports: simpeer.Reports{First: 14 * sec}},
		{Name: "reports as a browser sends them", AudioReports: simpeer.Reports{First: 2300 * mil, Every: 5 * sec}, VideoReports: simpeer.Reports{First: 400 * mil, Every: sec}},
		{Name: "no reports at all", Network: delays(40 * mil), AudioReports: simpeer.Reports{Never: true}, VideoReports: simpeer.Reports{Never: true}},
		{Name: "no reports of the sound", AudioReports: simpeer.Reports{Never: true}, Network: delays(30 * mil)},
	},
	{
		{Name: "no reports for 10 s", Actions: []simpeer.Action{does(simpeer.Withhold, "", 6*sec, 10*sec)}},
		{Name: "reports of the sound lie by 318 ms", AudioReports: simpeer.Reports{Lie: 318 * mil}, Network: delays(30 * mil)},
		{Name: "reports of the picture lie by -1.5 s", VideoReports: simpeer.Reports{Lie: -1500 * mil}, Network: delays(30 * mil)},
		{Name: "reports are 1 ms off, up or down", AudioReports: simpeer.Reports{Noise: mil}, VideoReports: simpeer.Reports{Noise: mil}},
		{Name: "jitter of 40 ms", Network: ground(func(n *simpeer.Network) { n.Jitter = 40 * mil })},
	},
	{
		{Name: "1 % loss", Network: ground(func(n *simpeer.Network) { n.Loss = 0.01 })},
		{Name: "3 % loss", Network: ground(func(n *simpeer.Network) { n.Loss = 0.03 })},
		{Name: "5 % loss", Network: ground(func(n *simpeer.Network) { n.Loss = 0.05 })},
		{Name: "3 % loss, 3 % out of order, jitter", Network: ground(func(n *simpeer.Network) { n.Loss, n.Reorder, n.Jitter = 0.03, 0.03, 10*mil })},
		{Name: "bursts of 100 ms", Network: delays(25 * mil), Actions: []simpeer.Action{
			does(simpeer.Burst, "", 6400*mil, 100*mil), does(simpeer.Burst, "", 9400*mil, 100*mil),
			does(simpeer.Burst, "", 12700*mil, 100*mil), does(simpeer.Burst, "", 16300*mil, 100*mil),
		}},
	},
	{
		{Name: "a burst of 400 ms", Actions: []simpeer.Action{does(simpeer.Burst, "", 8500*mil, 400*mil)}},
		{Name: "nothing comes through for 3 s", Actions: []simpeer.Action{does(simpeer.Burst, "", 8500*mil, 3*sec)}},
		{Name: "the network stalls for 1.2 s and catches up", Actions: []simpeer.Action{does(simpeer.Hold, "", 8300*mil, 1200*mil)}},
		{Name: "10 % out of order", Network: ground(func(n *simpeer.Network) { n.Reorder = 0.1 })},
		{Name: "10 % twice, 10 % again as probes", Network: ground(func(n *simpeer.Network) { n.Duplicate, n.Probe = 0.1, 0.1 })},
	},
	{
		{Name: "another camera in mid-call", Actions: []simpeer.Action{does(simpeer.Renew, media.Video, 9500*mil, 0)}},
		{Name: "another microphone in mid-call", Actions: []simpeer.Action{does(simpeer.Renew, media.Audio, 9500*mil, 0)}},
		{Name: "RTP timestamps wrap at 9.5 s", Clocks: simpeer.Clocks{WrapAt: 9500 * mil}},
		{Name: "sequence numbers wrap after 300 packets", Clocks: simpeer.Clocks{WrapAfter: 300}},
		{Name: "both wrap, 3 % loss, 3 % out of order", Clocks: simpeer.Clocks{WrapAt: 7300 * mil, WrapAfter: 250}, Network: ground(func(n *simpeer.Network) { n.Loss, n.Reorder = 0.03, 0.03 })},
	},
	{
		{Name: "three sizes, as browsers climb", Actions: []simpeer.Action{sized(0, 160, 90), sized(6500*mil, 240, 136), sized(10500*mil, 320, 180)}},
		{Name: "upright and back, as a phone is turned", Actions: []simpeer.Action{sized(8500*mil, 180, 320), sized(14500*mil, 320, 180)}},
		{Name: "microphone off for 4 s", Actions: []simpeer.Action{does(simpeer.Mute, media.Audio, 8500*mil, 4*sec)}},
		{Name: "camera off for 4 s", Actions: []simpeer.Action{does(simpeer.Mute, media.Video, 8500*mil, 4*sec)}},
		{Name: "both off for 3 s, twice", Actions: []simpeer.Action{does(simpeer.Mute, "", 6500*mil, 3*sec), does(simpeer.Mute, "", 13500*mil, 3*sec)}},
	},
	{
		{Name: "DTX", Actions: []simpeer.Action{does(simpeer.Doze, "", 4*sec, 16*sec)}},
		{Name: "DTX and 3 % loss", Network: ground(func(n *simpeer.Network) { n.Loss = 0.03 }), Actions: []simpeer.Action{does(simpeer.Doze, "", 4*sec, 16*sec)}},
		{Name: "replaceTrack(null) of the sound for 4 s", Actions: []simpeer.Action{does(simpeer.Detach, media.Audio, 8500*mil, 4*sec)}},
		{Name: "replaceTrack(null) of the picture for 4 s", Actions: []simpeer.Action{does(simpeer.Detach, media.Video, 8500*mil, 4*sec)}},
		{Name: "replaceTrack(null) of the sound for 1 s, twice", Actions: []simpeer.Action{does(simpeer.Detach, media.Audio, 6500*mil, sec), does(simpeer.Detach, media.Audio, 12500*mil, sec)}},
	},
	{
		{Name: "clocks stand still for 4 s", Actions: []simpeer.Action{does(simpeer.Freeze, "", 8500*mil, 4*sec)}},
		{Name: "RTP of the sound jumps 5 s on", Actions: []simpeer.Action{by(simpeer.Step, media.Audio, 9500*mil, 5*sec)}},
		{Name: "RTP of the sound jumps 3 s back", Actions: []simpeer.Action{by(simpeer.Step, media.Audio, 9500*mil, -3*sec)}},
		{Name: "RTP of the picture jumps 3 s back", Actions: []simpeer.Action{by(simpeer.Step, media.Video, 9500*mil, -3*sec)}},
		{Name: "clocks stand still while the wall clock is set and packets are lost", Network: ground(func(n *simpeer.Network) { n.Loss = 0.02 }), Actions: []simpeer.Action{
			does(simpeer.Freeze, media.Audio, 8500*mil, 3*sec), by(simpeer.SetWall, "", 9*sec, 2*sec),
		}},
	},
	{
		{Name: "recording paused for 4 s", Actions: []simpeer.Action{does(simpeer.Pause, "", 9500*mil, 4*sec)}},
		{Name: "paused by another, 3 % loss", Network: ground(func(n *simpeer.Network) { n.Loss = 0.03 })},
		{Name: "paused by another while away", Actions: []simpeer.Action{does(simpeer.Away, "", 10500*mil, 1500*mil)}},
		{Name: "paused by another, microphone 300 ppm fast", Clocks: simpeer.Clocks{AudioPPM: 300}},
		{Name: "paused by another while the sound is detached", Actions: []simpeer.Action{does(simpeer.Detach, media.Audio, 10500*mil, 5*sec)}},
	},
	{
		{Name: "sound begins 5 s late", AudioLate: 5 * sec},
		{Name: "picture begins 4 s late", VideoLate: 4 * sec},
		{Name: "away for 2 s", Actions: []simpeer.Action{does(simpeer.Away, "", 8500*mil, 2*sec)}},
		{Name: "away for 7 s", Network: delays(60 * mil), Clocks: simpeer.Clocks{WallError: 700 * mil}, Actions: []simpeer.Action{does(simpeer.Away, "", 7500*mil, 7*sec)}},
		{
			Name: "a bad day", Clocks: simpeer.Clocks{WallError: -9 * sec, AudioPPM: 150, VideoPPM: -150, WrapAt: 12 * sec, WrapAfter: 400},
			Network:      ground(func(n *simpeer.Network) { n.Loss, n.Reorder, n.Duplicate, n.Jitter = 0.03, 0.02, 0.02, 10*mil }),
			AudioReports: simpeer.Reports{First: 2300 * mil, Every: 4 * sec},
			Actions: []simpeer.Action{
				sized(0, 160, 90), sized(6500*mil, 320, 180), does(simpeer.Detach, media.Audio, 9500*mil, 2*sec), does(simpeer.Mute, media.Video, 14500*mil, 3*sec),
			},
		},
	},
}
