package testenv_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"consilium/internal/testenv"
)

// mediaPage is what a browser must manage before it can be a participant: a button that appears late, a button that only
// assistive technology can name, camera and microphone, a script that complains.
const mediaPage = `<!doctype html><title>Media</title>
<video id=v autoplay playsinline muted></video><div id=place></div><p id=said></p>
<script>
setTimeout(() => {
	const b = document.createElement('button')
	b.setAttribute('aria-label', 'Start the camera')
	b.textContent = '▶'
	b.onclick = async () => {
		try {
			v.srcObject = await navigator.mediaDevices.getUserMedia({audio: true, video: true})
			said.textContent = 'on with ' + v.srcObject.getTracks().map(t => t.kind + ' ' + t.readyState).sort().join(', ')
		} catch (e) {
			said.textContent = 'refused: ' + e.name
		}
	}
	place.append(b)
}, 300)
let frames = 0
v.requestVideoFrameCallback(function count() { frames++; v.requestVideoFrameCallback(count) })
console.error('the page complains')
</script>`

// inFull leaves a test out of the quick run: a browser takes seconds to start.
func inFull(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
}

func servePage(t *testing.T, page string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, page)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestBrowsersGiveAMovingPictureFromACameraThatIsNotThere(t *testing.T) {
	inFull(t)
	url := servePage(t, mediaPage)
	tests := []struct {
		name  string
		start func(t *testing.T) *testenv.Page
	}{
		{name: "chromium", start: func(t *testing.T) *testenv.Page {
			t.Helper()
			return testenv.NewChromium(t, testenv.ChromiumOptions{}).Page
		}},
		{name: "firefox", start: func(t *testing.T) *testenv.Page {
			t.Helper()
			return testenv.NewFirefox(t)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			page := tt.start(t)
			page.Navigate(url)
			page.Click("Start the camera")
			page.WaitText("on with audio live, video live")
			// Frames are counted one by one: currentTime runs on a dead stream too, and Firefox leaves a camera's
			// getVideoPlaybackQuality at 0.
			page.WaitFor("twenty frames were shown", "frames > 20")

			var title string
			page.Evaluate("Promise.resolve(document.title)", &title)
			if title != "Media" {
				t.Errorf("the title is %q, want %q", title, "Media")
			}
			if picture, err := png.DecodeConfig(bytes.NewReader(page.Screenshot())); err != nil || picture.Width < 800 {
				t.Errorf("the screenshot is %d wide (%v), want a desktop's", picture.Width, err)
			}
			if !slices.ContainsFunc(page.Console(), func(line string) bool {
				return strings.HasPrefix(line, "error: ") && strings.Contains(line, "the page complains")
			}) {
				t.Errorf("the console has no error that says that the page complains: %q", page.Console())
			}
		})
	}
}

func TestChromiumRefusesTheCameraWhenTold(t *testing.T) {
	inFull(t)
	page := testenv.NewChromium(t, testenv.ChromiumOptions{Deny: true}).Page
	page.Navigate(servePage(t, mediaPage))
	page.Click("Start the camera")
	page.WaitText("refused: NotAllowedError")
}

func TestChromiumShowsTheFileThatFeedsItsCamera(t *testing.T) {
	inFull(t)
	video := filepath.Join(t.TempDir(), "red.y4m")
	ffmpeg := testenv.Require(t, "ffmpeg")["ffmpeg"]
	out, err := exec.CommandContext(t.Context(), ffmpeg, "-loglevel", "error",
		"-f", "lavfi", "-i", "color=red:s=320x240:r=10:d=1", "-pix_fmt", "yuv420p", video).CombinedOutput()
	if err != nil {
		t.Fatalf("make a red film: %v\n%s", err, out)
	}
	page := testenv.NewChromium(t, testenv.ChromiumOptions{Video: video}).Page
	page.Navigate(servePage(t, mediaPage))
	page.Click("Start the camera")
	page.WaitFor("the picture is red", `(() => {
		const c = new OffscreenCanvas(1, 1).getContext('2d')
		c.drawImage(v, 0, 0, 1, 1)
		const [r, g, b] = c.getImageData(0, 0, 1, 1).data
		return r > 200 && g < 60 && b < 60
	})()`)
}

// consentPage has a button that only becomes usable after the box was ticked.
const consentPage = `<!doctype html><title>Consent</title>
<label><input type=checkbox id=box> I agree</label>
<button id=late disabled onclick="said.textContent = 'left'">Leave</button>
<a href="#there">Read the notice</a>
<p id=said></p>
<script>
box.onchange = () => setTimeout(() => { late.disabled = false }, 200)
</script>`

func TestClickDoesWhatAPersonCan(t *testing.T) {
	inFull(t)
	url := servePage(t, consentPage)
	for _, page := range []*testenv.Page{testenv.NewChromium(t, testenv.ChromiumOptions{Width: 390, Height: 844}).Page, testenv.NewFirefox(t)} {
		t.Run(page.Name, func(t *testing.T) {
			page.Navigate(url)
			page.ClickRole("checkbox", "I agree")
			page.Click("Leave") // waits until it is enabled
			page.WaitText("left")
			page.ClickRole("link", "Read the notice")
			page.WaitFor("the link was followed", "location.hash === '#there'")
		})
	}
}
