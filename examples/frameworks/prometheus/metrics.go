package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// newCalls is how long calls to HubSpot take, and with its _count how many there
// are. Nothing in an event says who a visitor is, but Event.Visitor is no label all
// the same: a label with a value for each visitor is a series for each visitor.
func newCalls() *prometheus.HistogramVec {
	calls := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "hubspot_visitor_call_duration_seconds",
		Help:    "Duration of the calls to HubSpot for a token, by outcome.",
		Buckets: []float64{.05, .1, .2, .3, .5, 1, 2, 3, 5, 10}, // .3 is the render budget, 10 the longest timeout
	}, []string{"outcome"})
	for _, kind := range []hubspot.EventKind{hubspot.EventCreated, hubspot.EventRenewed, hubspot.EventFailed} {
		calls.WithLabelValues(string(kind)) // known to be 0 from the start
	}
	return calls
}

// observe is the hubspot.TokensConfig.Observer that fills calls.
func observe(calls *prometheus.HistogramVec) func(hubspot.Event) {
	return func(e hubspot.Event) {
		switch e.Kind {
		case hubspot.EventCreated, hubspot.EventRenewed, hubspot.EventFailed:
			calls.WithLabelValues(string(e.Kind)).Observe(e.Duration.Seconds())
		}
	}
}

var (
	misses   = desc("cache_misses_total", "Requests for which memory had no token; all others were served from there.")
	cached   = desc("cached_tokens", "Tokens in memory now.")
	evicted  = desc("cache_evictions_total", "Tokens put out of memory for want of room.")
	failures = desc("call_failures_total", "Calls to HubSpot that brought no token: refused because of the visitor, the account (credential, scope, region) or its limits, or lost in an outage.", "reason")
	limited  = desc("calls_limited_total", "Calls to HubSpot that were not made, for want of room at the pace.")
	closings = desc("gate_closings_total", "How often HubSpot was left alone for a while.")
	closed   = desc("gate_closed", "1 while HubSpot is left alone, 0 otherwise.")
	shared   = desc("store_hits_total", "Tokens of other replicas, taken from the shared store.")
	broken   = desc("store_errors_total", "Calls of the shared store that failed, and bad records.")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("hubspot_visitor_"+name, help, labels, nil)
}

// stats is a prometheus.Collector: it reads the counters when it is asked.
type stats struct{ tokens *hubspot.Tokens }

func (s stats) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, ch) }

func (s stats) Collect(ch chan<- prometheus.Metric) {
	counter := func(desc *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(desc *prometheus.Desc, n int64) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n))
	}
	now := s.tokens.Stats()
	counter(misses, now.Misses)
	gauge(cached, int64(now.Entries))
	counter(evicted, now.Evictions)
	counter(failures, now.FailedVisitor, "visitor")
	counter(failures, now.FailedAccount, "account")
	counter(failures, now.FailedLimit, "limit")
	counter(failures, now.FailedOutage, "outage")
	counter(limited, now.Limited)
	counter(closings, now.GateClosed)
	gauge(closed, now.GateClosed-now.GateOpened)
	counter(shared, now.StoreHits)
	counter(broken, now.StoreErrors)
}
