package main

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/gofiber/fiber/v3"

	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
)

// chatHandler is chat.Handler as a fiber middleware: copy this file. Fiber's own
// adaptors do not work here, since the chat has to see the response's headers
// before they leave, and those set by c.Set are not in an adaptor's
// http.ResponseWriter. Use it after the authentication, on the app and not on a
// group.
func chatHandler(chat *middleware.Middleware) fiber.Handler {
	return func(c fiber.Ctx) error {
		out := &response{c: c, header: http.Header{}}
		out.read()
		pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.SetContext(r.Context())
			// Fiber's error page belongs inside the chat, too.
			if err := c.Next(); err != nil && c.App().ErrorHandler(c, err) != nil {
				c.Status(http.StatusInternalServerError)
			}
			out.read() // what the pages have set
			send(w, c)
		})
		chat.Handler(pages).ServeHTTP(out, request(c))
		return nil
	}
}

// request presents fiber's request to net/http, except for the body: the chat needs
// none, and adaptor.ConvertRequest would read uploads into memory, and leave
// nothing for those who stream them.
func request(c fiber.Ctx) *http.Request {
	in := c.Request()
	r := &http.Request{
		Method:     c.Method(),
		URL:        &url.URL{Path: string(in.URI().Path()), RawQuery: string(in.URI().QueryString())},
		Header:     http.Header{},
		Body:       http.NoBody,
		Host:       string(in.Host()),
		RemoteAddr: c.RequestCtx().RemoteAddr().String(),
		RequestURI: string(in.Header.RequestURI()),
		TLS:        c.RequestCtx().TLSConnectionState(),
	}
	for name, value := range in.Header.All() {
		r.Header.Add(string(name), string(value))
	}
	return r.WithContext(c.Context())
}

// send is where the response leaves, as far as the chat is concerned. A stream
// begins later, when all handlers have returned.
func send(w http.ResponseWriter, c fiber.Ctx) {
	w.WriteHeader(c.Response().StatusCode())
	if !c.Response().IsBodyStream() {
		body := c.Response().Body() // SwapBody has nothing of what c.JSON and c.Send have set
		c.Response().SwapBody(nil)
		_, _ = w.Write(body) // to memory: it does not fail
	}
}

// response presents fiber's response to net/http.
type response struct {
	c      fiber.Ctx
	header http.Header
}

func (w *response) Header() http.Header { return w.header }

func (w *response) read() {
	clear(w.header)
	for name, value := range w.c.Response().Header.All() {
		w.header.Add(string(name), string(value))
	}
}

func (w *response) WriteHeader(status int) {
	w.c.Status(status)
	out := &w.c.Response().Header
	before := response{c: w.c, header: http.Header{}}
	before.read()
	changed := func(name string) bool { return !slices.Equal(w.header[name], before.header[name]) }
	var names []string // as they are written, with DisableHeaderNormalizing
	for name := range out.All() {
		if changed(http.CanonicalHeaderKey(string(name))) {
			names = append(names, string(name))
		}
	}
	for _, name := range names {
		out.Del(name)
	}
	for name, values := range w.header {
		if changed(name) {
			for _, value := range values {
				out.Add(name, value)
			}
		}
	}
}

func (w *response) Write(p []byte) (int, error) {
	w.c.Response().AppendBody(p)
	return len(p), nil
}
