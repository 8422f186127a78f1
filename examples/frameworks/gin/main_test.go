package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	goleak.VerifyTestMain(m)
}

const ada = "ada@example.com"

// start serves the application, with more routes on it.
func start(t *testing.T, more func(*gin.Engine)) (*hubspottest.Server, string) {
	t.Helper()
	hubspot := story.HubSpot(t)
	app, err := newApp()
	if err != nil {
		t.Fatal(err)
	}
	if more != nil {
		more(app)
	}
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	return hubspot, server.URL
}

func TestVisitors(t *testing.T) {
	hubspot, site := start(t, nil)
	story.Tell(t, hubspot, site)

	browser := story.Open(t, site)
	browser.SignIn(ada)
	missing := browser.Get("/missing")
	story.Expect(t, hubspot, "the page that says 404", missing, ada)
	if missing.Status != http.StatusNotFound {
		t.Errorf("status %d, want 404", missing.Status)
	}
}

func TestManyAtOnce(t *testing.T) {
	hubspot, site := start(t, nil)
	story.Crowd(t, hubspot, site)
}

// A middleware outside of the chat's renders a page when everything inside has
// returned: it is the same for everybody, and asks the endpoint.
func TestPageOfAnOuterMiddleware(t *testing.T) {
	story.HubSpot(t)
	inner, err := newApp()
	if err != nil {
		t.Fatal(err)
	}
	app := gin.New()
	app.SetHTMLTemplate(page)
	app.Use(func(c *gin.Context) {
		c.Next()
		if len(c.Errors) > 0 {
			show(http.StatusInternalServerError, "Sorry")(c)
		}
	})
	app.Use(inner.Handlers...)
	app.POST("/sign-in", signIn)
	app.GET("/", show(http.StatusOK, "Welcome"))
	app.GET("/error", func(c *gin.Context) { _ = c.Error(http.ErrBodyNotAllowed) })
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)

	browser := story.Open(t, server.URL)
	browser.SignIn(ada)
	for range 5 {
		story.Late(t, "the error page", browser, browser.Get("/error"), ada)
	}
}

func TestPublicPages(t *testing.T) {
	chat := func(c *gin.Context) string { return string(snippet.HTML(c.Request.Context())) }
	html := []byte("text/html; charset=utf-8")
	routes := map[string]gin.HandlerFunc{
		"/before": func(c *gin.Context) {
			c.Header("Cache-Control", "public, max-age=60")
			c.HTML(http.StatusOK, "page", gin.H{"Chat": snippet.HTML(c.Request.Context())})
		},
		"/after": func(c *gin.Context) {
			page := chat(c)
			c.Header("Cache-Control", "public, max-age=60")
			c.Data(http.StatusOK, string(html), []byte(page))
		},
		"/after-status": func(c *gin.Context) {
			page := chat(c)
			c.Status(http.StatusOK)
			c.Header("Cache-Control", "public, max-age=60")
			c.Header("CDN-Cache-Control", "max-age=60")
			c.Data(http.StatusOK, string(html), []byte(page))
		},
		"/written-string": func(c *gin.Context) {
			page := chat(c)
			c.Header("Cache-Control", "public, max-age=60")
			c.Header("Content-Type", string(html))
			_, _ = c.Writer.WriteString(page)
		},
		"/flushed": func(c *gin.Context) {
			page := chat(c)
			c.Header("Cache-Control", "public, max-age=60")
			c.Header("Content-Type", string(html))
			c.Writer.Flush()
			_, _ = c.Writer.WriteString(page)
		},
		"/flushed-first": func(c *gin.Context) {
			c.Header("Cache-Control", "public, max-age=60")
			c.Header("Content-Type", string(html))
			c.Writer.WriteHeaderNow()
			c.Writer.Flush()
			_, _ = c.Writer.WriteString(chat(c))
		},
	}
	hubspot, site := start(t, func(app *gin.Engine) {
		for path, handler := range routes {
			app.GET(path, handler)
		}
	})
	browser := story.Open(t, site)
	browser.SignIn(ada)
	for path := range routes {
		story.Shared(t, hubspot, path, browser.Get(path), ada)
	}
}

// What has no chat is left alone.
func TestOtherResponses(t *testing.T) {
	_, site := start(t, func(app *gin.Engine) {
		app.GET("/json", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"a": 1}) })
		app.GET("/empty", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	})
	browser := story.Open(t, site)
	browser.SignIn(ada)
	for path, status := range map[string]int{"/json": 200, "/empty": 204} {
		page := browser.Get(path)
		if page.Status != status || page.Header.Get("Cache-Control") != "" || page.Header.Get("Vary") != "" {
			t.Errorf("%s: %d %v", path, page.Status, page.Header)
		}
	}
}

func TestStreaming(t *testing.T) {
	const doctype = "<!doctype html>"
	goOn := make(chan struct{}, 1)
	ways := map[string]func(gin.ResponseWriter){
		"/write": func(w gin.ResponseWriter) { _, _ = w.WriteString(doctype) },
		"/flush": func(w gin.ResponseWriter) { w.Flush(); _, _ = w.WriteString(doctype) },
		"/headers": func(w gin.ResponseWriter) {
			w.WriteHeaderNow()
			_, _ = w.WriteString(doctype)
		},
		"/controller": func(w gin.ResponseWriter) {
			_ = http.NewResponseController(w).Flush()
			_, _ = w.WriteString(doctype)
		},
	}
	hubspot, site := start(t, func(app *gin.Engine) {
		for path, begin := range ways {
			app.GET(path, func(c *gin.Context) {
				c.Header("Content-Type", "text/html; charset=utf-8")
				c.Status(http.StatusAccepted)
				begin(c.Writer)
				c.Writer.Flush()
				<-goOn
				_ = snippet.Render(c.Request.Context(), c.Writer)
			})
		}
	})
	browser := story.Open(t, site)
	browser.SignIn(ada)
	for path := range ways {
		page := browser.Streams(hubspot, path, ada, func() { goOn <- struct{}{} })
		if page.Status != http.StatusAccepted {
			t.Errorf("%s: status %d, want 202", path, page.Status)
		}
	}
}
