// Package npm finds the files of npm packages that the examples give to browsers.
package npm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrMissing says what to do about a file that is not there.
var ErrMissing = errors.New("run npm ci in examples/frameworks first")

// File is the path of a file such as "htmx.org/dist/htmx.min.js". It is looked for
// where Node would: in the node_modules of the working directory, and of those
// above. Its error wraps [ErrMissing].
func File(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		path := filepath.Join(dir, "node_modules", filepath.FromSlash(name))
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", fmt.Errorf("node_modules/%s is missing: %w", name, ErrMissing)
		}
		dir = above
	}
}
