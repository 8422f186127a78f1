package faults_test

import (
	"regexp"
	"testing"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot/cmd/internal/faults"
)

func TestFind(t *testing.T) {
	typed := regexp.MustCompile(`^[a-z0-9-]+$`)
	seen := make(map[string]bool)
	for _, f := range faults.All() {
		if !typed.MatchString(f.Name) || f.Text == "" || seen[f.Name] || seen[f.Text] {
			t.Errorf("%q: %q cannot be typed, says nothing, or is there twice", f.Name, f.Text)
		}
		seen[f.Name], seen[f.Text] = true, true
		if found, ok := faults.Find(f.Name); !ok || found.Text != f.Text {
			t.Errorf("%s: found %v, %q", f.Name, ok, found.Text)
		}
	}
	if _, ok := faults.Find("404"); ok {
		t.Error("found what is none")
	}
	if names := faults.Names(); len(names)*2 != len(seen) || names[0] != "401" {
		t.Errorf("names: %v", faults.Names())
	}
}
