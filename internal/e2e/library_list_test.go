package e2e

import (
	"context"
	"flag"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/jackc/pgx/v5"

	"consilium/internal/testenv"
)

var libraryRows = flag.Int("library-rows", 3000, "consultations in TestTheLibraryOfMany; figures are wanted of 100000")

// fillLibrary puts n consultations of two people each into lists, as if they had been held one every five minutes. One of them is
// Zdenka Weiss's.
func fillLibrary(t *testing.T, dsn string, n int) {
	t.Helper()
	ctx := context.Background()
	db, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(ctx)
	const id = `('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid`
	const title = `'Visit ' || n`
	const patient = `case when n = 77 then 'Zdenka Weiss' else 'Patient ' || (n * 7919 % 100000) end`
	for _, statement := range []string{
		`insert into directory.consultations (id, title, external_ref, language, time_zone, created_at, search)
			select ` + id + `, ` + title + `, 'C-' || n, 'en', 'UTC', now(), directory.fold(` + title + ` || E'\nDr Ada Novak\n' || ` + patient + `)
			from generate_series(1, $1) n`,
		`insert into directory.participants (consultation, id, name, created_at)
			select ` + id + `, ('00000000-0000-7000-9000-' || lpad(to_hex(2 * n + k), 12, '0'))::uuid,
				case k when 0 then 'Dr Ada Novak' else ` + patient + ` end, now()
			from generate_series(1, $1) n, generate_series(0, 1) k`,
		`insert into readmodel.participants (consultation, id, role, records, consent, present, invited_at, left_reason)
			select ` + id + `, '00000000-0000-7000-9000-' || lpad(to_hex(2 * n + k), 12, '0'),
				case k when 0 then 'clinician' else 'patient' end, '{}', 'given', false, now(), ''
			from generate_series(1, $1) n, generate_series(0, 1) k`,
		`insert into readmodel.consultations (id, seq, state, policy, layout, language, paused, scheduled_at, started_at, ended_at, end_reason,
				participants, present, segments_stored, bytes, pending, missing, problems, consents, expected_ms, recorded_ms)
			select ` + id + `, 90, 'completed', 'required', 'grid', 'en', false, at, at, at + interval '20 minutes', 'closed',
				2, 0, 4, 150000000 + n, '{}', '{}', case when n % 9 = 0 then '{gap}' else '{}' end::text[], '{given}', 4800000, 4795000
			from generate_series(1, $1) n, lateral (select now() - n * interval '5 minutes' as at) when_held`,
	} {
		if _, err := db.Exec(ctx, statement, n); err != nil {
			t.Fatalf("fill lists: %v", err)
		}
	}
	for _, table := range []string{"directory.consultations", "directory.participants", "readmodel.participants", "readmodel.consultations"} {
		if _, err := db.Exec(ctx, "analyze "+table); err != nil {
			t.Fatal(err)
		}
	}
}

// frameCounter is what a page needs to say how evenly it draws while something moves it at every frame.
const frameCounter = `window.count = async (ms, move) => {
	const took = [];
	let last, most = 0, unread = 0;
	const begin = performance.now();
	await new Promise((done) => {
		const frame = (now) => {
			if (last !== undefined) took.push(now - last);
			last = now;
			move((now - begin) / ms);
			most = Math.max(most, document.querySelectorAll('.virtual li').length);
			if (document.querySelector('.virtual li.unread')) unread++;
			now - begin < ms ? requestAnimationFrame(frame) : done();
		};
		requestAnimationFrame(frame);
	});
	took.sort((a, b) => a - b);
	const dropped = took.reduce((sum, one) => sum + Math.max(0, Math.round(one / 16.667) - 1), 0);
	return { frames: took.length, dropped, fps: 1000 * took.length / took.reduce((a, b) => a + b, 0),
		p95: took[Math.floor(took.length * 0.95)], longest: took.at(-1), most, unread };
}, 0`

// evenness is what frameCounter found.
type evenness struct {
	Frames, Dropped int
	FPS             float64
	P95, Longest    float64 // milliseconds
	Most            int     // rows in the document at once
	Unread          int     // frames with a row that was not read yet
}

