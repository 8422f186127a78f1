package hubspottest

import (
	"bytes"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// backendPath is what the widget asks before it shows a chat.
const backendPath = "/livechat-public/v1/message/public"

// newestRelease is the release that the widget imitates by itself.
const newestRelease = "2026-05"

// WidgetLoad is a widget's question to its backend: which chat does this page's
// visitor get? A load and a refresh ask the same question.
type WidgetLoad struct {
	Time        time.Time // on the emulator's clock
	PortalID    string
	Email       string // empty if the page named none
	Token       string // the identification token, empty if the page had none
	MessagesUtk string // from the cookie, or made up by the widget just now
	PageURI     string
	Identified  bool // whether e-mail and token were accepted
	Status      int  // of the answer; 0 while there is none
}

// WidgetAnswer is how the backend treats a widget's question. The zero value is
// the normal answer: the chat, at once.
type WidgetAnswer struct {
	// Status is the answer's status, or 0 for the normal one. The widget shows
	// a chat for 200. It takes 204 and 404 to mean that the page has no chat,
	// and any other status as a failure, and gets stuck in both cases.
	Status int
	// Hide answers 200 without a chat, as for a visitor to whom no chatflow
	// applies: the widget shows nothing and does not get stuck.
	Hide bool
	// Delay is the time before the answer; with a negative one it never comes.
	Delay time.Duration
	// DisplayAfter is how long the chatflow lets its visitor read before it
	// shows the chat, in whole seconds.
	DisplayAfter time.Duration
	// FrameDelay is the time before the chat's iframe gets its document.
	FrameDelay time.Duration
}

// WidgetMessage is what a page told the chat in an iframe about its visitor, as
// the iframe received it.
type WidgetMessage struct {
	Time time.Time // on the emulator's clock
	// MessagesUtk identifies the iframe; the WidgetLoad with the same one says
	// which visitor it was opened for.
	MessagesUtk string
	// Type is "visitor-identification-attributes" for the e-mail and token that
	// the page gave, "widget-data" for the backend's answer to a load, and
	// "refresh-widget-data" for its answer to a refresh.
	Type string
	// Contact is the e-mail of the visitor that the message is about, or empty
	// if that is an anonymous one.
	Contact string
}

// WidgetLoads returns what widgets asked their backend, oldest first.
func (s *Server) WidgetLoads() []WidgetLoad {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.widgetLoads)
}

// WidgetMessages returns what pages told the chats in their iframes, oldest
// first. If an iframe was told about two visitors, it showed one of them the
// other's chat.
func (s *Server) WidgetMessages() []WidgetMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.widgetMessages)
}

// SetWidget makes answer decide what the widget's backend does with each
// question: by page, by visitor, or only for the first one. answer may be called
// concurrently. What it leaves at zero is decided by the page's query (see the
// package documentation), then by [Server.SetWidgetStatus] and
// [Server.SetWidgetDelay]. With a nil answer only those decide.
func (s *Server) SetWidget(answer func(WidgetLoad) WidgetAnswer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.widget = answer
}

// SetWidgetStatus sets the status with which the widget's backend answers (see
// [WidgetAnswer]); 0 means its normal answers.
func (s *Server) SetWidgetStatus(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.widgetUsual.Status = status
}

// SetWidgetDelay makes the widget's backend wait before it answers.
func (s *Server) SetWidgetDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.widgetUsual.Delay = d
}

// SetWidgetRelease chooses which release of HubSpot's widget is imitated on pages
// that load from now on: "2024-12", "2025-06" or "2026-05", the default. In the
// older two the stub's status has no pending, and refresh does not know
// setIdentification.
func (s *Server) SetWidgetRelease(release string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.widgetRelease = release
}

// serveLoader is the script that a page includes, /<portal id>.js.
func (s *Server) serveLoader() http.HandlerFunc {
	script := readAsset("loader.js")
	return func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("script") != PortalID+".js" {
			notFound(w, r)
			return
		}
		s.mu.Lock()
		release := s.widgetRelease
		s.mu.Unlock()
		writeAsset(w, "loader.js", bytes.ReplaceAll(script, []byte("{{release}}"), []byte(release)))
	}
}

// servePreflight lets pages of any origin send the widget's own header.
func servePreflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET")
	h.Set("Access-Control-Allow-Headers", "X-HubSpot-Messages-Uri")
	w.WriteHeader(http.StatusNoContent)
}

// widgetData tells a widget which chat to show, in the form of HubSpot's own
// backend, so that HubSpot's own widget understands it too.
type widgetData struct {
	Type           string        `json:"@type"`
	SessionID      string        `json:"sessionId,omitempty"` // the key of the visitor's thread
	Message        widgetMessage `json:"message"`
	GDPR           gdprOptions   `json:"gdprConsentOptions"`
	WidgetLocation string        `json:"widgetLocation"`
}

