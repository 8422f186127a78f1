package hubspot_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// These tests let whole populations browse through whole days, in the time of a
// testing/synctest bubble: real middleware, snippet, token source and client,
// and the emulator behind an HTTP connection in memory.

// renderBudget is the promise: no page waits longer for HubSpot.
const renderBudget = 300 * time.Millisecond

// site is an application with the chat, in front of an emulated HubSpot.
type site struct {
	t       *testing.T
	hubspot *hubspottest.Server
	tokens  *hubspot.Tokens
	page    http.Handler
	log     *logLines

	views, identified, waited, late atomic.Int64
	slowest                         atomic.Int64
}

func newSite(t *testing.T, server *hubspottest.Server, cfg hubspot.TokensConfig, options ...hubspot.ClientOption) *site {
	t.Helper()
	s := &site{t: t, hubspot: server, log: &logLines{}}
	options = append([]hubspot.ClientOption{hubspot.WithHTTPClient(server.Client())}, options...)
	client, err := hubspot.NewClient(hubspot.Config{AccessToken: hubspottest.AccessToken}, options...)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Account = hubspottest.PortalID
	cfg.Logger = slog.New(s.log)
	s.tokens, err = hubspot.NewTokens(client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	identify := func(r *http.Request) (hubspot.Visitor, bool) { return middleware.VisitorFrom(r.Context()) }
	chat, err := middleware.New(s.tokens, identify,
		middleware.WithConfig(hubspot.Config{PortalID: hubspottest.PortalID}), middleware.WithLogger(cfg.Logger))
	if err != nil {
		t.Fatal(err)
	}
	s.page = chat.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = snippet.Render(r.Context(), w)
	}))
	return s
}

// simulation begins a test that lets a population browse, of full size with
// PROOF=1, which takes minutes under the race detector, and otherwise of a small
// one. Collections are made rare, since scanning so many stacks would take most of
// the time.
func simulation(t *testing.T, full, small int) int {
	old := debug.SetGCPercent(1000)
	t.Cleanup(func() { debug.SetGCPercent(old) })
	if os.Getenv("PROOF") != "" {
		return full
	}
	return small
}

// pageWriter is a ResponseWriter that is cheap enough for millions of pages.
type pageWriter struct {
	header http.Header
	body   strings.Builder
}

func (w *pageWriter) Header() http.Header         { return w.header }
func (w *pageWriter) Write(p []byte) (int, error) { return w.body.Write(p) }
func (w *pageWriter) WriteHeader(int)             {}

// identityIn finds the identity in a page.
func identityIn(page string) (email, token string, ok bool) {
	_, rest, ok := strings.Cut(page, `"identificationEmail":"`)
	email, rest, _ = strings.Cut(rest, `","identificationToken":"`)
	token, _, _ = strings.Cut(rest, `"`)
	return email, token, ok && email != ""
}

// view opens a page as v. It reports whether the page identifies v, and fails
// the test if it identifies somebody else or waits too long.
func (s *site) view(v hubspot.Visitor) bool {
	r := (&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Header: http.Header{"Sec-Fetch-Dest": {"document"}}}).
		WithContext(middleware.WithVisitor(s.t.Context(), v))
	w := &pageWriter{header: http.Header{}}
	began := time.Now()
	s.page.ServeHTTP(w, r)
	s.count(time.Since(began))
	email, token, ok := identityIn(w.body.String())
	if !ok {
		return false
	}
	if email != v.Email {
		s.t.Errorf("the page of %s identifies %s", v.Email, email)
	} else if err := s.hubspot.Verify(email, token); err != nil {
		s.t.Errorf("the page of %s has a token that HubSpot refuses: %v", v.Email, err)
	}
	s.identified.Add(1)
	return true
}

// look is a page view, eight times in ten without the page around the token: it
// keeps millions of them within minutes.
func (s *site) look(v hubspot.Visitor) bool {
	if rand.IntN(10) < 8 {
		return s.peek(v)
	}
	return s.view(v)
}

