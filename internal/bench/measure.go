package main

import (
	"flag"
	"strconv"
	"testing"
)

// figures are what one operation costs.
type figures struct {
	ns            float64
	bytes, allocs int64
	ratio         float64 // our time to this one's
}

// contender is something to measure.
type contender struct {
	name string
	run  func(*testing.B)
}

// compete measures contenders in turn, for some rounds of so many operations. The
// first is ours; all ratios are to it.
func compete(rounds, operations int, contenders ...contender) []figures {
	check(flag.Set("test.benchtime", strconv.Itoa(operations)+"x") == nil, "package testing has no test.benchtime")
	ns := make([][]float64, len(contenders))
	ratios := make([][]float64, len(contenders))
	bytes, allocs := make([][]int64, len(contenders)), make([][]int64, len(contenders))
	for range rounds {
		for i, c := range contenders {
			got := testing.Benchmark(c.run)
			check(got.N == operations, c.name+": the measurement failed")
			took := float64(got.T.Nanoseconds()) / float64(got.N)
			ns[i] = append(ns[i], took)
			bytes[i] = append(bytes[i], got.AllocedBytesPerOp())
			allocs[i] = append(allocs[i], got.AllocsPerOp())
			ours := ns[0][len(ns[0])-1]
			ratios[i] = append(ratios[i], ours/took)
		}
	}
	all := make([]figures, len(contenders))
	for i := range contenders {
		all[i] = figures{median(ns[i]), median(bytes[i]), median(allocs[i]), median(ratios[i])}
	}
	return all
}