type gdprOptions struct {
	Prompt string `json:"cookieConsentPrompt"`
}

type widgetMessage struct {
	ClientTriggers clientTriggers `json:"clientTriggers"`
}

type clientTriggers struct {
	Delay timeDelay `json:"displayOnTimeDelay"`
}

type timeDelay struct {
	Enabled bool `json:"enabled"`
	Seconds int  `json:"timeDelaySeconds"`
}

// serveWidget is the widget's backend.
func (s *Server) serveWidget(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	load := WidgetLoad{
		PortalID:    q.Get("portalId"),
		Email:       q.Get("email"),
		Token:       q.Get("identificationToken"),
		MessagesUtk: q.Get("messagesUtk"),
		PageURI:     r.Header.Get("X-HubSpot-Messages-Uri"),
	}

	s.mu.Lock()
	load.Time = s.now()
	number := len(s.widgetLoads)
	s.widgetLoads = append(s.widgetLoads, load)
	decide, answer := s.widget, s.widgetUsual
	s.mu.Unlock()
	answer = pageAnswer(load.PageURI).or(answer)
	if decide != nil {
		answer = decide(load).or(answer)
	}
	if !s.wait(r.Context(), answer.Delay) {
		panic(http.ErrAbortHandler)
	}

	s.mu.Lock()
	status, session := s.admit(&load)
	if answer.Status != 0 && status == http.StatusOK {
		status = answer.Status
	}
	load.Status = status
	s.widgetLoads[number] = load
	if load.MessagesUtk != "" {
		s.frames[load.MessagesUtk] = answer.FrameDelay
	}
	s.mu.Unlock()

	h := w.Header()
	// With this the page's own scripts can see the status among the resources of
	// its performance timeline.
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "no-store")
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	data := widgetData{Type: "WIDGET", SessionID: session, GDPR: gdprOptions{"NEVER"}, WidgetLocation: "RIGHT_ALIGNED"}
	if answer.Hide {
		data.Type, data.SessionID = "HIDE_WIDGET", ""
	}
	if seconds := int(answer.DisplayAfter.Seconds()); seconds > 0 {
		data.Message.ClientTriggers.Delay = timeDelay{true, seconds}
	}
	writeJSON(w, data)
}

// or fills in what a leaves open.
func (a WidgetAnswer) or(b WidgetAnswer) WidgetAnswer {
	if a.Status == 0 {
		a.Status = b.Status
	}
	a.Hide = a.Hide || b.Hide
	if a.Delay == 0 {
		a.Delay = b.Delay
	}
	if a.DisplayAfter == 0 {
		a.DisplayAfter = b.DisplayAfter
	}
	if a.FrameDelay == 0 {
		a.FrameDelay = b.FrameDelay
	}
	return a
}

// pageAnswer is what the query of a page asks for, so that somebody who looks at
// a page can see how it copes.
func pageAnswer(uri string) (a WidgetAnswer) {
	u, err := url.Parse(uri)
	if err != nil {
		return a
	}
	q := u.Query()
	duration := func(name string) time.Duration {
		d, err := time.ParseDuration(q.Get(name))
		if err != nil {
			return 0
		}
		return d
	}
	// Not below 200: what is no final status is no answer.
	if status, err := strconv.Atoi(q.Get("hubspot-status")); err == nil && status >= 200 && status <= 599 {
		a.Status = status
	}
	a.Hide = q.Has("hubspot-hide")
	a.Delay = duration("hubspot-delay")
	a.DisplayAfter = duration("hubspot-display-after")
	a.FrameDelay = duration("hubspot-frame-delay")
	return a
}

var anonymousKey = regexp.MustCompile(`^[0-9a-f]{32}$`)

// admit decides what a widget gets: a status and the key of its visitor's
// thread. The caller holds s.mu.
func (s *Server) admit(load *WidgetLoad) (status int, session string) {
	if load.PortalID != PortalID {
		return http.StatusNotFound, ""
	}
	// An e-mail alone proves nothing: that visitor is anonymous, like one who
	// brings a token without an e-mail.
	if load.Email != "" && load.Token != "" {
		if s.verify(load.Email, load.Token) != nil {
			return http.StatusBadRequest, ""
		}
		load.Identified = true
		return http.StatusOK, s.contactThread(load.Email)
	}
	key := load.MessagesUtk
	if t := s.threads[key]; !anonymousKey.MatchString(key) || t != nil && t.contact != "" {
		key = strings.ReplaceAll(uuid(), "-", "")
	}
	s.openThread(key, "")
	return http.StatusOK, key
}
