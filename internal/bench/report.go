package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// report prints one line for each figure, as soon as it is known, and counts what
// became of the goals.
type report struct {
	met, missed   int
	missedBinding int
}

// goal is what a figure shall be. A binding one decides the exit status.
type goal struct {
	text    string
	met     bool
	binding bool
}

func (g *goal) verdict() string {
	switch {
	case g == nil:
		return ""
	case g.met:
		return "met"
	case g.binding:
		return "MISSED"
	}
	return "missed"
}

func allocations(got figures, most int64) *goal {
	return &goal{fmt.Sprintf("≤ %d allocs", most), got.allocs <= most, true}
}

func nanoseconds(got figures, most float64) *goal {
	return &goal{"≤ " + group(most) + " ns", got.ns <= most, false}
}

func ratio(got, most float64) *goal {
	return &goal{fmt.Sprintf("ratio ≤ %.2f", most), got <= most, false}
}

// line is one line of the table; "" is for what does not apply.
type line struct {
	what                    string
	ours, bytes, allocs     string
	peer, theirs, theyAlloc string
	ratio                   string
	goal                    *goal
}

const (
	lineFormat = "%-44s %11s %7s %6s  %-23s %11s %6s  %5s  %-13s %s\n"
	lineWidth  = 44 + 12 + 8 + 7 + 2 + 23 + 12 + 7 + 7 + 2 + 13 + 7
)

func (p *report) title(text string) {
	fmt.Printf("\n%s\n", text)
	fmt.Printf(lineFormat, "case", "ours (ns)", "B", "allocs", "peer", "peer (ns)", "allocs", "ratio", "goal", "")
	fmt.Println(strings.Repeat("-", lineWidth))
}

func (p *report) print(l line) {
	text := ""
	if l.goal != nil {
		text = l.goal.text
		switch {
		case l.goal.met:
			p.met++
		default:
			p.missed++
			if l.goal.binding {
				p.missedBinding++
			}
		}
	}
	row := fmt.Sprintf(lineFormat, l.what, l.ours, l.bytes, l.allocs, l.peer, l.theirs, l.theyAlloc, l.ratio, text, l.goal.verdict())
	fmt.Println(strings.TrimRight(row, " \n"))
}

// own prints our figures, with goals of their own.
func (p *report) own(what string, got figures, goals ...*goal) {
	l := line{what: what, ours: group(got.ns), bytes: group(float64(got.bytes)), allocs: group(float64(got.allocs))}
	for _, g := range goals {
		l.goal = g
		p.print(l)
		l = line{}
	}
}

// beside prints a peer's figures below ours. most is the goal for the ratio; 0
// for a peer that is there for information.
func (p *report) beside(peer string, got figures, most float64) {
	l := line{peer: peer, theirs: group(got.ns), theyAlloc: group(float64(got.allocs)), ratio: fmt.Sprintf("%.2f", got.ratio)}
	if most > 0 {
		l.goal = ratio(got.ratio, most)
	}
	p.print(l)
}

// group is a whole number with its thousands apart.
func group(n float64) string {
	digits := strconv.FormatFloat(n, 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

func median[T cmp.Ordered](values []T) T {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

func microseconds(d time.Duration) string { return group(float64(d.Microseconds())) + " µs" }
