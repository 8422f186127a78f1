package hubspottest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// backendPath is what the widget asks before it shows a chat.
const backendPath = "/livechat-public/v1/message/public"

// WidgetLoad is one question of a widget to its backend: which chat does this
// page's visitor get?
type WidgetLoad struct {
	Time        time.Time // on the emulator's clock
	PortalID    string
	Email       string // empty if the page named none
	Token       string // the identification token, empty if the page had none
	MessagesUtk string // of an anonymous visitor who has been here before
	PageURI     string
	Identified  bool // e-mail and token were accepted
	Status      int  // of the answer; 0 while there is none
}

// WidgetLoads returns what widgets asked their backend, oldest first.
func (s *Server) WidgetLoads() []WidgetLoad {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.widgetLoads)
}

// SetWidgetStatus makes the widget's backend answer with status; 0 means its
// normal answers. The widget shows a chat for 200 and 304, stays silent for 204
// and 404, and is stuck after anything else.
func (s *Server) SetWidgetStatus(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.widgetStatus = status
}

// SetWidgetDelay makes the widget's backend wait before it answers.
func (s *Server) SetWidgetDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.widgetDelay = d
}

// serveLoader is the script that a page includes, /<portal id>.js.
func (s *Server) serveLoader(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("script") != PortalID+".js" {
		notFound(w, r)
		return
	}
	asset("loader.js")(w, r)
}

// servePreflight lets pages of any origin send the widget's own header.
func servePreflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET")
	h.Set("Access-Control-Allow-Headers", "X-HubSpot-Messages-Uri")
	w.WriteHeader(http.StatusNoContent)
}

// widgetAnswer tells a widget which thread to show.
type widgetAnswer struct {
	MessagesUtk string `json:"messagesUtk"` // of the thread, also an identified visitor's
	Identified  bool   `json:"identified"`
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
	number, delay := len(s.widgetLoads), s.widgetDelay
	s.widgetLoads = append(s.widgetLoads, load)
	s.mu.Unlock()
	if !s.wait(r.Context(), delay) {
		panic(http.ErrAbortHandler)
	}

	s.mu.Lock()
	status, answer := s.admit(&load)
	load.Status = status
	s.widgetLoads[number] = load
	s.mu.Unlock()

	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "X-HubSpot-Messages-Utk")
	h.Set("X-HubSpot-Messages-Utk", answer.MessagesUtk) // a 304 has no body to put it in
	h.Set("Cache-Control", "no-store")
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	writeJSON(w, answer)
}

var anonymousKey = regexp.MustCompile(`^[0-9a-f]{32}$`)

// admit decides what a widget gets. The caller holds s.mu.
func (s *Server) admit(load *WidgetLoad) (status int, answer widgetAnswer) {
	status = http.StatusOK
	if s.widgetStatus != 0 {
		status = s.widgetStatus
	}
	if load.PortalID != PortalID {
		return http.StatusNotFound, answer
	}
	// An e-mail alone proves nothing: that visitor is anonymous, like one who
	// brings a token without an e-mail.
	if load.Email != "" && load.Token != "" {
		if s.verify(load.Email, load.Token) != nil {
			return http.StatusBadRequest, answer
		}
		load.Identified = true
		key := s.threadKey(load.Email)
		s.openThread(key, load.Email)
		return status, widgetAnswer{MessagesUtk: key, Identified: true}
	}
	key := load.MessagesUtk
	if t := s.threads[key]; !anonymousKey.MatchString(key) || t != nil && t.contact != "" {
		key = strings.ReplaceAll(uuid(), "-", "")
	}
	s.openThread(key, "")
	return status, widgetAnswer{MessagesUtk: key}
}
