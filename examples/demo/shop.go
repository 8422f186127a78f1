package main

import (
	"embed"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

//go:embed static
var static embed.FS

const maxBody = 64 << 10

// shop is the web application.
type shop struct {
	sessions *scs.SessionManager
	chat     *middleware.Middleware
	pages    pages
	policy   policy
	inbox    string // of the emulated HubSpot, or empty
}

// newShop returns the whole shop. emulator is the origin of the emulated HubSpot,
// or empty for the real one.
func newShop(emulator string) (http.Handler, error) {
	s := &shop{sessions: scs.New()}
	s.sessions.Lifetime = 12 * time.Hour
	s.sessions.Cookie.Name = "fernhill_session"
	s.sessions.Cookie.HttpOnly = true
	s.sessions.Cookie.SameSite = http.SameSiteLaxMode
	s.sessions.Cookie.Secure = false // the demo is served over http; set it wherever there is https

	region := "" // of the real account
	if emulator != "" {
		s.inbox = emulator + "/inbox"
	} else {
		cfg, err := hubspot.ConfigFromEnv()
		if err != nil {
			return nil, err
		}
		region = cfg.Region
	}
	s.policy = contentPolicy(region, emulator)
	var err error
	s.chat, err = newChat(emulator, s.identify,
		middleware.WithSkip(func(r *http.Request) bool { return r.URL.Path == "/help" }),
	)
	if err != nil {
		return nil, err
	}
	if s.pages, err = parsePages(); err != nil {
		return nil, err
	}

	// The chat goes inside the sessions, which know who is signed in.
	var handler http.Handler = s.sessions.LoadAndSave(s.chat.Handler(s.routes()))
	handler = http.MaxBytesHandler(handler, maxBody)
	handler = http.NewCrossOriginProtection().Handler(handler)
	return s.policy.handler(handler), nil
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /help", s.help)
	mux.HandleFunc("GET /workshop", s.workshop)
	mux.HandleFunc("GET /account", s.account)
	mux.HandleFunc("GET /login", s.login)
	mux.HandleFunc("POST /login", s.signIn)
	mux.HandleFunc("POST /logout", s.signOut)
	mux.HandleFunc("GET /static/{file}", s.static)
	mux.Handle("GET /static/chat/", snippet.ScriptHandler())
	mux.HandleFunc("/", s.notFound)
	return mux
}

func (s *shop) home(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "home", products)
}

func (s *shop) help(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "help", nil)
}

func (s *shop) workshop(w http.ResponseWriter, r *http.Request) {
	s.showPublic(w, r, "workshop")
}

func (s *shop) account(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.signedIn(r); !ok {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	s.show(w, r, http.StatusOK, "account", nil)
}

func (s *shop) static(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, static, "static/"+r.PathValue("file"))
}

func (s *shop) notFound(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusNotFound, "notfound", nil)
}