// peek asks for the token of a page that v opens, as the page would.
func (s *site) peek(v hubspot.Visitor) bool {
	ctx, cancel := context.WithTimeout(s.t.Context(), renderBudget)
	defer cancel()
	began := time.Now()
	token, err := s.tokens.Token(ctx, v)
	s.count(time.Since(began))
	if err != nil {
		return false
	}
	if token.Email() != v.Email {
		s.t.Errorf("%s got the token of %s", v.Email, token.Email())
	}
	s.identified.Add(1)
	return true
}

func (s *site) count(took time.Duration) {
	s.views.Add(1)
	if took > 0 {
		s.waited.Add(1)
	}
	if took > renderBudget {
		s.late.Add(1)
	}
	for old := s.slowest.Load(); int64(took) > old && !s.slowest.CompareAndSwap(old, int64(took)); old = s.slowest.Load() {
	}
}

func (s *site) report() string {
	return fmt.Sprintf("%d pages, %d identified, %d waited, slowest %v, %d over budget",
		s.views.Load(), s.identified.Load(), s.waited.Load(), time.Duration(s.slowest.Load()), s.late.Load())
}

func visitorNo(i int) hubspot.Visitor {
	return hubspot.Visitor{Email: fmt.Sprintf("visitor-%d@example.com", i), EmailVerified: true}
}

// each runs f for 0 … n-1, all at once, and waits for all.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// logLines keeps what an operator would read.
type logLines struct {
	mu    sync.Mutex
	lines []logLine
}

type logLine struct {
	time    time.Time
	level   slog.Level
	message string // with its attributes
}

func (l *logLines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (l *logLines) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *logLines) WithGroup(string) slog.Handler                    { return l }

func (l *logLines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	message := r.Message
	r.Attrs(func(a slog.Attr) bool {
		message += " " + a.String()
		return true
	})
	l.lines = append(l.lines, logLine{r.Time, r.Level, message})
	return nil
}

func (l *logLines) atLeast(level slog.Level) (lines []logLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if line.level >= level {
			lines = append(lines, line)
		}
	}
	return lines
}

// perEmail counts the successful token calls by address.
func perEmail(calls []hubspottest.Call) map[string]int {
	count := make(map[string]int)
	for _, c := range calls {
		if c.Status == http.StatusOK {
			count[c.Email]++
		}
	}
	return count
}

// peak is the largest number of calls within any window.
func peak(calls []hubspottest.Call, window time.Duration) (most int) {
	first := 0
	for i, c := range calls {
		for c.Time.Sub(calls[first].Time) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func callsBetween(calls []hubspottest.Call, from, to time.Time) (some []hubspottest.Call) {
	for _, c := range calls {
		if !c.Time.Before(from) && c.Time.Before(to) {
			some = append(some, c)
		}
	}
	return some
}

func TestHerdMakesOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := hubspottest.New()
		defer server.Close()
		server.Queue(hubspottest.Fault{Latency: 50 * time.Millisecond})
		s := newSite(t, server, hubspot.TokensConfig{})
		each(10_000, func(int) {
			if !s.view(visitorNo(0)) {
				t.Error("a page of the herd is anonymous")
			}
		})
		if got := len(server.Calls()); got != 1 {
			t.Errorf("10,000 requests at once made %d calls, want 1", got)
		}
		t.Logf("%d call; %s", len(server.Calls()), s.report())
	})
}

