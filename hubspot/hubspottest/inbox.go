package hubspottest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Chat is a conversation in the account's inbox.
type Chat struct {
	Contact    string // the e-mail; empty for an Unknown Visitor
	FirstName  string // as the first token call for the contact that named it said
	LastName   string
	Identified bool      // HubSpot's badge: identified through the Visitor Identification API
	Started    time.Time // on the emulator's clock
	Messages   []string  // of the visitor, oldest first
}

// Inbox returns the chats, the one that began first comes first. A visitor who
// has not written anything has none.
func (s *Server) Inbox() []Chat {
	s.mu.Lock()
	defer s.mu.Unlock()
	chats := make([]Chat, len(s.started))
	for i, t := range s.started {
		chats[i] = Chat{
			Contact:    t.contact,
			FirstName:  s.names[t.contact].first,
			LastName:   s.names[t.contact].last,
			Identified: t.contact != "",
			Started:    t.begun,
			Messages:   slices.Clone(t.messages),
		}
	}
	return chats
}

// thread is what one visitor wrote: a contact, or a browser that is nobody's.
type thread struct {
	contact  string // empty for an anonymous visitor
	begun    time.Time
	messages []string
}

type name struct{ first, last string }

// learnName keeps a contact's name unless it is known. The caller holds s.mu.
func (s *Server) learnName(in input) {
	n := s.names[in.Email]
	if n.first == "" {
		n.first = in.FirstName
	}
	if n.last == "" {
		n.last = in.LastName
	}
	if n != (name{}) {
		s.names[in.Email] = n
	}
}

// openThread makes the thread of a visitor unless there is one. The caller
// holds s.mu.
func (s *Server) openThread(key, contact string) {
	if s.threads[key] == nil {
		s.threads[key] = &thread{contact: contact}
	}
}

// findThread returns the thread that the path names. The caller holds s.mu.
func (s *Server) findThread(r *http.Request) *thread {
	if r.PathValue("portal") != PortalID {
		return nil
	}
	return s.threads[r.PathValue("utk")]
}

// serveThreadPage is the chat itself, which the widget shows in its iframe.
func (s *Server) serveThreadPage(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	known := s.findThread(r) != nil
	s.mu.Unlock()
	if !known {
		notFound(w, r)
		return
	}
	page("visitor.html")(w, r)
}

// visitorThread is what the chat shows to its visitor.
type visitorThread struct {
	Identified bool     `json:"identified"`
	Messages   []string `json:"messages"`
}

func (s *Server) serveMessages(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	t := s.findThread(r)
	var view visitorThread
	if t != nil {
		view = visitorThread{t.contact != "", append([]string{}, t.messages...)}
	}
	s.mu.Unlock()
	if t == nil {
		notFound(w, r)
		return
	}
	writeJSON(w, view)
}

// maxMessage bounds what a visitor writes at once.
const maxMessage = 64 << 10

func (s *Server) serveSend(w http.ResponseWriter, r *http.Request) {
	var message struct {
		Text string `json:"text"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMessage)).Decode(&message)
	if err != nil || strings.TrimSpace(message.Text) == "" {
		http.Error(w, "a message is expected", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	t := s.findThread(r)
	if t != nil {
		if len(t.messages) == 0 {
			t.begun = s.now()
			s.started = append(s.started, t)
		}
		t.messages = append(t.messages, message.Text)
	}
	s.mu.Unlock()
	if t == nil {
		notFound(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// inboxEntry is a chat in /inbox.json.
type inboxEntry struct {
	Contact    *string  `json:"contact"` // null for an Unknown Visitor
	Name       string   `json:"name"`
	Identified bool     `json:"identified"`
	Started    string   `json:"started"`
	Messages   []string `json:"messages"`
}

func (s *Server) serveInbox(w http.ResponseWriter, _ *http.Request) {
	entries := []inboxEntry{}
	for _, c := range s.Inbox() {
		e := inboxEntry{
			Name:       strings.TrimSpace(c.FirstName + " " + c.LastName),
			Identified: c.Identified,
			Started:    c.Started.Format(time.RFC3339),
			Messages:   c.Messages,
		}
		if c.Contact != "" {
			e.Contact = &c.Contact
		}
		entries = append(entries, e)
	}
	writeJSON(w, entries)
}

// callEntry is a token call in /calls.json.
type callEntry struct {
	Path   string `json:"path"`
	Email  string `json:"email"`
	Status int    `json:"status"`
}

func (s *Server) serveCalls(w http.ResponseWriter, _ *http.Request) {
	entries := []callEntry{}
	for _, c := range s.Calls() {
		entries = append(entries, callEntry{c.Path, c.Email, c.Status})
	}
	writeJSON(w, entries)
}

func writeJSON(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // only our own types come here, and they marshal
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body)
}
