package main

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// serveArgument makes this binary the server of the measurement over loopback.
const serveArgument = "serve"

// serve runs until the process that started it is gone.
func serve() {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	mux := http.NewServeMux()
	mux.Handle("/with", newChat(newTokens(creatorFunc(created), 0), true).Handler(shop(func(r *http.Request) template.HTML {
		return snippet.HTML(r.Context())
	})))
	mux.Handle("/without", shop(func(*http.Request) template.HTML { return "" }))
	go func() { check(false, http.Serve(listener, mux)) }()
	fmt.Println("http://" + listener.Addr().String())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

type product struct {
	Name, Text, Path string
	Price            int
}

var shopPage = template.Must(template.New("shop").Parse(`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Shop</title></head>
<body>
<h1>Hello, {{.Name}}</h1>
<ul>
{{range .Products}}<li><a href="/products/{{.Path}}" title="{{.Name}}">{{.Name}}</a> <b>{{.Price}} €</b> <p>{{.Text}}</p></li>
{{end}}</ul>
{{.Chat}}
</body>
</html>
`))

// shop is a page of 20 KB, written as applications do that want an error before
// the first byte.
func shop(chat func(*http.Request) template.HTML) http.Handler {
	products := make([]product, 61)
	for i := range products {
		name := fmt.Sprintf("Lamp & shade no. %d", i)
		products[i] = product{name, strings.Repeat("Warm light for long evenings. ", 7), fmt.Sprintf("lamp-%d", i), 20 + i}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var page bytes.Buffer
		if err := shopPage.Execute(&page, map[string]any{"Name": ada.FirstName, "Products": products, "Chat": chat(r)}); err != nil {
			http.Error(w, "no page", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = page.WriteTo(w)
	})
}

// loopback measures a whole server with and without the library, under load from
// another process.
func loopback(out *report) {
	const rounds, duration = 3, 5 * time.Second
	load, loader := loadWithClient, "bundled loader"
	if _, err := exec.LookPath("wrk"); err == nil {
		load, loader = loadWithWrk, "wrk"
	}
	out.title("A server over loopback, with the library and without, under load from " + loader)

	server := exec.Command(must(os.Executable()), serveArgument)
	stdin, stdout := must(server.StdinPipe()), must(server.StdoutPipe())
	server.Stderr = os.Stderr
	check(server.Start() == nil, "the server does not start")
	defer server.Wait()
	defer stdin.Close()
	address := make([]byte, 100)
	address = address[:must(stdout.Read(address))]
	with := strings.TrimSpace(string(address)) + "/with"
	without := with + "out"

	headers, size := visit(with)
	_, plainSize := visit(without)
	for _, url := range []string{with, without} {
		load(url, headers, time.Second) // warms up
	}
	var rate, p99, rates, p99s [2][]float64
	for range rounds {
		a, b := load(with, headers, duration), load(without, headers, duration)
		rate[0], rate[1] = append(rate[0], a.rate), append(rate[1], b.rate)
		p99[0], p99[1] = append(p99[0], float64(a.p99)), append(p99[1], float64(b.p99))
		rates[0], p99s[0] = append(rates[0], a.rate/b.rate), append(p99s[0], float64(a.p99)/float64(b.p99))
	}
	out.print(line{
		what: fmt.Sprintf("requests a second (%s B, plain %s B)", group(float64(size)), group(float64(plainSize))), ours: group(median(rate[0])) + "/s",
		peer: "without", theirs: group(median(rate[1])) + "/s", ratio: fmt.Sprintf("%.2f", median(rates[0])),
		goal: &goal{"ratio ≥ 0.95", median(rates[0]) >= 0.95, false},
	})
	out.print(line{
		what: "99th percentile", ours: microseconds(time.Duration(median(p99[0]))),
		peer: "without", theirs: microseconds(time.Duration(median(p99[1]))), ratio: fmt.Sprintf("%.2f", median(p99s[0])),
		goal: ratio(median(p99s[0]), 1.05),
	})
}

// visit is what a browser sends with its second request, and how much it gets.
func visit(url string) (http.Header, int) {
	r := must(http.NewRequest("GET", url, nil))
	r.Header = navigation().Header
	for range 2 {
		res := must(http.DefaultTransport.RoundTrip(r))
		body := must(io.ReadAll(res.Body))
		res.Body.Close()
		for _, c := range res.Cookies() {
			r.Header.Set("Cookie", r.Header.Get("Cookie")+"; "+c.Name+"="+c.Value)
		}
		if len(res.Cookies()) == 0 {
			return r.Header, len(body)
		}
	}
	check(false, "the page still sets a cookie")
	return nil, 0
}

// connections is how many visitors there are at once: enough to keep two
// processors busy, and few enough that p99 is no measure of the queue.
const connections = 8

type loaded struct {
	rate float64
	p99  time.Duration
}

var wrkLines = map[string]*regexp.Regexp{
	"rate":   regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`),
	"p99":    regexp.MustCompile(`99%\s+([0-9.]+[a-z]+)`),
	"failed": regexp.MustCompile(`Non-2xx|Socket errors`),
}

func loadWithWrk(url string, headers http.Header, d time.Duration) loaded {
	args := []string{"-t1", "-c" + strconv.Itoa(connections), "-d" + d.String(), "--latency"}
	for name := range headers {
		args = append(args, "-H", name+": "+headers.Get(name))
	}
	text, err := exec.Command("wrk", append(args, url)...).CombinedOutput()
	rate, p99 := wrkLines["rate"].FindSubmatch(text), wrkLines["p99"].FindSubmatch(text)
	check(err == nil && rate != nil && p99 != nil && !wrkLines["failed"].Match(text), "wrk: "+string(text))
	return loaded{must(strconv.ParseFloat(string(rate[1]), 64)), must(time.ParseDuration(string(p99[1])))}
}

func loadWithClient(url string, headers http.Header, d time.Duration) loaded {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	transport := &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}
	defer transport.CloseIdleConnections()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		took []time.Duration
	)
	for range connections {
		wg.Go(func() {
			var mine []time.Duration
			for {
				r := must(http.NewRequestWithContext(ctx, "GET", url, nil))
				r.Header = headers
				began := time.Now()
				res, err := transport.RoundTrip(r)
				if err == nil {
					_, err = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				if ctx.Err() != nil {
					break
				}
				check(err == nil && res.StatusCode == http.StatusOK, "the server failed")
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	wg.Wait()
	slices.Sort(took)
	return loaded{float64(len(took)) / d.Seconds(), took[len(took)*99/100]}
}
