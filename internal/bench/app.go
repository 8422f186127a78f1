package main

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/snippet"
)

// cold measures the first page of a visitor: HubSpot's work and the
// application's, side by side.
func cold(out *report) {
	out.title("The first page of a visitor: the token takes 150 ms, and so does the page")
	const work = 150 * time.Millisecond
	slow := creatorFunc(func(ctx context.Context, v hubspot.Visitor) (hubspot.Token, error) {
		time.Sleep(work)
		return created(ctx, v)
	})
	var took []time.Duration
	for range 5 {
		var chat template.HTML
		h := newChat(newTokens(slow, 0), true).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			time.Sleep(work)
			chat = snippet.HTML(r.Context())
		}))
		began := time.Now()
		h.ServeHTTP(&writer{header: http.Header{}}, navigation())
		took = append(took, time.Since(began))
		check(len(chat) > len(tokenValue), "the page has no chat")
	}
	out.print(line{
		what: "cold page", ours: microseconds(median(took)), peer: "one after the other", theirs: microseconds(2 * work),
		ratio: fmt.Sprintf("%.2f", float64(median(took))/float64(2*work)),
		goal:  &goal{"≤ 160 ms", median(took) <= 160*time.Millisecond, false},
	})
}

// binaries measures what the library adds to a program.
func binaries(out *report) {
	out.title("Size of a hello world with net/http and html/template")
	dir := must(os.MkdirTemp("", "hubspot-visitor-bench"))
	defer os.RemoveAll(dir)
	size := func(name string) float64 {
		file := filepath.Join(dir, name)
		build := exec.Command("go", "build", "-trimpath", "-o", file, "./hello/"+name)
		text, err := build.CombinedOutput()
		check(err == nil, "go build, to be called in internal/bench: "+string(text))
		return float64(must(os.Stat(file)).Size())
	}
	with, without := size("chat"), size("plain")
	const mega = 1e6
	out.print(line{
		what: fmt.Sprintf("growth: %.2f MB", (with-without)/mega), ours: fmt.Sprintf("%.2f MB", with/mega),
		peer: "without", theirs: fmt.Sprintf("%.2f MB", without/mega), ratio: fmt.Sprintf("%.2f", with/without),
		goal: &goal{"≤ 1.5 MB more", with-without <= 1.5*mega, false},
	})
}
