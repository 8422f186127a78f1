// Command bench measures the library beside its peers, and tells which of its
// promises of speed and size hold on this machine:
//
//	go run .         everything, in about three minutes
//	go run . -quick  requests and the token source, in half a minute
//
// The exit status is 1 when a goal for allocations or memory is missed, since
// those are the same everywhere. Times are only printed: they depend on what else
// the machine does. For the same reason everything that is compared runs in turn,
// in many rounds that are short enough to pass between two interruptions. A figure
// is the median of the rounds, a ratio the median of the ratios within each round.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == serveArgument {
		serve()
		return
	}
	quick := flag.Bool("quick", false, "only requests and the token source, for fewer visitors")
	flag.Parse()
	testing.Init() // after Parse: its flags are not this command's

	began := time.Now()
	fmt.Printf("%s, %d processors\n", runtime.Version(), runtime.GOMAXPROCS(0))
	out := &report{}
	most := 1_000_000
	if *quick {
		most = 100_000
	}
	pages(out)
	hits(out, most)
	memory(out)
	if !*quick {
		pause(out, most)
		loopback(out)
		cold(out)
		binaries(out)
	}
	fmt.Printf("\n%d goals met, %d missed; of those for allocations and memory %d. %.0f s.\n",
		out.met, out.missed, out.missedBinding, time.Since(began).Seconds())
	if out.missedBinding > 0 {
		os.Exit(1)
	}
}

// must is for what cannot fail unless this program is wrong.
func must[T any](v T, err error) T {
	check(err == nil, err)
	return v
}

// check ends the program: a figure that is not what it says is worse than none.
func check(ok bool, why any) {
	if !ok {
		fmt.Fprintln(os.Stderr, "bench:", why)
		os.Exit(2)
	}
}
