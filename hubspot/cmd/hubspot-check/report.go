package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// status of a check.
type status string

const (
	passed  status = "passed"
	failed  status = "failed"
	skipped status = "skipped" // what came before left it open
)

// result is one line.
type result struct {
	Check  string `json:"check"`
	Status status `json:"status"`
	Detail string `json:"detail"`
	Mend   string `json:"mend,omitempty"` // of a failed one
}

// report collects the results and writes them: line by line as they come, or as
// one JSON document at the end.
type report struct {
	out     io.Writer
	json    bool
	results []result
	secrets []string // never written, whatever a page or a server says
}

// problem is what is wrong, and how to mend it.
type problem struct{ what, mend string }

func (r *report) pass(check, detail string, args ...any) {
	r.add(result{check, passed, fmt.Sprintf(detail, args...), ""})
}

func (r *report) fail(check string, p problem) {
	r.add(result{check, failed, p.what, p.mend})
}

// group is a check that can fail for several reasons at once: one line for each,
// or the one line that all is well.
func (r *report) group(check string, problems []problem, detail string, args ...any) {
	for _, p := range problems {
		r.fail(check, p)
	}
	if len(problems) == 0 {
		r.pass(check, detail, args...)
	}
}

// leave tells which checks were not made, and for what reason.
func (r *report) leave(reason string, checks ...string) {
	if len(checks) == 0 {
		return
	}
	if !r.json {
		fmt.Fprintf(r.out, "- not checked: %s (%s)\n", strings.Join(checks, ", "), r.clean(reason))
	}
	for _, check := range checks {
		r.results = append(r.results, result{check, skipped, r.clean(reason), ""})
	}
}

func (r *report) add(one result) {
	one.Detail, one.Mend = r.clean(one.Detail), r.clean(one.Mend)
	r.results = append(r.results, one)
	if r.json {
		return
	}
	switch one.Status {
	case passed:
		fmt.Fprintf(r.out, "✓ %s: %s\n", one.Check, one.Detail)
	default:
		fmt.Fprintf(r.out, "✗ %s: %s. To mend it: %s.\n", one.Check, one.Detail, one.Mend)
	}
}

// clean makes a line of what a stranger may have written, without secrets.
func (r *report) clean(text string) string {
	for _, secret := range r.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "[redacted]")
		}
	}
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' ' // would let a page write over the terminal
		}
		return c
	}, text)
}

// end finishes the report and tells what to exit with.
func (r *report) end() int {
	well := !slices.ContainsFunc(r.results, func(one result) bool { return one.Status == failed })
	if r.json {
		encoder := json.NewEncoder(r.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(struct {
			OK     bool     `json:"ok"`
			Checks []result `json:"checks"`
		}{well, r.results}) // whoever reads has left if this fails
	}
	if well {
		return exitWell
	}
	return exitFailed
}
