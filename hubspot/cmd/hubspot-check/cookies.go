package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/flight"
)

// maxCookies is more than any server takes.
const maxCookies = 64 << 10

// readCookies is the Cookie header that file holds, or the first line of stdin for
// "-". No argument of the program has it: arguments are in the shell's history, and
// every user of the machine sees them. An error never repeats what was read, nor
// what was given for the name: it may be the header itself.
func readCookies(file string, stdin io.Reader) (string, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		if err != nil {
			return "", errors.New("-cookie-file cannot be read (it takes the name of a file, or - for standard input): " + err.Error())
		}
		defer f.Close()
		in = f
	}
	line, err := bufio.NewReader(io.LimitReader(in, maxCookies)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", errors.New("-cookie-file cannot be read")
	}
	line = strings.TrimSpace(line)
	if name, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(name), "Cookie") {
		line = strings.TrimSpace(value) // the whole header was copied
	}
	malformed := strings.ContainsFunc(line, unicode.IsControl)
	for _, pair := range pairsOf(line) {
		name, _, ok := strings.Cut(pair, "=")
		malformed = malformed || !ok || name == "" || strings.ContainsAny(name, " \t")
	}
	if malformed || line == "" {
		return "", errors.New("-cookie-file has to hold the value of a Cookie header, name=value; name=value, in its first line")
	}
	return line, nil
}

// awaitCookies is readCookies until ctx ends: nobody may ever write to standard
// input, or to a pipe.
func awaitCookies(ctx context.Context, file string, stdin io.Reader) (string, error) {
	header, err := flight.Guard(ctx, func(context.Context) (string, error) { return readCookies(file, stdin) })
	if ctx.Err() != nil {
		return "", errors.New("-cookie-file was not read to its end")
	}
	return header, err
}

// pairsOf are the name=value of a Cookie header.
func pairsOf(line string) (pairs []string) {
	for pair := range strings.SplitSeq(line, ";") {
		if pair = strings.TrimSpace(pair); pair != "" {
			pairs = append(pairs, pair)
		}
	}
	return pairs
}

// cookies are a visitor's, as their browser has them: those of -cookie-file, and
// what responses set since. They are kept as they came: http.Cookie would put
// quotes around some values, and drop others. They go to the page's own host and
// nowhere else.
type cookies struct {
	home  *url.URL
	pairs []string                // name=value
	set   map[string]*http.Cookie // what a response said of it last
}

func newCookies(header, page string) *cookies {
	home, _ := url.Parse(page) // it was checked
	return &cookies{home, pairsOf(header), make(map[string]*http.Cookie)}
}

// belong reports whether they go to u: not to another host, and not in the clear
// where the page is not.
func (c *cookies) belong(u *url.URL) bool {
	return u.Host == c.home.Host && (u.Scheme == "https" || u.Scheme == c.home.Scheme)
}

func (c *cookies) value(name string) string {
	for _, pair := range c.pairs {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value
		}
	}
	return ""
}

// keep does what a browser does with Set-Cookie.
func (c *cookies) keep(one *http.Cookie) {
	c.set[one.Name] = one
	c.pairs = slices.DeleteFunc(c.pairs, func(pair string) bool { return strings.HasPrefix(pair, one.Name+"=") })
	if one.MaxAge < 0 || one.MaxAge == 0 && !one.Expires.IsZero() && one.Expires.Before(time.Now()) {
		return
	}
	value := one.Value
	if one.Quoted {
		value = `"` + value + `"`
	}
	c.pairs = append(c.pairs, one.Name+"="+value)
}

// minSecret is how long a value is at least that is kept from being printed.
// Shorter ones are a language or a switch, and would take words out of the lines.
const minSecret = 8

// secrets are the values that are never to be printed.
func (c *cookies) secrets() (all []string) {
	for _, pair := range c.pairs {
		if _, value, _ := strings.Cut(pair, "="); len(value) >= minSecret {
			all = append(all, value)
		}
	}
	return all
}

// withCookies sends them, and keeps what comes back.
type withCookies struct {
	cookies *cookies
	next    http.RoundTripper
}

func (t withCookies) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.cookies.belong(r.URL) {
		return t.next.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	r.Header["Cookie"] = []string{strings.Join(t.cookies.pairs, "; ")}
	res, err := t.next.RoundTrip(r)
	if err == nil {
		for _, one := range res.Cookies() {
			t.cookies.keep(one)
		}
	}
	return res, err
}
