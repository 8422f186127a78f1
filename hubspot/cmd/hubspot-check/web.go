package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxDocument bounds what is read of a page or script.
const maxDocument = 8 << 20

// webLimit is how long a browser's visitor would wait, with patience.
const webLimit = 15 * time.Second

// document is an answer to what a browser would ask for.
type document struct {
	url    *url.URL // after redirects
	status int
	header http.Header
	body   []byte
}

// fetch asks as the browser of somebody without any cookie does.
func fetch(ctx context.Context, method, address string, header http.Header) (document, error) {
	return browser{}.fetch(ctx, method, address, header)
}

// browser is whose browser asks: nobody's, or a visitor's with cookies.
type browser struct{ *cookies }

// fetch asks as a browser does. Redirects are followed for GET only.
func (b browser) fetch(ctx context.Context, method, address string, header http.Header) (document, error) {
	ctx, cancel := context.WithTimeout(ctx, webLimit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return document{}, errors.New("the address cannot be read")
	}
	r.Header = header.Clone()
	r.Header.Set("User-Agent", "Mozilla/5.0 (compatible; hubspot-check)")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	if b.cookies != nil {
		client.Transport = withCookies{b.cookies, transport}
	}
	client.CheckRedirect = func(_ *http.Request, via []*http.Request) error {
		if method != http.MethodGet || len(via) >= 10 {
			return http.ErrUseLastResponse
		}
		return nil
	}
	res, err := client.Do(r)
	if err != nil {
		return document{}, errors.New(reachWords(err))
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	switch {
	case err != nil:
		return document{}, errors.New("the answer broke off")
	case len(body) > maxDocument: // what is wanted of it may be in the rest
		return document{}, errors.New("the answer is longer than 8 MB")
	}
	return document{res.Request.URL, res.StatusCode, res.Header, body}, nil
}

// reachWords says why there was no answer, without the address, whose query may
// hold something private.
func reachWords(err error) string {
	var in *url.Error
	if errors.As(err, &in) {
		if in.Timeout() {
			return "no answer within " + webLimit.String()
		}
		err = in.Err
	}
	return connectWords(err)
}

func (d document) kind() string {
	kind, _, _ := strings.Cut(strings.ToLower(d.header.Get("Content-Type")), ";")
	return strings.TrimSpace(kind)
}

func (d document) isScript() bool { return strings.HasSuffix(d.kind(), "javascript") }

func (d document) isHTML() bool {
	return d.kind() == "text/html" || d.kind() == "application/xhtml+xml"
}

// plain is an address without its query, which may hold something private.
func plain(u *url.URL) string {
	if u == nil {
		return ""
	}
	return fmt.Sprintf("%s://%s%s", u.Scheme, u.Host, u.EscapedPath())
}
