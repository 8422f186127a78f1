package hubspottest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// AccessToken is the access token that a new [Server] accepts. It looks like a
// private app's token but is of no use at the real HubSpot. Do not assign to it.
var AccessToken = hubspot.NewSecret("pat-na1-00000000-0000-4000-8000-00000000e57a")

// PortalID is the only account (portal) that a [Server] knows.
const PortalID = "12345678"

// tokenScope is what the token call requires, see Server.SetScopes.
const tokenScope = "conversations.visitor_identification.tokens.create"

// Plan is the subscription of the emulated account.
type Plan int

// The plans. Only Professional and Enterprise include visitor identification: on
// the others the token call is answered 403.
const (
	Free Plan = iota
	Starter
	Professional
	Enterprise
)

// Server is an emulated HubSpot account. Create one with [New] or [NewServer].
// All methods may be called concurrently.
type Server struct {
	// URL is the base URL of a listening server ("http://127.0.0.1:1234"), set
	// by [NewServer] and empty otherwise.
	URL string

	handler http.Handler
	key     []byte // signs identification tokens and thread keys

	mu             sync.Mutex
	closed         bool
	closers        []func()
	waiting        map[*context.CancelFunc]struct{}
	ahead          time.Duration // of time.Now, see Advance
	accessToken    string
	scopes         []string
	plan           Plan
	limits         limits
	faults         []Fault
	outage         *Fault
	calls          []Call
	widget         func(WidgetLoad) WidgetAnswer // nil unless SetWidget was called
	widgetUsual    WidgetAnswer
	widgetRelease  string
	widgetLoads    []WidgetLoad
	widgetMessages []WidgetMessage
	frames         map[string]time.Duration // delay of the chat's document, by messagesUtk
	names          map[string]name          // of contacts, by e-mail, as the token call told
	threads        map[string]*thread       // by thread key (messagesUtk of anonymous visitors)
	started        []*thread                // threads with a message, oldest first
}

// New returns a server that does not listen: mount its [Server.Handler] anywhere,
// or call it through its in-memory [Server.Client]. Call [Server.Close] when
// done.
func New() *Server {
	s := &Server{
		key:           make([]byte, 32),
		waiting:       map[*context.CancelFunc]struct{}{},
		accessToken:   AccessToken.Reveal(),
		scopes:        []string{tokenScope},
		plan:          Professional,
		limits:        defaultLimits(),
		names:         map[string]name{},
		threads:       map[string]*thread{},
		frames:        map[string]time.Duration{},
		widgetRelease: newestRelease,
	}
	rand.Read(s.key) // never fails
	s.handler = s.routes()
	return s
}

// NewServer returns a server that listens on a loopback port (see [Server.URL])
// and is closed when the test ends.
//
// It does real network I/O. Inside a testing/synctest bubble use [New] and
// [Server.Client].
func NewServer(t testing.TB) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("hubspottest: listen on a loopback port: %v", err)
	}
	s := New()
	s.URL = "http://" + listener.Addr().String()
	server := &http.Server{Handler: s.handler}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = server.Serve(listener) // always http.ErrServerClosed
	}()
	s.onClose(func() {
		_ = server.Close()
		<-stopped
	})
	t.Cleanup(s.Close)
	return s
}

// Env returns the environment variables, in the form of [os.Environ], that make
// an application use the emulator at url as HubSpot: HUBSPOT_ACCESS_TOKEN,
// HUBSPOT_PORTAL_ID, HUBSPOT_API_URL and HUBSPOT_LOADER_URL.
func Env(url string) []string {
	return []string{
		"HUBSPOT_ACCESS_TOKEN=" + AccessToken.Reveal(),
		"HUBSPOT_PORTAL_ID=" + PortalID,
		"HUBSPOT_API_URL=" + url,
		"HUBSPOT_LOADER_URL=" + url,
	}
}

// Close ends hanging requests, closes every connection of [Server.Client] and
// stops listening. A second call does nothing. Inside a testing/synctest bubble
// call Close before the bubble ends; t.Cleanup on the bubble's t is early enough.
func (s *Server) Close() {
	s.mu.Lock()
	closers := s.closers
	s.closed, s.closers = true, nil
	for cancel := range s.waiting {
		(*cancel)()
	}
	s.mu.Unlock()
	for _, f := range closers {
		f()
	}
}

// onClose registers f for Close, or runs it now on a closed server.
func (s *Server) onClose(f func()) {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.closers = append(s.closers, f)
	}
	s.mu.Unlock()
	if closed {
		f()
	}
}

// Handler returns the whole emulator: the API, the loader, the widget with its
// backend and iframe, and the inbox, on one origin.
func (s *Server) Handler() http.Handler { return s.handler }

// SetAccessToken replaces the credential: from now on only token is accepted, and
// a call with the previous one gets 401.
func (s *Server) SetAccessToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessToken = token
}

// SetScopes replaces the scopes of the access token. Without
// conversations.visitor_identification.tokens.create, which a new server
// grants, the token call answers 403 MISSING_SCOPES.
func (s *Server) SetScopes(scopes ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scopes = slices.Clone(scopes)
}

// SetPlan changes the subscription of the account; a new server has
// [Professional].
func (s *Server) SetPlan(p Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = p
}

// Advance moves the emulator's clock ahead by d, in addition to earlier calls:
// tokens expire, and limit windows pass. Clients' clocks are not affected.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += d
}

// now is the emulator's clock. The caller holds s.mu.
func (s *Server) now() time.Time { return time.Now().Add(s.ahead) }

// wait lasts d, or for ever if d is negative. It reports false when the client
// left or the server was closed before that.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	// The context is made here, not in New: a server made outside a synctest
	// bubble must not put its own channels into the waits of that bubble.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	s.waiting[&cancel] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, &cancel)
		s.mu.Unlock()
	}()

	var elapsed <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case <-elapsed:
		return true
	case <-ctx.Done():
		return false
	}
}

// uuid returns a random UUID (version 4).
func uuid() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
