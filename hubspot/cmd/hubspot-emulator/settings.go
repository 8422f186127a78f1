package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/cmd/internal/faults"
	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/hubspottest"
)

// settings are how the emulated HubSpot behaves.
type settings struct {
	Fault   string        // for every token call; "" for none
	Latency time.Duration // of token calls
	Plan    string
	NoScope bool          // of the access token
	Ahead   time.Duration // HubSpot's clock, of this machine's

	Widget       string // what its backend answers: "", a status, or hide
	WidgetDelay  time.Duration
	DisplayAfter time.Duration
	Release      string
}

func usual() settings { return settings{Plan: "professional", Release: releases[0]} }

var plans = map[string]hubspottest.Plan{
	"free": hubspottest.Free, "starter": hubspottest.Starter, "professional": hubspottest.Professional, "enterprise": hubspottest.Enterprise,
}

// releases of HubSpot's widget, the newest first.
var releases = []string{"2026-05", "2025-06", "2024-12"}

// widgetAnswers are what the widget's backend can answer, for people to choose.
var widgetAnswers = []choice{
	{"", "as usual: the chat"},
	{"204", "204: no chat on this page"},
	{"404", "404: no chat on this page"},
	{"hide", "the chat is hidden from this visitor"},
	{"400", "400: e-mail and token are refused"},
	{"500", "500: HubSpot is in trouble"},
}

var widgetStatus = map[string]hubspottest.WidgetAnswer{
	"": {}, "204": {Status: 204}, "404": {Status: 404}, "hide": {Hide: true}, "400": {Status: 400}, "500": {Status: 500},
}

// maxWait bounds what a browser is made to wait.
const maxWait = 10 * time.Minute

// check tells what is no such setting, all at once.
func (s settings) check() error {
	var errs []error
	need := func(ok bool, problem string) {
		if !ok {
			errs = append(errs, errors.New(problem))
		}
	}
	_, plan := plans[s.Plan]
	need(plan, "-plan has to be free, starter, professional or enterprise")
	_, fault := faults.Find(s.Fault)
	need(fault || s.Fault == "", "-fault has to be one of "+strings.Join(faults.Names(), ", "))
	need(s.Latency >= 0 && s.Latency <= maxWait, "-latency has to be from 0 to 10m")
	need(s.Ahead >= -30*24*time.Hour && s.Ahead <= 30*24*time.Hour, "-time-travel has to be 30 days (720h) at most")
	_, widget := widgetStatus[s.Widget]
	need(widget && s.WidgetDelay >= 0 && s.WidgetDelay <= maxWait && s.DisplayAfter >= 0 && s.DisplayAfter <= maxWait && slices.Contains(releases, s.Release),
		"there is no such behaviour of the widget")
	return errors.Join(errs...)
}

// fault is what a token call meets.
func (s settings) fault() hubspottest.Fault {
	f, _ := faults.Find(s.Fault)
	f.Latency = s.Latency
	return f.Fault
}

// apply makes emulator behave so. Its clock is moved by the caller.
func (s settings) apply(emulator *hubspottest.Server) {
	emulator.SetOutage(nil)
	if s.Fault != "" || s.Latency > 0 {
		f := s.fault()
		emulator.SetOutage(&f)
	}
	emulator.SetPlan(plans[s.Plan])
	if s.NoScope {
		emulator.SetScopes()
	} else {
		emulator.SetScopes("conversations.visitor_identification.tokens.create")
	}
	answer := widgetStatus[s.Widget]
	answer.Delay, answer.DisplayAfter = s.WidgetDelay, s.DisplayAfter
	emulator.SetWidget(func(hubspottest.WidgetLoad) hubspottest.WidgetAnswer { return answer })
	emulator.SetWidgetRelease(s.Release)
}

// told is what is not as usual, in words; nothing if all is.
func (s settings) told() (all []string) {
	say := func(differs bool, text string, args ...any) {
		if differs {
			all = append(all, fmt.Sprintf(text, args...))
		}
	}
	f, _ := faults.Find(s.Fault)
	say(s.Fault != "", "token calls meet %s", f.Text)
	say(s.Latency > 0, "token calls take %v", s.Latency)
	say(s.Plan != usual().Plan, "the plan is %s", s.Plan)
	say(s.NoScope, "the access token lacks the scope")
	for _, answer := range widgetAnswers {
		say(s.Widget != "" && s.Widget == answer.Value, "the widget's backend answers %s", answer.Text)
	}
	say(s.WidgetDelay > 0, "the widget's backend takes %v", s.WidgetDelay)
	say(s.DisplayAfter > 0, "the chat is shown after %v", s.DisplayAfter)
	say(s.Release != usual().Release, "the widget is of %s", s.Release)
	say(s.Ahead != 0, "HubSpot's clock is %v ahead", s.Ahead)
	return all
}
