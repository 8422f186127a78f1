package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"go.uber.org/goleak"
	"golang.org/x/oauth2"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/accounts"
	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/alexedwards/scs/v2/memstore.(*MemStore).startCleanup"))
}

// provider is an identity provider that believes whoever comes: login_hint says
// who is at the browser. Everything else it does as OpenID Connect has it.
type provider struct {
	oidctest.Server // discovery and keys
	url             string
	key             *rsa.PrivateKey
	change          func(claims map[string]any) // of the ID tokens that follow
	stop            bool                        // show answers instead of sending browsers back with them

	mu    sync.Mutex
	codes map[string]url.Values // the questions, by code
}

const clientID, clientSecret = "shop", "the client's secret"

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{key: newKey(t), codes: map[string]url.Values{}}
	p.PublicKeys = []oidctest.PublicKey{{PublicKey: p.key.Public(), KeyID: "1", Algorithm: oidc.RS256}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /auth", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.Handle("/", &p.Server)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p.url = server.URL
	p.SetIssuer(p.url)
	return p
}

// authorize sends the browser back with a code.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("response_type") != "code" || q.Get("client_id") != clientID || !strings.Contains(q.Get("scope"), "openid") ||
		q.Get("nonce") == "" || q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" {
		http.Error(w, "a bad question", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	p.mu.Lock()
	p.codes[code] = q
	p.mu.Unlock()
	answer := url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
	if p.stop {
		_, _ = io.WriteString(w, answer)
		return
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+answer, http.StatusFound)
}

// token gives the ID token for a code, once, to the client that began with it.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	q, ok := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	p.mu.Unlock()
	challenge := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	id, secret, _ := r.BasicAuth()
	secret, _ = url.QueryUnescape(secret)
	w.Header().Set("Content-Type", "application/json")
	if !ok || id != clientID || secret != clientSecret || r.FormValue("redirect_uri") != q.Get("redirect_uri") ||
		base64.RawURLEncoding.EncodeToString(challenge[:]) != q.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	user, _ := accounts.Find(q.Get("login_hint"))
	claims := map[string]any{
		"iss": p.url, "aud": clientID, "sub": "id of " + user.Name, "nonce": q.Get("nonce"),
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		"email": user.Email, "email_verified": user.Verified, "given_name": user.Name,
	}
	if p.change != nil {
		p.change(claims)
	}
	text, _ := json.Marshal(claims)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 3600,
		"id_token": oidctest.SignIDToken(p.key, "1", oidc.RS256, string(text)),
	})
}

// start serves the application with p as its provider.
func start(t *testing.T, p *provider) (*hubspottest.Server, string) {
	t.Helper()
	hubspot := story.HubSpot(t)
	server := httptest.NewUnstartedServer(nil)
	site := "http://" + server.Listener.Addr().String()
	app, err := newApp(p.url, oauth2.Config{ClientID: clientID, ClientSecret: clientSecret, RedirectURL: site + "/signed-in"})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = app
	server.Start()
	t.Cleanup(server.Close)
	return hubspot, site
}

func TestVisitors(t *testing.T) {
	hubspot, site := start(t, newProvider(t))
	story.Tell(t, hubspot, site)
}

// Whoever has forgotten the issuer is told which variable it is.
func TestMissingIssuer(t *testing.T) {
	if _, err := newApp("", oauth2.Config{}); err == nil || !strings.Contains(err.Error(), "OIDC_ISSUER") {
		t.Errorf("%v", err)
	}
}

// The address is as good as the provider says, in whatever form it says so.
func TestVerified(t *testing.T) {
	p := newProvider(t)
	hubspot, site := start(t, p)
	for _, test := range []struct {
		claim any // nil: there is none
		email string
	}{
		{true, "ada@example.com"},
		{"true", "ada@example.com"},
		{false, ""},
		{"false", ""},
		{1, ""},
		{nil, ""},
	} {
		p.change = func(claims map[string]any) {
			if claims["email_verified"] = test.claim; test.claim == nil {
				delete(claims, "email_verified")
			}
		}
		ada := story.Open(t, site)
		page := ada.SignIn("ada@example.com")
		story.Expect(t, hubspot, "the page", page, test.email)
		if !strings.Contains(page.Body, "ada@example.com <button>Sign out") {
			t.Errorf("%v: she is not signed in: %s", test.claim, page.Body)
		}
	}
}

// What is not this browser's answer, or names nobody, signs nobody in.
func TestWrongAnswers(t *testing.T) {
	p := newProvider(t)
	hubspot, site := start(t, p)
	for name, change := range map[string]func(map[string]any){
		"nonce":     func(claims map[string]any) { claims["nonce"] = "of another sign-in" },
		"no nonce":  func(claims map[string]any) { delete(claims, "nonce") },
		"issuer":    func(claims map[string]any) { claims["iss"] = "https://accounts.example" },
		"audience":  func(claims map[string]any) { claims["aud"] = "another shop" },
		"no e-mail": func(claims map[string]any) { delete(claims, "email") },
		"expired":   func(claims map[string]any) { claims["exp"] = time.Now().Add(-time.Hour).Unix() },
		"signature": nil,
	} {
		known := p.key
		if p.change = change; name == "signature" {
			p.key = newKey(t)
		}
		refused(t, hubspot, name, story.Open(t, site), func(b *story.Browser) story.Page { return b.SignIn("ada@example.com") })
		p.key, p.change = known, nil
	}

	// An answer is taken with its own state, once, and in the browser that asked.
	p.stop = true
	ada, eve := story.Open(t, site), story.Open(t, site)
	refused(t, hubspot, "no state", ada, open("code="+answer(t, ada).Get("code")))
	refused(t, hubspot, "another state", ada, open("state=x&code="+answer(t, ada).Get("code")))
	adas := answer(t, ada)
	refused(t, hubspot, "a browser that did not ask", story.Open(t, site), open(adas.Encode()))
	eves := answer(t, eve) // with Ada's code in it, which PKCE and the nonce refuse
	refused(t, hubspot, "another's code", eve, open("state="+eves.Get("state")+"&code="+adas.Get("code")))
	adas = answer(t, ada)
	story.Expect(t, hubspot, "the right answer", open(adas.Encode())(ada), "ada@example.com")
	if page := open(adas.Encode())(ada); page.Status != http.StatusUnauthorized {
		t.Errorf("an answer is taken twice: %d %s", page.Status, page.Body)
	}
}

// answer is the provider's answer to a sign-in that b begins.
func answer(t *testing.T, b *story.Browser) url.Values {
	t.Helper()
	answer, err := url.ParseQuery(b.SignIn("ada@example.com").Body)
	if err != nil || answer.Get("state") == "" || answer.Get("code") == "" {
		t.Fatalf("the provider answers %v, %v", answer, err)
	}
	return answer
}

func open(query string) func(*story.Browser) story.Page {
	return func(b *story.Browser) story.Page { return b.Get("/signed-in?" + query) }
}

func refused(t *testing.T, hubspot *hubspottest.Server, name string, b *story.Browser, signIn func(*story.Browser) story.Page) {
	t.Helper()
	if page := signIn(b); page.Status != http.StatusUnauthorized {
		t.Errorf("%s: the answer is taken: %d %s", name, page.Status, page.Body)
	}
	story.Expect(t, hubspot, name, b.Get("/"), "")
}
