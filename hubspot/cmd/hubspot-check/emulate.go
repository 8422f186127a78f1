package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// site is HubSpot and a page with the chat, both in this process.
type site struct {
	env    func() (hubspot.Config, error)
	page   string
	cookie string // of who is signed in there
	ends   []func()
}

// emulate starts both on loopback ports. Who has the page's cookie is visitor.
func emulate(visitor hubspot.Visitor) (s *site, err error) {
	s = &site{}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	emulator := hubspottest.New()
	s.ends = append(s.ends, emulator.Close)
	origin, err := s.serve(emulator.Handler())
	if err != nil {
		return nil, err
	}
	cfg := hubspot.Config{AccessToken: hubspottest.AccessToken, PortalID: hubspottest.PortalID, Region: "na1", APIURL: origin, LoaderURL: origin}
	s.env = func() (hubspot.Config, error) { return cfg, nil }
	app, err := sample(cfg)
	if err != nil {
		return nil, err
	}
	session := rand.Text()
	s.cookie = "session=" + session
	s.page, err = s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cookie, err := r.Cookie("session"); err == nil && cookie.Value == session {
			r = r.WithContext(middleware.WithVisitor(r.Context(), visitor))
		}
		app.ServeHTTP(w, r)
	}))
	return s, err
}

func (s *site) serve(handler http.Handler) (origin string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("a loopback port is needed: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // always http.ErrServerClosed
	}()
	s.ends = append(s.ends, func() {
		_ = server.Close()
		<-ended
	})
	return "http://" + listener.Addr().String(), nil
}

func (s *site) stop() {
	for _, end := range s.ends {
		end()
	}
}

var samplePage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A page with the chat</title></head>
<body><h1>A page with the chat</h1>
{{.}}</body></html>
`))

type nonceKey struct{}

// sample is an application with a strict policy. Who is signed in there, the
// request's context says.
func sample(cfg hubspot.Config, options ...snippet.Option) (http.Handler, error) {
	client, err := hubspot.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	tokens, err := hubspot.NewTokens(client, hubspot.TokensConfig{Account: cfg.PortalID, Logger: quiet})
	if err != nil {
		return nil, err
	}
	chat, err := middleware.New(tokens, func(r *http.Request) (hubspot.Visitor, bool) {
		return middleware.VisitorFrom(r.Context())
	}, middleware.WithConfig(cfg), middleware.WithLogger(quiet))
	if err != nil {
		return nil, err
	}
	options = append(options, snippet.WithNonce(func(ctx context.Context) string {
		nonce, _ := ctx.Value(nonceKey{}).(string)
		return nonce
	}))
	page := chat.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = samplePage.Execute(w, snippet.HTML(r.Context(), options...)) // the client has left if this fails
	}))
	policy := "default-src 'none'; base-uri 'none'; " + strings.ReplaceAll("connect-src 'self' HERE; frame-src HERE; style-src HERE; script-src HERE 'nonce-", "HERE", cfg.LoaderURL)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		value := rand.Text()
		w.Header().Set("Content-Security-Policy", policy+value+"'")
		page.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), nonceKey{}, value)))
	}), nil
}
