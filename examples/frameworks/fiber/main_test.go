package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/cache"
	"github.com/gofiber/fiber/v3/middleware/encryptcookie"
	"github.com/gofiber/fiber/v3/middleware/session"
	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func TestMain(m *testing.M) {
	// Fiber and fasthttp have goroutines that they never end: one for the time, which
	// the first session store starts, and some for each store and server.
	session.New()
	goleak.VerifyTestMain(m,
		goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/gofiber/fiber/v3/internal/storage/memory.(*Storage).gc"),
	)
}

const ada = "ada@example.com"

// start serves the application, with more routes on it.
func start(t *testing.T, more func(*fiber.App)) (*hubspottest.Server, string) {
	t.Helper()
	hubspot := story.HubSpot(t)
	app, err := newApp()
	if err != nil {
		t.Fatal(err)
	}
	if more != nil {
		more(app)
	}
	return hubspot, serve(t, app)
}

func serve(t *testing.T, app *fiber.App) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true}) }()
	t.Cleanup(func() {
		_ = app.ShutdownWithTimeout(time.Second)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

func TestVisitors(t *testing.T) {
	hubspot, site := start(t, nil)
	story.Tell(t, hubspot, site)
}

func TestManyAtOnce(t *testing.T) {
	hubspot, site := start(t, nil)
	story.Crowd(t, hubspot, site)
}

// Fiber's strings are good for as long as the request. An authentication that
// hands them to the chat as they are, and a HubSpot that is slower than the
// pages: nobody is mistaken for somebody else.
func TestStringsOfTheRequest(t *testing.T) {
	emulator := story.HubSpot(t)
	t.Setenv("HUBSPOT_RENDER_BUDGET", "1ms")
	emulator.SetOutage(&hubspottest.Fault{Latency: 50 * time.Millisecond})
	chat := newChat(t, visitorOfContext)
	app := fiber.New()
	app.Use(func(c fiber.Ctx) error {
		// As behind a proxy that signs people in.
		visitor := hubspot.Visitor{Email: c.Get("X-Email"), FirstName: c.Get("X-Name"), EmailVerified: true}
		visitor.AgentContext = map[string]string{"plan": c.Get("X-Plan")}
		c.SetContext(middleware.WithVisitor(c.Context(), visitor))
		return c.Next()
	}, chatHandler(chat))
	app.Get("/", func(c fiber.Ctx) error { return show(c, http.StatusOK, "Welcome") })
	site := serve(t, app)

	browser := story.Open(t, site)
	names := []string{"ada", "grace", "edsger", "donald", "barbara", "ken", "dennis", "leslie"}
	visit := func(name string) story.Page {
		email := name + "@example.com"
		page := browser.GetWith("/", map[string]string{"X-Email": email, "X-Name": name, "X-Plan": strings.ToUpper(name)})
		if page.Email != "" {
			story.Expect(t, emulator, email, page, email)
		}
		return page
	}
	for range 10 {
		for _, name := range names {
			visit(name)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, name := range names {
		for visit(name).Email == "" {
			if time.Now().After(deadline) {
				t.Fatalf("%s is not identified", name)
			}
		}
	}
	for _, call := range emulator.Calls() {
		name, _, _ := strings.Cut(call.Email, "@")
		if call.FirstName != name || call.AgentContext["plan"] != strings.ToUpper(name) || call.Status != http.StatusOK {
			t.Errorf("HubSpot was asked %s", call.Body)
		}
	}
	if got := len(emulator.Calls()); got != len(names) {
		t.Errorf("%d calls, want one for each visitor: %d", got, len(names))
	}
}

// Fiber calls its ErrorHandler when the middlewares have returned, unless the
// chat's has called it before.
func TestErrorPages(t *testing.T) {
	hubspot, site := start(t, func(app *fiber.App) {
		app.Get("/error", func(fiber.Ctx) error { return errors.New("no luck") })
		app.Get("/drawn", func(c fiber.Ctx) error {
			_ = snippet.HTML(c.Context())
			c.Set("Cache-Control", "public, max-age=60")
			return errors.New("no luck")
		})
	})
	browser := story.Open(t, site)
	story.Expect(t, hubspot, "an anonymous error page", browser.Get("/error"), "")
	browser.SignIn(ada)
	for path, status := range map[string]int{"/error": 500, "/drawn": 500, "/missing": 404} {
		page := browser.Get(path)
		story.Expect(t, hubspot, path, page, ada)
		if page.Status != status {
			t.Errorf("%s: status %d, want %d", path, page.Status, status)
		}
	}
}

func TestPublicPages(t *testing.T) {
	public := func(c fiber.Ctx) {
		c.Set("Cache-Control", "public, max-age=60")
		c.Set("CDN-Cache-Control", "max-age=60")
	}
	routes := map[string]fiber.Handler{
		"/before": func(c fiber.Ctx) error {
			public(c)
			return show(c, http.StatusOK, "Public")
		},
		"/after": func(c fiber.Ctx) error {
			err := show(c, http.StatusOK, "Public")
			public(c)
			return err
		},
	}
	hubspot, site := start(t, func(app *fiber.App) {
		// A middleware between the chat's and the pages, which sets it late.
		app.Use(func(c fiber.Ctx) error {
			err := c.Next()
			if c.Query("public") != "" {
				public(c)
			}
			return err
		})
		for path, handler := range routes {
			app.Get(path, handler)
		}
		app.Get("/late", func(c fiber.Ctx) error { return show(c, http.StatusOK, "Public") })
	})
	browser := story.Open(t, site)
	browser.SignIn(ada)
	for path := range routes {
		story.Shared(t, hubspot, path, browser.Get(path), ada)
	}
	story.Shared(t, hubspot, "/late", browser.Get("/late?public=1"), ada)
}

// Headers that fiber leaves as they are written count, too.
func TestHeadersAsWritten(t *testing.T) {
	hubspot := story.HubSpot(t)
	chat := newChat(t, visitorOfHeader)
	app := fiber.New(fiber.Config{DisableHeaderNormalizing: true})
	app.Use(chatHandler(chat))
	app.Get("/", func(c fiber.Ctx) error {
		err := show(c, http.StatusOK, "Public")
		c.Set("cache-control", "public, max-age=60")
		c.Set("CDN-Cache-Control", "max-age=60")
		return err
	})
	page := story.Open(t, serve(t, app)).GetWith("/", map[string]string{"X-Email": ada})
	story.Expect(t, hubspot, "a page with a token", page, ada)
}

// newChat is the chat of an application that identify knows the visitors of.
func newChat(t *testing.T, identify func(*http.Request) (hubspot.Visitor, bool)) *middleware.Middleware {
	t.Helper()
	chat, err := middleware.FromEnv(identify)
	if err != nil {
		t.Fatal(err)
	}
	return chat
}

// visitorOfContext is whom an authentication has put there.
func visitorOfContext(r *http.Request) (hubspot.Visitor, bool) {
	return middleware.VisitorFrom(r.Context())
}

// visitorOfHeader is who a proxy says is signed in.
func visitorOfHeader(r *http.Request) (hubspot.Visitor, bool) {
	email := r.Header.Get("X-Email")
	return hubspot.Visitor{Email: email, EmailVerified: true}, email != ""
}

// What has no chat is left alone.
func TestOtherResponses(t *testing.T) {
	_, site := start(t, func(app *fiber.App) {
		app.Get("/json", func(c fiber.Ctx) error { return c.JSON(fiber.Map{"a": 1}) })
		app.Get("/bytes", func(c fiber.Ctx) error { return c.Send([]byte("hello")) })
		app.Get("/empty", func(c fiber.Ctx) error { return c.SendStatus(http.StatusNoContent) })
	})
	browser := story.Open(t, site)
	browser.SignIn(ada)
	for path, want := range map[string]struct {
		status int
		body   string
	}{"/json": {200, `{"a":1}`}, "/bytes": {200, "hello"}, "/empty": {204, ""}} {
		page := browser.Get(path)
		if page.Status != want.status || page.Body != want.body || page.Header.Get("Cache-Control") != "" || page.Header.Get("Vary") != "" {
			t.Errorf("%s: %d %q %v", path, page.Status, page.Body, page.Header)
		}
	}
}

// A body is the handlers' alone, who may take it as it comes.
func TestUploads(t *testing.T) {
	story.HubSpot(t)
	chat := newChat(t, visitorOfHeader)
	began := make(chan struct{})
	app := fiber.New(fiber.Config{StreamRequestBody: true})
	app.Use(chatHandler(chat))
	app.Post("/upload/:name", func(c fiber.Ctx) error {
		body := c.Request().BodyStream()
		if body == nil {
			return errors.New("there is no stream")
		}
		if _, err := io.ReadFull(body, make([]byte, len("begin"))); err != nil {
			return err
		}
		close(began)
		rest, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		return c.SendString(c.Params("name") + " " + string(rest))
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	read, write := io.Pipe()
	go func() {
		_, _ = io.WriteString(write, "begin")
		select {
		case <-began:
			_, _ = io.WriteString(write, "rest")
		case <-time.After(10 * time.Second):
			t.Error("the handler does not begin before the body is complete")
		}
		_ = write.Close()
	}()
	response, err := client.Post(serve(t, app)+"/upload/%C3%BC", "application/octet-stream", read)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if want := "%C3%BC rest"; err != nil || string(body) != want {
		t.Errorf("the handler got %q, want %q: %v", body, want, err)
	}
}

// Fiber's encryptcookie would keep pages from reading the marker, and, since it
// forgets Max-Age=0, set the cookies that the chat expires.
func TestEncryptedCookies(t *testing.T) {
	hubspot := story.HubSpot(t)
	inner, err := newApp()
	if err != nil {
		t.Fatal(err)
	}
	app := fiber.New()
	app.Use(encryptcookie.New(encryptcookie.Config{
		Key:    encryptcookie.GenerateKey(32),
		Except: []string{"hubspot_visitor_12345678", "messagesUtk", "hs-messages-is-open", "hs-messages-hide-welcome-message"},
	}))
	app.Use(inner)
	site := serve(t, app)
	story.Tell(t, hubspot, site)
}

// cached has a goroutine that never ends.
var cached = cache.New()

// Fiber's cache belongs outside of the chat: there it keeps the page of nobody, and
// no other.
func TestCache(t *testing.T) {
	emulator := story.HubSpot(t)
	chat := newChat(t, visitorOfHeader)
	app := fiber.New()
	app.Use(cached, chatHandler(chat))
	path := "/" + rand.Text() // the cache is every run's
	app.Get(path, func(c fiber.Ctx) error { return show(c, http.StatusOK, "Welcome") })
	site := serve(t, app)
	for i, tt := range []struct{ email, want, cache string }{
		{ada, ada, "unreachable"},
		{"grace@example.com", "grace@example.com", "unreachable"},
		{"", "", "miss"},
		{ada, "", "hit"}, // the page's script asks who it is
	} {
		page := story.Open(t, site).GetWith(path, map[string]string{"X-Email": tt.email})
		story.Expect(t, emulator, "the page for "+tt.email, page, tt.want)
		if got := page.Header.Get("X-Cache"); got != tt.cache {
			t.Errorf("%d: the cache says %q, want %q", i, got, tt.cache)
		}
	}
}

func TestStreaming(t *testing.T) {
	goOn := make(chan struct{})
	hubspot, site := start(t, func(app *fiber.App) {
		app.Get("/stream", func(c fiber.Ctx) error {
			c.Type("html", "utf-8")
			ctx := c.Context() // c is another request's when the stream begins
			return c.SendStreamWriter(func(w *bufio.Writer) {
				_, _ = w.WriteString("<!doctype html>")
				_ = w.Flush()
				<-goOn
				_ = snippet.Render(ctx, w)
			})
		})
	})
	browser := story.Open(t, site)
	browser.SignIn(ada)
	browser.Streams(hubspot, "/stream", ada, func() { close(goOn) })
}
