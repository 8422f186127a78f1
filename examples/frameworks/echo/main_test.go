package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v5"
	"go.uber.org/goleak"

	"github.com/seed84b9cbbc/hubspot-visitor/examples/frameworks/internal/story"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ada = "ada@example.com"

// start serves the application, with more routes on it.
func start(t *testing.T, more func(*echo.Echo)) (*hubspottest.Server, string) {
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
}

func TestManyAtOnce(t *testing.T) {
	hubspot, site := start(t, nil)
	story.Crowd(t, hubspot, site)
}

// The HTTPErrorHandler renders when the chat's middleware has returned: its page
// is the same for everybody, and asks the endpoint.
func TestErrorPages(t *testing.T) {
	hubspot, site := start(t, func(app *echo.Echo) {
		app.GET("/error", func(*echo.Context) error { return errors.New("no luck") })
		app.GET("/drawn", func(c *echo.Context) error {
			_ = snippet.HTML(c.Request().Context())
			return errors.New("no luck")
		})
	})
	browser := story.Open(t, site)
	story.Expect(t, hubspot, "an anonymous error page", browser.Get("/error"), "")
	browser.SignIn(ada)
	for path, status := range map[string]int{"/error": 500, "/drawn": 500, "/missing": 404} {
		page := browser.Get(path)
		story.Late(t, path, browser, page, ada)
		if page.Status != status {
			t.Errorf("%s: status %d, want %d", path, page.Status, status)
		}
	}
}

func TestPublicPages(t *testing.T) {
	public := func(c *echo.Context) {
		c.Response().Header().Set("Cache-Control", "public, max-age=60")
		c.Response().Header().Set("CDN-Cache-Control", "max-age=60")
	}
	chat := func(c *echo.Context) string { return string(snippet.HTML(c.Request().Context())) }
	routes := map[string]echo.HandlerFunc{
		"/before": func(c *echo.Context) error {
			public(c)
			return show(c, http.StatusOK, "Public")
		},
		"/after": func(c *echo.Context) error {
			page := chat(c)
			public(c)
			return c.HTML(http.StatusOK, page)
		},
		"/before-hook": func(c *echo.Context) error {
			response, err := echo.UnwrapResponse(c.Response())
			if err != nil {
				return err
			}
			response.Before(func() { public(c) })
			return show(c, http.StatusOK, "Public")
		},
		"/flushed": func(c *echo.Context) error {
			public(c)
			c.Response().Header().Set("Content-Type", "text/html")
			c.Response().WriteHeader(http.StatusOK)
			if err := http.NewResponseController(c.Response()).Flush(); err != nil {
				return err
			}
			_, err := c.Response().Write([]byte(chat(c)))
			return err
		},
	}
	hubspot, site := start(t, func(app *echo.Echo) {
		// A middleware between the chat's and the pages, which sets it late.
		app.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c *echo.Context) error {
				if c.Request().URL.Path != "/" || c.QueryParam("public") == "" {
					return next(c)
				}
				err := next(c)
				public(c)
				return err
			}
		})
		for path, handler := range routes {
			app.GET(path, handler)
		}
	})
	browser := story.Open(t, site)
	browser.SignIn(ada)
	for path := range routes {
		story.Shared(t, hubspot, path, browser.Get(path), ada)
	}
	story.Shared(t, hubspot, "/?public", browser.Get("/?public=1"), ada)
}

// A middleware outside of the chat's makes a page public when its headers leave:
// too late for the headers, and in time for the token.
func TestPublicByAnOuterMiddleware(t *testing.T) {
	hubspot, site := start(t, func(app *echo.Echo) {
		app.Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c *echo.Context) error {
				response, err := echo.UnwrapResponse(c.Response())
				if err != nil {
					return err
				}
				if c.QueryParam("public") != "" {
					response.Before(func() { response.Header().Set("Cache-Control", "public, max-age=60") })
				}
				return next(c)
			}
		})
	})
	browser := story.Open(t, site)
	browser.SignIn(ada)
	page := browser.Get("/?public=1")
	if page.Header.Get("Cache-Control") != "public, max-age=60" {
		t.Fatalf("Cache-Control %q: nothing is tested", page.Header.Get("Cache-Control"))
	}
	if hubspot.Verify(ada, page.Token) == nil {
		t.Error("there is a token in it")
	}
}

// What has no chat is left alone.
func TestOtherResponses(t *testing.T) {
	_, site := start(t, func(app *echo.Echo) {
		app.GET("/json", func(c *echo.Context) error { return c.JSON(http.StatusOK, map[string]int{"a": 1}) })
		app.GET("/empty", func(c *echo.Context) error { return c.NoContent(http.StatusNoContent) })
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
	goOn := make(chan struct{})
	hubspot, site := start(t, func(app *echo.Echo) {
		app.GET("/stream", func(c *echo.Context) error {
			c.Response().Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = c.Response().Write([]byte("<!doctype html>"))
			if err := http.NewResponseController(c.Response()).Flush(); err != nil {
				return err
			}
			<-goOn
			return snippet.Render(c.Request().Context(), c.Response())
		})
	})
	browser := story.Open(t, site)
	browser.SignIn(ada)
	browser.Streams(hubspot, "/stream", ada, func() { close(goOn) })
}
