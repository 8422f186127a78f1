// Package frameworks_test holds the lists of the examples complete.
package frameworks_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every example has its row here, and in the table of the library's README.
func TestREADME(t *testing.T) {
	programs, err := filepath.Glob("*/main.go")
	if err != nil || len(programs) == 0 {
		t.Fatalf("there are the examples %q: %v", programs, err)
	}
	for file, folder := range map[string]string{"README.md": "", "../../README.md": "examples/frameworks/"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rows strings.Builder
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "| ") {
				rows.WriteString(line)
			}
		}
		for _, program := range programs {
			if link := "](" + folder + filepath.Dir(program) + ")"; !strings.Contains(rows.String(), link) {
				t.Errorf("%s has no row with %s", file, link)
			}
		}
	}
}