func (e evenness) print(t *testing.T, name string) {
	t.Helper()
	t.Logf("%s_fps=%.1f %s_frames=%d %s_dropped=%d %s_p95_ms=%.1f %s_longest_ms=%.0f %s_rows_in_document=%d %s_unread=%d",
		name, e.FPS, name, e.Frames, name, e.Dropped, name, e.P95, name, e.Longest, name, e.Most, name, e.Unread)
}

// A compliance officer finds one consultation among many by a few letters, without a mouse, and scrolls through all of them;
// one that is scheduled meanwhile appears by itself.
func TestTheLibraryOfMany(t *testing.T) {
	dsn := testenv.Postgres(t)
	p := testenv.StartProduct(t, testenv.ProductOptions{NoStitcher: true, Env: []string{"CONSILIUM_DATABASE_URL=" + dsn}})
	fillLibrary(t, dsn, *libraryRows)
	tab := testenv.NewChromium(t, testenv.ChromiumOptions{})
	tab.Navigate(p.URL + "/consultations#token=" + p.Command("token", "--role", "compliance"))
	tab.WaitText("Visit 1")
	press := func(keys string) {
		t.Helper()
		if err := chromedp.Do(tab.Context, chromedp.KeyEvent(keys)); err != nil {
			t.Fatal(err)
		}
	}
	tab.Evaluate(frameCounter, nil)

	// To the end: the list grows as somebody scrolls.
	tab.WaitFor("the last one is there", fmt.Sprintf(`(() => {
		window.scrollTo(0, document.body.scrollHeight);
		return [...document.querySelectorAll('.consultations a')].some((a) => a.innerText === 'Visit %d');
	})()`, *libraryRows))
	var count string
	tab.Evaluate(`document.querySelector('[data-testid=count]').innerText`, &count)
	t.Logf("the list says: %s", count)
	var got evenness
	tab.Evaluate(`window.count(3000, (share) => window.scrollTo(0, document.body.scrollHeight * (0.2 + 0.02 * share)))`, &got)
	got.print(t, "scroll")
	if got.Most > 150 {
		t.Errorf("%d rows were in the document at once", got.Most)
	}
	if got.Frames < 30 {
		t.Errorf("in three seconds of scrolling there were %d frames", got.Frames)
	}

	// Five keystrokes and two more, none with a mouse.
	tab.Evaluate(`window.scrollTo(0, 0), document.querySelector('input[type=search]').focus()`, nil)
	press("zden")
	tab.WaitFor("one is left after four letters", `document.querySelectorAll('[data-testid=consultation]').length === 1`)
	tab.WaitText("Zdenka Weiss")
	var address string
	tab.Evaluate(`location.href`, &address)
	if want := p.URL + "/consultations"; address != want {
		t.Errorf("the address is %q while a name is searched, want %q", address, want)
	}
	press(kb.ArrowDown)
	tab.WaitFor("the row has the focus", `document.activeElement?.innerText === 'Visit 77'`)
	shot(t, tab.Page, "library-search")
	press("\r")
	tab.WaitFor("its page is open", `location.pathname.endsWith('00000000004d')`)
	tab.Evaluate(`history.back()`, nil)
	tab.WaitFor("the search is as it was", `document.querySelector('input[type=search]')?.value === 'zden'`)
	tab.Click("Clear")

	// What happens now is told by the server; nobody loads the page again.
	// Whoever has a row under their fingers keeps it.
	service := as(t, p, "service")
	tab.WaitFor("the newest are there again", `document.querySelectorAll('.consultations a')[2]?.innerText === 'Visit 3'`)
	tab.Evaluate(`document.querySelectorAll('.consultations a')[2].focus()`, nil)
	service.schedule("Just now", "required", person{Name: "Dr Eva Kral", Role: "clinician"})
	tab.WaitFor("the new one stands on top", `document.querySelector('.consultations a')?.innerText === 'Just now'`)
	tab.WaitFor("the focus has moved along with its row", `document.activeElement?.innerText === 'Visit 3' && document.activeElement.dataset.index === '3'`)
	tab.Evaluate(`(() => {
		const state = [...document.querySelectorAll('.filters select')][0];
		state.value = 'scheduled';
		state.dispatchEvent(new Event('change', { bubbles: true }));
	})()`, nil)
	tab.WaitFor("only what is planned is left", `document.querySelectorAll('[data-testid=consultation]').length === 1
		&& location.search === '?state=scheduled'`)
	shot(t, tab.Page, "library-filter")
}