// TestStorm: everybody comes back at nine on Monday, after a deploy emptied the
// caches.
func TestStorm(t *testing.T) {
	visitors := simulation(t, 10_000, 600)
	const pace, burst = 10.0, 50
	synctest.Test(t, func(t *testing.T) {
		server := hubspottest.New()
		defer server.Close()
		server.SetRateLimit(190, 10*time.Second)
		s := newSite(t, server, hubspot.TokensConfig{CallsPerSecond: pace, Burst: burst})
		began := time.Now()
		var done atomic.Int64
		var last atomic.Int64 // when the last visitor was first identified
		// A goroutine browses for 20 visitors in turn, each of them every 5 seconds.
		const group = 20
		each(visitors/group, func(g int) {
			time.Sleep(rand.N(5 * time.Second))
			var known [group]bool
			for int(done.Load()) < visitors {
				for i := range group {
					next := time.Now().Add(5 * time.Second / group)
					visitor := g*group + i
					if s.look(visitorNo(visitor)) {
						if !known[i] {
							done.Add(1)
							last.Store(int64(time.Since(began)))
						}
						known[i] = true
					} else if known[i] {
						t.Errorf("visitor %d lost the identification", visitor)
					}
					time.Sleep(time.Until(next))
				}
			}
		})
		calls := server.Calls()
		limited := 0
		for _, c := range calls {
			if c.Status == http.StatusTooManyRequests {
				limited++
			}
		}
		minted := perEmail(calls)
		for email, n := range minted {
			if n > 1 {
				t.Errorf("%s was minted %d times", email, n)
			}
		}
		if len(minted) != visitors {
			t.Errorf("%d visitors were minted, want %d", len(minted), visitors)
		}
		if s.late.Load() > 0 {
			t.Errorf("%d pages took longer than the budget", s.late.Load())
		}
		if limited*100 >= len(calls) {
			t.Errorf("%d of %d calls were answered 429, want under 1 %%", limited, len(calls))
		}
		ideal := time.Duration(float64(visitors-burst) / pace * float64(time.Second))
		took := time.Duration(last.Load())
		// Who polls learns of the last token late, which weighs more where few do.
		want := 0.95
		if visitors < 10_000 {
			want = 0.9
		}
		if ratio := float64(ideal) / float64(took); ratio < want {
			t.Errorf("identification went at %.1f %% of the limiter's pace, want %.0f %%", ratio*100, want*100)
		}
		t.Logf("%d calls, %d answered 429, at most %d in 10 s; all identified after %v (%.1f %% of the pace); %s",
			len(calls), limited, peak(calls, 10*time.Second), took, 100*float64(ideal)/float64(took), s.report())
	})
}

// TestDays: one visitor looks at a page every minute for a week.
func TestDays(t *testing.T) {
	days := simulation(t, 7, 2)
	synctest.Test(t, func(t *testing.T) {
		server := hubspottest.New()
		defer server.Close()
		s := newSite(t, server, hubspot.TokensConfig{})
		server.SetOutage(&hubspottest.Fault{Latency: 100 * time.Millisecond}) // slow enough to be noticed
		for minute := range days * 24 * 60 {
			if !s.view(visitorNo(0)) {
				t.Fatalf("anonymous in minute %d", minute)
			}
			if minute > 0 && s.waited.Load() > 1 {
				t.Fatalf("the page of minute %d waited", minute)
			}
			time.Sleep(time.Minute)
		}
		calls := len(server.Calls())
		if perDay := float64(calls) / float64(days); perDay > 2.5 {
			t.Errorf("%.2f calls a day, want at most 2.5", perDay)
		}
		t.Logf("%d calls in %d days (%.2f a day); %s", calls, days, float64(calls)/float64(days), s.report())
	})
}

