package main

import (
	"context"
	"errors"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
)

// newHTTPClient returns a client whose calls are traced, and measured as
// http.client.request.duration. The spans have the call's address and status, but
// no headers and no bodies. Each is a trace of its own, since a call serves
// everybody who waits for it, and goes on after they have left.
func newHTTPClient(tracers trace.TracerProvider, meters metric.MeterProvider) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 16 // calls come in bursts to this one host
	return &http.Client{Transport: otelhttp.NewTransport(transport,
		otelhttp.WithTracerProvider(tracers), otelhttp.WithMeterProvider(meters))}
}

// measure exports the counters of tokens as metrics, which are read when they are
// collected.
func measure(meters metric.MeterProvider, tokens *hubspot.Tokens) error {
	meter := meters.Meter("github.com/seed84b9cbbc/hubspot-visitor")
	var errs []error
	var all []metric.Observable
	counter := func(name, unit, description string) metric.Int64Observable {
		c, err := meter.Int64ObservableCounter("hubspot.visitor."+name, metric.WithUnit(unit), metric.WithDescription(description))
		errs, all = append(errs, err), append(all, c)
		return c
	}
	upDown := func(name, unit, description string) metric.Int64Observable {
		c, err := meter.Int64ObservableUpDownCounter("hubspot.visitor."+name, metric.WithUnit(unit), metric.WithDescription(description))
		errs, all = append(errs, err), append(all, c)
		return c
	}
	misses := counter("cache.misses", "{request}", "Requests for which memory had no token; all others were served from there.")
	cached := upDown("cache.tokens", "{token}", "Tokens in memory.")
	evictions := counter("cache.evictions", "{token}", "Tokens put out of memory for want of room.")
	created := counter("tokens.created", "{token}", "Visitors' first tokens that HubSpot made.")
	renewed := counter("tokens.renewed", "{token}", "Tokens that HubSpot made to follow one that ages.")
	failures := counter("calls.failed", "{call}", "Calls to HubSpot that brought no token: refused because of the visitor, the account (credential, scope, region) or its limits, or lost in an outage.")
	limited := counter("calls.limited", "{call}", "Calls to HubSpot that were not made, for want of room at the pace.")
	closings := counter("gate.closings", "{closing}", "How often HubSpot was left alone for a while.")
	closed := upDown("gate.closed", "1", "1 while HubSpot is left alone, 0 otherwise.")
	hits := counter("store.hits", "{token}", "Tokens of other replicas, taken from the shared store.")
	storeErrors := counter("store.errors", "{error}", "Calls of the shared store that failed, and bad records.")

	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		now := tokens.Stats()
		o.ObserveInt64(misses, now.Misses)
		o.ObserveInt64(cached, int64(now.Entries))
		o.ObserveInt64(evictions, now.Evictions)
		o.ObserveInt64(created, now.Created)
		o.ObserveInt64(renewed, now.Renewed)
		for reason, n := range map[string]int64{
			"visitor": now.FailedVisitor, "account": now.FailedAccount, "limit": now.FailedLimit, "outage": now.FailedOutage,
		} {
			o.ObserveInt64(failures, n, metric.WithAttributes(attribute.String("error.type", reason)))
		}
		o.ObserveInt64(limited, now.Limited)
		o.ObserveInt64(closings, now.GateClosed)
		o.ObserveInt64(closed, now.GateClosed-now.GateOpened)
		o.ObserveInt64(hits, now.StoreHits)
		o.ObserveInt64(storeErrors, now.StoreErrors)
		return nil
	}, all...)
	return errors.Join(append(errs, err)...)
}
