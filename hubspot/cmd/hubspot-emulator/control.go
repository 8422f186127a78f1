package main

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/cmd/internal/faults"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// The control page needs no script: everything on it is a form.
//
//go:embed control.html
var controlHTML string

//go:embed control.css
var controlCSS []byte

var controlPage = template.Must(template.New("control").Parse(controlHTML))

// control is the emulator and the page that governs it.
type control struct {
	emulator *hubspottest.Server

	mu  sync.Mutex
	now settings
}

func newControl(emulator *hubspottest.Server, s settings) *control {
	c := &control{emulator: emulator}
	c.become(s)
	return c
}

// become changes how the emulator behaves.
func (c *control) become(s settings) {
	c.emulator.Advance(s.Ahead - c.now.Ahead)
	s.apply(c.emulator)
	c.now = s
}

// handler is the emulator with the control page.
func (c *control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", c.emulator.Handler())
	mux.HandleFunc("GET /control", c.show)
	mux.HandleFunc("GET /control/control.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(controlCSS) // the browser has left if this fails
	})
	// No page of another origin plays faults here.
	own := http.NewCrossOriginProtection()
	for form, change := range map[string]func(*settings, *http.Request) error{
		"calls": changeCalls, "account": changeAccount, "widget": changeWidget, "clock": changeClock,
		"usual": func(s *settings, _ *http.Request) error { *s = usual(); return nil },
	} {
		mux.Handle("POST /control/"+form, own.Handler(c.change(form, change)))
	}
	mux.Handle("POST /control/next", own.Handler(http.HandlerFunc(c.playNext)))
	return mux
}

// maxForm bounds what a form sends.
const maxForm = 4 << 10

// change is one form of the control page.
func (c *control) change(form string, change func(*settings, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		c.mu.Lock()
		s := c.now
		err := change(&s, r)
		if err == nil {
			err = s.check()
		}
		if err == nil {
			c.become(s)
		}
		c.mu.Unlock()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, "/control#"+form, http.StatusSeeOther)
	}
}

// playNext gives one token call a fault; none lets it pass in an outage.
func (c *control) playNext(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	name := r.PostFormValue("fault")
	f, ok := faults.Find(name)
	if !ok && name != "" {
		http.Error(w, "there is no such fault", http.StatusBadRequest)
		return
	}
	c.emulator.Queue(f.Fault)
	http.Redirect(w, r, "/control#calls", http.StatusSeeOther)
}

func changeCalls(s *settings, r *http.Request) (err error) {
	s.Fault = r.PostFormValue("fault")
	s.Latency, err = time.ParseDuration(r.PostFormValue("latency"))
	return err
}

func changeAccount(s *settings, r *http.Request) error {
	s.Plan, s.NoScope = r.PostFormValue("plan"), r.PostFormValue("scope") == ""
	return nil
}

func changeWidget(s *settings, r *http.Request) (err error) {
	s.Widget, s.Release = r.PostFormValue("answer"), r.PostFormValue("release")
	if s.WidgetDelay, err = time.ParseDuration(r.PostFormValue("delay")); err != nil {
		return err
	}
	s.DisplayAfter, err = time.ParseDuration(r.PostFormValue("display"))
	return err
}

// changeClock moves the clock on; "now" moves it back to this machine's.
func changeClock(s *settings, r *http.Request) error {
	by := r.PostFormValue("by")
	if by == "now" {
		s.Ahead = 0
		return nil
	}
	d, err := time.ParseDuration(by)
	s.Ahead += d
	return err
}

// choice is an option of a select element.
type choice struct{ Value, Text string }

// waits are durations to choose from, and the present one.
func waits(present time.Duration) (all []choice) {
	durations := []time.Duration{0, 300 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute}
	if !slices.Contains(durations, present) {
		durations = append(durations, present)
		slices.Sort(durations)
	}
	for _, d := range durations {
		text := d.String()
		if d == 0 {
			text = "at once"
		}
		all = append(all, choice{d.String(), text})
	}
	return all
}

// view is what the page shows.
type view struct {
	settings
	Told                   []string
	Portal                 string
	Faults                 []faults.Fault
	Plans, Releases        []string
	Answers                []choice
	Latencies              []choice
	Delays, DisplayDelays  []choice
	LatencyNow             string
	DelayNow, DisplayNow   string
	HubSpotTime            string
	Calls                  []seenCall
	Loads                  []seenLoad
	CallsInAll, LoadsInAll int
}

type seenCall struct {
	Time, Email, Answer string
	Well                bool
}

type seenLoad struct {
	Time, Who, Page, Answer string
	Well                    bool
}

// shown is how many of the last calls and questions the page shows.
const shown = 8

func (c *control) show(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	s := c.now
	c.mu.Unlock()
	v := view{
		settings: s, Told: s.told(), Portal: hubspottest.PortalID, Faults: faults.All(),
		Plans: []string{"free", "starter", "professional", "enterprise"}, Releases: releases, Answers: widgetAnswers,
		Latencies: waits(s.Latency), Delays: waits(s.WidgetDelay), DisplayDelays: waits(s.DisplayAfter),
		LatencyNow: s.Latency.String(), DelayNow: s.WidgetDelay.String(), DisplayNow: s.DisplayAfter.String(),
		HubSpotTime: time.Now().Add(s.Ahead).Format("Monday 2 January, 15:04"),
	}
	v.Calls, v.CallsInAll = lastCalls(c.emulator.Calls())
	v.Loads, v.LoadsInAll = lastLoads(c.emulator.WidgetLoads())
	var body bytes.Buffer
	if err := controlPage.Execute(&body, v); err != nil {
		http.Error(w, "the page cannot be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// What strangers wrote into e-mails and addresses never runs here.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	_, _ = body.WriteTo(w) // the browser has left if this fails
}

// lastCalls are the newest token calls, the newest first.
func lastCalls(calls []hubspottest.Call) (last []seenCall, inAll int) {
	for _, call := range slices.Backward(calls) {
		if len(last) == shown {
			break
		}
		last = append(last, seenCall{call.Time.Format(time.TimeOnly), call.Email, answerWords(call.Status), call.Status == http.StatusOK})
	}
	return last, len(calls)
}

// lastLoads are the newest questions of widgets, the newest first.
func lastLoads(loads []hubspottest.WidgetLoad) (last []seenLoad, inAll int) {
	for _, load := range slices.Backward(loads) {
		if len(last) == shown {
			break
		}
		who := "Unknown Visitor"
		if load.Email != "" {
			who = load.Email
		}
		last = append(last, seenLoad{load.Time.Format(time.TimeOnly), who, load.PageURI, answerWords(load.Status), load.Status == http.StatusOK})
	}
	return last, len(loads)
}

func answerWords(status int) string {
	if status == 0 {
		return "no answer"
	}
	text := http.StatusText(status)
	switch status {
	case 477:
		text = "Being moved"
	case 488:
		text = "Other data centre"
	}
	return strings.TrimSpace(strconv.Itoa(status) + " " + text)
}