// TestOutage: HubSpot is down for three hours, in three ways, while most tokens
// come to the age of renewal; some visitors are new.
func TestOutage(t *testing.T) {
	visitors := simulation(t, 1_000, 20)
	newcomers := visitors / 10
	synctest.Test(t, func(t *testing.T) {
		server := hubspottest.New()
		defer server.Close()
		s := newSite(t, server, hubspot.TokensConfig{})
		known := make([]atomic.Bool, visitors)
		// browse lets visitors look at a page every so often, until the end.
		browse := func(from, to int, every, until time.Duration, check func(i int, identified bool)) {
			end := time.Now().Add(until)
			each(to-from, func(k int) {
				time.Sleep(rand.N(every))
				for time.Now().Before(end) {
					check(from+k, s.view(visitorNo(from+k)))
					time.Sleep(every)
				}
			})
		}
		mustStay := func(i int, identified bool) {
			if !identified && known[i].Load() {
				t.Errorf("visitor %d lost the identification", i)
			}
			known[i].Store(identified)
		}
		browse(newcomers, visitors, 5*time.Second, 3*time.Minute, mustStay)
		for i := newcomers; i < visitors; i++ {
			if !known[i].Load() {
				t.Fatalf("visitor %d is not identified before the outage", i)
			}
		}
		time.Sleep(8*time.Hour + 12*time.Minute)

		down := time.Now()
		for _, trouble := range []hubspottest.Fault{hubspottest.FaultUnavailable(), {Hang: true}, {Reset: true}} {
			server.SetOutage(&trouble)
			browse(0, visitors, 30*time.Second, time.Hour, mustStay)
		}
		up := time.Now()
		during := callsBetween(server.Calls(), down, up)
		if limit := int(up.Sub(down) / (10 * time.Second)); len(during) >= limit {
			t.Errorf("%d calls during the outage, want fewer than %d (one in 10 s)", len(during), limit)
		}

		server.SetOutage(nil)
		var recovered atomic.Int64
		browse(0, visitors, 5*time.Second, 2*time.Minute, func(i int, identified bool) {
			mustStay(i, identified)
			if identified && i < newcomers {
				since := int64(time.Since(up))
				for old := recovered.Load(); since > old && time.Since(up) <= time.Minute; old = recovered.Load() {
					if recovered.CompareAndSwap(old, since) {
						break
					}
				}
			}
			if !identified && time.Since(up) > time.Minute {
				t.Errorf("visitor %d is anonymous %v after the recovery", i, time.Since(up))
			}
		})
		after := callsBetween(server.Calls(), up, time.Now())
		if most := peak(after, time.Second); most > 15 {
			t.Errorf("the recovery came with a spike of %d calls in a second, want at most 15", most)
		}
		if s.late.Load() > 0 {
			t.Errorf("%d pages took longer than the budget", s.late.Load())
		}
		warnings := len(s.log.atLeast(slog.LevelWarn))
		if minutes := int(up.Sub(down) / time.Minute); warnings > minutes+1 {
			t.Errorf("%d warnings in %d minutes", warnings, minutes)
		}
		t.Logf("%d calls during 3 h of outage (one in %v), %d warnings; recovery: at most %d calls a second; %s",
			len(during), (up.Sub(down) / time.Duration(len(during))).Round(time.Second), warnings, peak(after, time.Second), s.report())
	})
}

// TestAccountError: the access token is revoked, and replaced after an hour.
func TestAccountError(t *testing.T) {
	visitors := simulation(t, 200, 30)
	synctest.Test(t, func(t *testing.T) {
		server := hubspottest.New()
		defer server.Close()
		const replacement = "pat-na1-replacement"
		server.SetAccessToken(replacement)
		var credential atomic.Value
		credential.Store("pat-na1-revoked")
		s := newSite(t, server, hubspot.TokensConfig{},
			hubspot.WithCredential(func(context.Context) (string, error) { return credential.Load().(string), nil }))
		began := time.Now()
		replaced := began.Add(time.Hour)
		each(visitors, func(i int) {
			time.Sleep(rand.N(20 * time.Second))
			for time.Now().Before(replaced) {
				s.view(visitorNo(i))
				time.Sleep(20 * time.Second)
			}
		})
		time.Sleep(time.Until(replaced))
		credential.Store(replacement)
		refused := len(server.Calls())
		if refused > 61 {
			t.Errorf("%d calls in an hour, want at most 1 a minute", refused)
		}
		lines := s.log.atLeast(slog.LevelError)
		for i := 1; i < len(lines); i++ {
			if gap := lines[i].time.Sub(lines[i-1].time); gap < time.Minute {
				t.Errorf("two Error lines within %v", gap)
			}
		}
		if len(lines) == 0 || !strings.Contains(lines[0].message, "HUBSPOT_ACCESS_TOKEN") {
			t.Errorf("the operator is not told which variable to check: %v", lines)
		}
		var first atomic.Int64
		each(visitors, func(i int) {
			time.Sleep(rand.N(5 * time.Second))
			for !s.view(visitorNo(i)) {
				time.Sleep(5 * time.Second)
			}
			first.CompareAndSwap(0, int64(time.Since(replaced)))
		})
		back := time.Duration(first.Load())
		if back > time.Minute {
			t.Errorf("identification was back after %v, want 60 s", back)
		}
		if s.late.Load() > 0 || s.waited.Load() > 0 && time.Duration(s.slowest.Load()) > renderBudget {
			t.Errorf("pages were affected: %s", s.report())
		}
		t.Logf("%d calls and %d Error lines in an hour; identification back after %v; %s", refused, len(lines), back, s.report())
	})
}

func TestFirstCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := hubspottest.New()
		defer server.Close()
		s := newSite(t, server, hubspot.TokensConfig{})
		server.Queue(hubspottest.Fault{Latency: time.Second})
		ctx, leave := context.WithCancel(t.Context())
		firstErr := make(chan error, 1)
		go func() {
			_, err := s.tokens.Token(ctx, visitorNo(0))
			firstErr <- err
		}()
		synctest.Wait()
		second := make(chan error, 1)
		go func() {
			_, err := s.tokens.Token(t.Context(), visitorNo(0))
			second <- err
		}()
		synctest.Wait()
		leave()
		if err := <-firstErr; !errors.Is(err, context.Canceled) {
			t.Errorf("the caller that left got %v, want its context's error", err)
		}
		if err := <-second; err != nil {
			t.Errorf("the other caller got %v", err)
		}
		if _, err := s.tokens.Token(t.Context(), visitorNo(0)); err != nil {
			t.Errorf("the token was not kept: %v", err)
		}
		if got := len(server.Calls()); got != 1 {
			t.Errorf("%d calls, want 1", got)
		}
	})
}

// creatorFunc adapts a function, as an application may adapt another SDK.
type creatorFunc func(context.Context, hubspot.Visitor) (hubspot.Token, error)

func (f creatorFunc) CreateToken(ctx context.Context, v hubspot.Visitor) (hubspot.Token, error) {
	return f(ctx, v)
}

func TestCreatorThatDoesNotReturn(t *testing.T) {
	for name, misbehave := range map[string]func(){
		"panic":  func() { panic("about visitor-0@example.com") },
		"Goexit": runtime.Goexit,
		"hang":   func() { time.Sleep(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				creator := creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
					if calls.Add(1) == 1 {
						misbehave()
					}
					return hubspot.NewToken("token-of-"+v.Email, v.Email, time.Now()), nil
				})
				log := &logLines{}
				tokens, err := hubspot.NewTokens(creator, hubspot.TokensConfig{Logger: slog.New(log)})
				if err != nil {
					t.Fatal(err)
				}
				each(10, func(int) {
					if _, err := tokens.Token(t.Context(), visitorNo(0)); err == nil {
						t.Error("a waiter got no error")
					} else if strings.Contains(err.Error(), "visitor-0@") {
						t.Errorf("the error quotes the visitor: %v", err)
					}
				})
				time.Sleep(time.Hour) // the failure is remembered for 2 to 10 seconds
				if _, err := tokens.Token(t.Context(), visitorNo(0)); err != nil {
					t.Errorf("the next call: %v", err)
				}
				if lines := log.atLeast(slog.LevelWarn); len(lines) == 0 || strings.Contains(fmt.Sprint(lines), "visitor-0@") {
					t.Errorf("the log is empty or quotes the visitor: %v", lines)
				}
			})
		})
	}
}

func TestInvalidateBeatsCallInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := hubspottest.New()
		defer server.Close()
		s := newSite(t, server, hubspot.TokensConfig{})
		server.Queue(hubspottest.Fault{Latency: time.Second})
		early := make(chan hubspot.Token, 1)
		go func() {
			token, err := s.tokens.Token(t.Context(), visitorNo(0))
			if err != nil {
				t.Error(err)
			}
			early <- token
		}()
		synctest.Wait()
		s.tokens.Invalidate(t.Context(), visitorNo(0))
		late, err := s.tokens.Token(t.Context(), visitorNo(0))
		if err != nil {
			t.Fatal(err)
		}
		old := <-early // lands a second later, and must not displace the new one
		kept, err := s.tokens.Token(t.Context(), visitorNo(0))
		if err != nil {
			t.Fatal(err)
		}
		if late.Reveal() == old.Reveal() {
			t.Error("the call after Invalidate got the token from before")
		}
		if kept.Reveal() != late.Reveal() {
			t.Error("the cache does not hold the new token")
		}
		if got := len(server.Calls()); got != 2 {
			t.Errorf("%d calls, want 2", got)
		}
	})
}

