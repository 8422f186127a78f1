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
	Contact    string    // the e-mail; empty for an Unknown Visitor
	FirstName  string    // from the first token call for the contact that has one
	LastName   string    // likewise
	Identified bool      // HubSpot's badge: identified through the Visitor Identification API
	Started    time.Time // on the emulator's clock
	Messages   []string  // of the visitor, oldest first
}

// Inbox returns the chats in the order in which they began. A visitor who has not
// written anything has none.
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

// contactThread returns the key of a contact's thread. The caller holds s.mu.
func (s *Server) contactThread(email string) string {
	key := s.threadKey(email)
	s.openThread(key, email)
	return key
}

// findThread returns the thread that the path names. The caller holds s.mu.
func (s *Server) findThread(r *http.Request) *thread {
	if r.PathValue("portal") != PortalID {
		return nil
	}
	return s.threads[r.PathValue("utk")]
}

// serveThreadPage is the chat itself, which the widget shows in its iframe. Its
// address names the browser (messagesUtk), not the visitor: the page tells the
// chat whose thread it shows.
func (s *Server) serveThreadPage() http.HandlerFunc {
	serve := page("visitor.html")
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		delay, known := s.frames[r.PathValue("utk")]
		s.mu.Unlock()
		if !known || r.PathValue("portal") != PortalID {
			notFound(w, r)
			return
		}
		if !s.wait(r.Context(), delay) {
			panic(http.ErrAbortHandler)
		}
		serve(w, r)
	}
}

// serveTold keeps what a page told the chat in an iframe.
func (s *Server) serveTold(w http.ResponseWriter, r *http.Request) {
	var told struct {
		Type    string `json:"type"`
		Session string `json:"session"` // of the backend's answer
		Email   string `json:"email"`   // of the identification attributes
	}
	if err := readJSON(w, r, &told); err != nil {
		http.Error(w, "a message is expected", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	message := WidgetMessage{Time: s.now(), MessagesUtk: r.PathValue("utk"), Type: told.Type, Contact: told.Email}
	if t := s.threads[told.Session]; t != nil {
		message.Contact = t.contact
	}
	s.widgetMessages = append(s.widgetMessages, message)
	w.WriteHeader(http.StatusNoContent)
}

// serveIdentify tells a chat the thread of the visitor with that e-mail and
// token.
func (s *Server) serveIdentify(w http.ResponseWriter, r *http.Request) {
	var visitor struct {
		Email string `json:"email"`
		Token string `json:"token"`
	}
	if err := readJSON(w, r, &visitor); err != nil {
		http.Error(w, "an e-mail and a token are expected", http.StatusBadRequest)
		return
	}
	var answer struct {
		Session string `json:"session"`
	}
	s.mu.Lock()
	err := s.verify(visitor.Email, visitor.Token)
	if err == nil {
		answer.Session = s.contactThread(visitor.Email)
	}
	s.mu.Unlock()
	if err != nil {
		http.Error(w, "e-mail and token do not fit", http.StatusForbidden)
		return
	}
	writeJSON(w, answer)
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
	if err := readJSON(w, r, &message); err != nil || strings.TrimSpace(message.Text) == "" {
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

func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	return json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMessage)).Decode(v)
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