// TestBounds sends a million visitors through a cache for 50,000.
func TestBounds(t *testing.T) {
	visitors := simulation(t, 1_000_000, 10_000)
	limit := visitors / 20
	value := strings.Repeat("x", 400) // as long as HubSpot's tokens are
	creator := creatorFunc(func(_ context.Context, v hubspot.Visitor) (hubspot.Token, error) {
		return hubspot.NewToken(value+v.Email, v.Email, time.Now()), nil
	})
	tokens, err := hubspot.NewTokens(creator, hubspot.TokensConfig{CallsPerSecond: 1e9, Burst: 1e9, MaxVisitors: limit})
	if err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	most := 0
	const workers = 8
	each(workers, func(w int) {
		for i := w; i < visitors; i += workers {
			if _, err := tokens.Token(t.Context(), visitorNo(i)); err != nil {
				t.Error(err)
				return
			}
			if w == 0 && i%100_000 == 0 {
				most = max(most, tokens.Stats().Entries)
			}
		}
	})
	most = max(most, tokens.Stats().Entries)
	if most > limit {
		t.Errorf("%d entries, want at most %d", most, limit)
	}
	if most < limit*9/10 {
		t.Errorf("only %d entries are kept of %d", most, limit)
	}
	stats := tokens.Stats()
	t.Logf("%d visitors: at most %d entries, %d evictions, heap %.1f MiB (%d bytes a visitor)",
		visitors, most, stats.Evictions, float64(heap()-before)/(1<<20), (heap()-before)/uint64(stats.Entries))
	runtime.KeepAlive(tokens)
}

// TestWrongIdentity mixes a million page views of 2,000 visitors with faults,
// invalidations, changed names and renewals. A look fails the test when it shows
// somebody else's token.
func TestWrongIdentity(t *testing.T) {
	requests := simulation(t, 1_000_000, 20_000)
	visitors := requests / 500
	synctest.Test(t, func(t *testing.T) {
		server := hubspottest.New()
		defer server.Close()
		server.SetRateLimit(0, 0)
		s := newSite(t, server, hubspot.TokensConfig{CallsPerSecond: 200, Burst: 200})
		faults := []hubspottest.Fault{
			{}, {}, {}, {Latency: 400 * time.Millisecond}, {Latency: 2 * time.Second}, {Reset: true}, {Body: "garbage"},
			{Body: `{"token":""}`}, {Oversize: 100 << 10, Body: "{}"}, hubspottest.FaultUnavailable(), hubspottest.FaultServerError(),
			{Drip: time.Millisecond}, {Status: http.StatusBadRequest, Body: `{"category":"VALIDATION_ERROR"}`},
		}
		each(100, func(worker int) {
			r := rand.New(rand.NewPCG(1, uint64(worker)))
			pause := 12 * time.Second * 1_000_000 / time.Duration(requests) // a day in all: every token is renewed
			for range requests / 100 {
				v := visitorNo(r.IntN(visitors))
				switch r.IntN(200) {
				case 0:
					s.tokens.Invalidate(t.Context(), v)
				case 1:
					v.FirstName = "Renamed"
				case 2, 3:
					server.Queue(faults[r.IntN(len(faults))])
				}
				s.look(v)
				time.Sleep(rand.N(pause))
			}
		})
		stats := s.tokens.Stats()
		if s.late.Load() > 0 {
			t.Errorf("%d pages took longer than the budget", s.late.Load())
		}
		if stats.Renewed == 0 || stats.FailedOutage == 0 || stats.FailedVisitor == 0 {
			t.Errorf("the test did not reach what it is for: %+v", stats)
		}
		t.Logf("%s; %+v", s.report(), stats)
	})
}
